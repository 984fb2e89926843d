/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Memory objects: one memfd each.
 *
 * F_SEAL_FUTURE_WRITE leaves mappings made before it writable: the publisher
 * of a view maps first and seals then. It is also what makes a read-only
 * handle hold against root, who may open a mode-0400 file for writing: the
 * open succeeds, but neither write nor a writable mapping does.
 *
 * Source: memfd_create(2), fcntl(2) "File sealing", fallocate(2)
 */
#include "port/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <ultravisor/posix.h>

#define PAGE_BYTES   UINT64_C(4096)
#define LARGE_BYTES  UINT64_C(0x200000)
#define LARGE_POLICY "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* Linux 6.3: a memory object is never a program to exec(). Guests execute
 * from mappings of it all the same. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif
/* Linux 5.14 */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
/* Linux 5.1 */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static bool
is_range(uint64_t offset, uint64_t bytes)
{
    uint64_t end;

    return bytes != 0 && offset % PAGE_BYTES == 0 && bytes % PAGE_BYTES == 0 &&
           ulv_add_u64(offset, bytes, &end) && end <= INT64_MAX;
}

/* More than the machine can ever hold is refused before the kernel starts to
 * evict and kill for it. Any holds what is no large page. */
static bool
machine_holds(uint64_t bytes)
{
    struct sysinfo info;
    uint64_t pages;

    if (bytes < LARGE_BYTES || sysinfo(&info) != 0)
        return true;
    pages = (uint64_t)info.totalram + info.totalswap;
    return bytes / info.mem_unit <= pages;
}

static int
memory_file(const char *name)
{
    int fd =
        memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

/* What the kernel does with large pages in memory objects: the word in
 * brackets. Documentation/admin-guide/mm/transhuge.rst */
static void
read_policy(char *word, size_t size)
{
    char text[128];
    const char *from, *to;
    int fd = open(LARGE_POLICY, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    text[got < 0 ? 0 : got] = '\0';
    from = strchr(text, '[');
    to = from == NULL ? NULL : strchr(from, ']');
    word[0] = '\0';
    if (to != NULL && (size_t)(to - from) <= size) {
        memcpy(word, from + 1, (size_t)(to - from - 1));
        word[to - from - 1] = '\0';
    }
}

const char *
ulv_posix_huge_pages(void)
{
    char word[16];

    read_policy(word, sizeof(word));
    if (strcmp(word, "advise") == 0)
        return "transparent, as the library advises";
    if (strcmp(word, "always") == 0 || strcmp(word, "force") == 0 ||
        strcmp(word, "within_size") == 0)
        return "transparent, by the kernel's own choice";
    if (strcmp(word, "never") == 0 || strcmp(word, "deny") == 0)
        return "none: " LARGE_POLICY " forbids them";
    return "none: the kernel has no " LARGE_POLICY;
}

/* Where the kernel wants advice it takes it when a mapping is populated, not
 * when a file is allocated. What it does not give is allocated afterwards. */
static void
fill_large(int fd, uint64_t bytes)
{
    char word[16];
    void *p;

    if (bytes < LARGE_BYTES)
        return;
    read_policy(word, sizeof(word));
    if (strcmp(word, "advise") != 0 ||
        ulv_posix_memory_map(NULL, fd, 0, bytes,
                             ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p) != ULV_OK)
        return;
    if (madvise(p, bytes, MADV_HUGEPAGE) == 0)
        (void)madvise(p, bytes, MADV_POPULATE_WRITE);
    munmap(p, bytes);
}

static int
fill(int fd, uint64_t bytes)
{
    int result;

    fill_large(fd, bytes);

    do {
        result = fallocate(fd, 0, 0, (off_t)bytes);
    } while (result != 0 && errno == EINTR);
    return result;
}

ulv_status
ulv_posix_memory_create(void *self, const char *name, uint64_t bytes,
                        uint32_t flags, ulv_handle *ret)
{
    bool lazy = (flags & ULV_MEMORY_LAZY) != 0;
    ulv_status status;
    int fd;

    (void)self;
    if (!is_range(0, bytes) || (flags & ~ULV_MEMORY_LAZY) != 0)
        return ULV_E_ARG;
    if (!lazy && !machine_holds(bytes))
        return ULV_E_NO_MEMORY;
    fd = memory_file(name == NULL ? "ultravisor" : name);
    if (fd < 0)
        return errno == EINVAL ? ULV_E_ARG : ulv_posix_status(errno);
    if (ftruncate(fd, (off_t)bytes) != 0 || (!lazy && fill(fd, bytes) != 0)) {
        status = ulv_posix_status(errno);
        close(fd);
        return status;
    }
    *ret = fd;
    return ULV_OK;
}

ulv_status
ulv_posix_memory_map(void *self, ulv_handle memory, uint64_t offset,
                     uint64_t bytes, uint32_t protection, void *at, void **ret)
{
    int access = PROT_READ;
    int flags = MAP_SHARED;
    bool large;
    void *p;

    (void)self;
    if (!is_range(offset, bytes) || (protection & ULV_MAP_READ) == 0 ||
        (protection & ~(ULV_MAP_READ | ULV_MAP_WRITE | ULV_MAP_SPARSE)) != 0 ||
        (uintptr_t)at % PAGE_BYTES != 0)
        return ULV_E_ARG;
    if ((protection & ULV_MAP_WRITE) != 0)
        access |= PROT_WRITE;
    /* so placed that a large page can be mapped as one, here and by KVM; what
     * is only read is a view, and no memory of a guest's */
    large = at == NULL && (protection & ULV_MAP_WRITE) != 0 &&
            (protection & ULV_MAP_SPARSE) == 0 && bytes >= LARGE_BYTES &&
            offset % LARGE_BYTES == 0 &&
            ulv_posix_memory_reserve(NULL, bytes, LARGE_BYTES, &at) == ULV_OK;
    if (at != NULL)
        flags |= MAP_FIXED;
    p = mmap(at, bytes, access, flags, ulv_posix_descriptor(memory),
             (off_t)offset);
    if (p == MAP_FAILED) {
        int code = errno;

        if (large)
            munmap(at, bytes);
        return ulv_posix_status(code);
    }
    *ret = p;
    return ULV_OK;
}

void
ulv_posix_memory_unmap(void *self, void *p, uint64_t bytes)
{
    (void)self;
    if (p != NULL)
        munmap(p, bytes);
}

void
ulv_posix_memory_unmap_at(void *self, void *p, uint64_t bytes)
{
    (void)self;
    /* One step: there is no instant at which the range is anybody's. */
    if (mmap(p, bytes, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
             0) == MAP_FAILED)
        munmap(p, bytes);
}

ulv_status
ulv_posix_memory_reserve(void *self, uint64_t bytes, uint64_t align, void **ret)
{
    uint64_t whole, start, wanted;
    char *p;

    (void)self;
    if (!is_range(0, bytes) || !ulv_is_power_of_two(align))
        return ULV_E_ARG;
    align = ULV_MAX(align, PAGE_BYTES);
    if (!ulv_add_u64(bytes, align, &whole))
        return ULV_E_ARG;
    p = mmap(NULL, whole, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return ulv_posix_status(errno);
    start = (uint64_t)(uintptr_t)p;
    wanted = ulv_round_up(start, align);
    if (wanted != start)
        munmap(p, wanted - start);
    p += wanted - start;
    munmap(p + bytes, start + whole - wanted - bytes);
    *ret = p;
    return ULV_OK;
}

ulv_status
ulv_posix_memory_seal(void *self, ulv_handle memory, uint32_t seals)
{
    int add = 0;

    (void)self;
    if ((seals & ~(ULV_SEAL_SIZE | ULV_SEAL_WRITE | ULV_SEAL_SEALS)) != 0)
        return ULV_E_ARG;
    if ((seals & ULV_SEAL_SIZE) != 0)
        add |= F_SEAL_SHRINK | F_SEAL_GROW;
    if ((seals & ULV_SEAL_WRITE) != 0)
        add |= F_SEAL_FUTURE_WRITE;
    if ((seals & ULV_SEAL_SEALS) != 0)
        add |= F_SEAL_SEAL;
    if (fcntl(ulv_posix_descriptor(memory), F_ADD_SEALS, add) != 0)
        return ulv_posix_status(errno);
    return ULV_OK;
}

ulv_status
ulv_posix_memory_read_only(void *self, ulv_handle memory, ulv_handle *ret)
{
    (void)self;
    if (fchmod(ulv_posix_descriptor(memory), S_IRUSR) != 0)
        return ulv_posix_status(errno);
    return ulv_posix_reopen(memory, O_RDONLY, ret);
}

ulv_status
ulv_posix_memory_discard(void *self, ulv_handle memory, uint64_t offset,
                         uint64_t bytes)
{
    int fd = ulv_posix_descriptor(memory);
    int result;

    (void)self;
    if (!is_range(offset, bytes))
        return ULV_E_ARG;
    do {
        result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           (off_t)offset, (off_t)bytes);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? ULV_OK : ulv_posix_status(errno);
}

/* Kernels before 5.14 have no such advice: there pages are touched, and one
 * that cannot be had is a fault. */
ulv_status
ulv_posix_memory_back(void *self, void *p, uint64_t bytes)
{
    uint8_t *page = p;

    (void)self;
    if (!is_range((uintptr_t)p, bytes))
        return ULV_E_ARG;
    if (madvise(p, bytes, MADV_POPULATE_WRITE) == 0)
        return ULV_OK;
    if (errno != EINVAL)
        return errno == EFAULT ? ULV_E_NO_MEMORY : ulv_posix_status(errno);
    for (uint64_t at = 0; at < bytes; at += PAGE_BYTES)
        (void)__atomic_fetch_or(&page[at], 0, __ATOMIC_RELAXED);
    return ULV_OK;
}

ulv_status
ulv_posix_memory_bytes(void *self, ulv_handle memory, uint64_t *ret)
{
    struct stat status;

    (void)self;
    if (fstat(ulv_posix_descriptor(memory), &status) != 0)
        return ulv_posix_status(errno);
    if (!S_ISREG(status.st_mode))
        return ULV_E_ARG;
    *ret = (uint64_t)status.st_size;
    return ULV_OK;
}
