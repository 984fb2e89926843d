/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "contain.h"

#include <dirent.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ultravisor/posix.h>

#define PATTERN UINT64_C(0x180000) /* of the neighbour's RAM: it stays so */

struct contain contain;

static uint8_t image[65536];
static uint64_t seed = 20260730;

uint64_t
random_next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static size_t
read_file(const char *path, uint8_t *to, size_t max)
{
    FILE *file = fopen(path, "rb");
    size_t bytes;

    assert_non_null(file);
    bytes = fread(to, 1, max, file);
    assert_true(bytes < max);
    (void)fclose(file);
    return bytes;
}

/* Into RAM; no image: where the launcher's code and data lie. */
static uint64_t
load(uint8_t *ram)
{
    Elf64_Ehdr header;

    memcpy(&header, image, sizeof(header));
    for (uint32_t i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr p;

        memcpy(&p, image + header.e_phoff + i * sizeof(p), sizeof(p));
        if (p.p_type != PT_LOAD)
            continue;
        if (ram != NULL) {
            if (p.p_memsz == 0)
                continue;
            assert_in_range(p.p_vaddr, RAM, ATTACK_PLACE - p.p_memsz);
            memcpy(ram + (p.p_vaddr - RAM), image + p.p_offset, p.p_filesz);
        } else if ((p.p_flags & PF_X) != 0) {
            contain.text = p.p_vaddr;
            contain.text_end = p.p_vaddr + p.p_memsz;
        } else if ((p.p_flags & PF_W) != 0) {
            contain.writable = p.p_vaddr & ~UINT64_C(4095);
            contain.writable_end =
                (p.p_vaddr + p.p_memsz + 4095) & ~UINT64_C(4095);
        }
    }
    return header.e_entry;
}

void
life_begin(struct life *life, const struct attack *attack)
{
    const struct ulv_backend_ops *ops = contain.ops;
    const struct ulv_host *host = ulv_posix_host();
    const struct ulv_machine_cfg cfg = { .size = sizeof(cfg),
                                         .vcpu_count = 1,
                                         .host = host,
                                         .gate = GATE,
                                         .launcher = contain.launcher };
    struct ulv_diag diag = ULV_DIAG_INIT;
    ulv_status status;
    uint64_t entry;
    void *p;

    life->machine = calloc(1, ops->machine_bytes);
    life->vcpu = calloc(1, ops->vcpu_bytes);
    assert_int_equal(host->memory_create(NULL, "ram", BYTES, 0, &life->memory),
                     ULV_OK);
    assert_int_equal(host->memory_map(NULL, life->memory, 0, BYTES,
                                      ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p),
                     ULV_OK);
    life->p = p;
    entry = load(life->p);
    memcpy(life->p + (ATTACK_PLACE - RAM), attack, sizeof(*attack));
    memcpy(life->p + (ATTACK_TEXT - RAM), "/tmp/ulv-escaped", 17);
    assert_int_equal(ops->machine_init(life->machine, &cfg, &diag), ULV_OK);
    assert_int_equal(ops->map(life->machine, (ulv_gpa){ RAM }, BYTES,
                              life->memory, 0, life->p,
                              ULV_GUEST_WRITE | ULV_GUEST_EXECUTE), ULV_OK);
    status = ops->vcpu_init(life->vcpu, life->machine, 0, (ulv_gpa){ entry },
                            (ulv_gpa){ RAM + BYTES }, ATTACK_PLACE, &diag);
    if (status != ULV_OK)
        fail_msg("%s", diag.text);
    memset(&life->out, 0, sizeof(life->out));
}

void
life_end(struct life *life)
{
    const struct ulv_host *host = ulv_posix_host();

    contain.ops->vcpu_fini(life->vcpu);
    contain.ops->machine_fini(life->machine);
    host->memory_unmap(NULL, life->p, BYTES);
    host->handle_close(NULL, life->memory);
    free(life->machine);
    free(life->vcpu);
}

void
life_run(struct life *life, uint32_t runs)
{
    do {
        assert_int_equal(contain.ops->vcpu_run(life->vcpu, SECOND / 100,
                                               &life->out), ULV_OK);
    } while (life->out.reason == ULV_EXIT_INTERRUPTED && --runs != 0);
}

void
life_of(struct life *life, const struct attack *attack)
{
    life_begin(life, attack);
    life_run(life, 6000);
    life_end(life);
}

void
neighbour_counts(void)
{
    struct life *life = &contain.neighbour;

    contain.ops->vcpu_answer(life->vcpu, 0, 0);
    life_run(life, 6000);
    assert_int_equal(life->out.reason, ULV_EXIT_CALL);
    assert_int_equal(life->out.u.call.number, ATTACK_COUNTED);
    assert_int_equal(life->out.u.call.argument[0], ++contain.count);
    for (uint32_t i = 0; i < 4096; i++)
        assert_int_equal(life->p[PATTERN + 8192 + i], (uint8_t)(i * 7));
}

int
contain_begin(void **state)
{
    const struct attack peace = { .kind = ATTACK_NONE };
    struct life *life = &contain.neighbour;

    (void)state;
    (void)read_file(contain.launcher, image, sizeof(image));
    (void)load(NULL);
    memset(image, 0, sizeof(image));
    (void)read_file(contain.image, image, sizeof(image));
    life_begin(life, &peace);
    for (uint32_t i = 0; i < 4096; i++)
        life->p[PATTERN + 8192 + i] = (uint8_t)(i * 7);
    life_run(life, 6000);
    assert_int_equal(life->out.reason, ULV_EXIT_CALL);
    return 0;
}

int
contain_end(void **state)
{
    (void)state;
    life_end(&contain.neighbour);
    return 0;
}

uint32_t
children_of(pid_t parent, pid_t *ret, uint32_t max)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    uint32_t count = 0;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        char path[300], line[512];
        FILE *file;
        int of = 0;

        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fgets(line, sizeof(line), file) != NULL &&
            sscanf(strrchr(line, ')') + 1, " %*c %d", &of) == 1 &&
            of == parent && count < max)
            ret[count++] = (pid_t)atoi(entry->d_name);
        (void)fclose(file);
    }
    (void)closedir(folder);
    return count;
}
