/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* An ELF image whose code is a script of the mock backend. */
#ifndef TESTS_UNIT_SYSTEM_MOCK_IMAGE_H
#define TESTS_UNIT_SYSTEM_MOCK_IMAGE_H

#include <elf.h>
#include <string.h>

#include <ultravisor/abi/system_call.h>

#include "backend/mock/mock.h"

struct mock_image {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    struct ulv_mock_step step[16];
};

static inline void
mock_image_init(struct mock_image *image, const struct ulv_mock_step *steps,
                size_t count)
{
    memset(image, 0, sizeof(*image));
    memcpy(image->header.e_ident, ELFMAG, SELFMAG);
    image->header.e_ident[EI_CLASS] = ELFCLASS64;
    image->header.e_ident[EI_DATA] = ELFDATA2LSB;
    image->header.e_type = ET_EXEC;
    image->header.e_machine = EM_X86_64;
    image->header.e_entry = ULV_GUEST_RAM_BASE;
    image->header.e_phoff = offsetof(struct mock_image, segment);
    image->header.e_phentsize = sizeof(image->segment);
    image->header.e_phnum = 1;
    image->segment.p_type = PT_LOAD;
    image->segment.p_flags = PF_R | PF_X;
    image->segment.p_offset = offsetof(struct mock_image, step);
    image->segment.p_vaddr = ULV_GUEST_RAM_BASE;
    image->segment.p_filesz = image->segment.p_memsz = sizeof(image->step);
    memcpy(image->step, steps, count * sizeof(*steps));
}

#endif
