/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Reading a saved partition. Input byte 0: 1 = its checksums are made right
 * first, so that what lies behind them is reached; the rest is the file. What
 * is believed keeps to the rules, and memory that is told of lies inside the
 * layout.
 */
#include <stdlib.h>
#include <string.h>

#include <ultravisor/posix.h>

#include "base/base.h"
#include "system/save_file.h"

#include "fuzz.h"

struct file {
    uint8_t *data;
    size_t size;
    const struct save_file *reading;
    uint64_t told, sum;
};

static void
require(bool holds)
{
    if (!holds)
        abort();
}

static ulv_status
read_file(void *self, uint64_t offset, void *buf, size_t len)
{
    const struct file *file = self;

    require(offset <= file->size && len <= file->size - offset);
    memcpy(buf, file->data + offset, len);
    return ULV_OK;
}

static ulv_status
take_memory(void *self, uint64_t guest, const uint8_t *bytes, uint64_t len,
            struct ulv_diag *diag)
{
    struct file *file = self;
    const struct save_file *f = file->reading;
    bool inside = false;

    (void)diag;
    for (uint32_t i = 0; i < f->partition.range_count; i++) {
        const struct ulv_save_range *r = &f->ranges[i];

        inside |= guest >= r->guest_address &&
                  guest - r->guest_address <= r->bytes &&
                  len <= r->bytes - (guest - r->guest_address);
    }
    require(inside && len != 0 && len % 4096 == 0 && guest % 4096 == 0);
    file->sum += ulv_crc32c(0, bytes, (size_t)len); /* it can be read */
    file->told += len;
    return ULV_OK;
}

static ulv_status
take_content(void *self, const struct ulv_save_channel *channel,
             const struct ulv_save_content *where, const uint8_t *bytes,
             struct ulv_diag *diag)
{
    uint64_t room = where->place == 0 ? channel->bytes : 4096;
    struct file *file = self;

    (void)diag;
    require(channel->served != 0 && where->place <= 1 &&
            where->offset >= (where->place == 0 ? 4096 : 0) &&
            where->offset <= room && where->bytes != 0 &&
            where->bytes <= room - where->offset);
    file->sum += ulv_crc32c(0, bytes, (size_t)where->bytes);
    return ULV_OK;
}

static void
put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

/* Checksums, numbers and the count in END; kinds and sizes as they are. */
static void
make_right(struct file *file)
{
    uint32_t headers = 0;
    size_t at = sizeof(struct ulv_save_header);

    if (file->size < at)
        return;
    put32(file->data + 60, ulv_crc32c(0, file->data, 60));
    for (uint32_t number = 0; file->size - at >= 32; number++) {
        struct ulv_save_section s;
        size_t bytes = file->size - at - sizeof(s);

        memcpy(&s, file->data + at, sizeof(s));
        bytes = (size_t)ULV_MIN((uint64_t)bytes, s.bytes);
        s.number = number;
        if (s.kind == ULV_SAVE_END && bytes >= 8) {
            put32(file->data + at + 32, number + 1);
            put32(file->data + at + 36, headers);
        }
        s.crc = ulv_crc32c(0, file->data + at + sizeof(s), bytes);
        s.own_crc = ulv_crc32c(0, &s, 28);
        headers = ulv_crc32c(headers, &s, sizeof(s));
        memcpy(file->data + at, &s, sizeof(s));
        at += sizeof(s) + bytes;
    }
}

static void
read_it(struct file *file)
{
    struct save_file f;
    struct ulv_diag diag = ULV_DIAG_INIT;
    const struct save_reader reader = { .host = ulv_posix_host(),
                                        .read = read_file,
                                        .self = file,
                                        .bytes = file->size,
                                        .backend = ulv_backend_find };
    const struct save_visitor visitor = { take_memory, take_content, file };
    ulv_status status;

    file->reading = &f;
    status = ulv_save_read(&f, &reader, &visitor, &diag);
    if (status != ULV_OK) {
        require(diag.status == status && diag.text[0] != '\0');
        return;
    }
    require(f.partition.range_count != 0 && f.monitor != NULL &&
            f.head.processor_count == f.partition.processor_count &&
            f.memory_bytes == file->told && f.at == file->size);
    ulv_save_close(&f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct file file = { .size = size < 1 ? 0 : size - 1 };

    file.data = malloc(file.size + 1);
    require(file.data != NULL);
    if (size > 1)
        memcpy(file.data, data + 1, file.size);
    if (size > 0 && (data[0] & 1) != 0)
        make_right(&file);
    read_it(&file);
    free(file.data);
    return 0;
}
