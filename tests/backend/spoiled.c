/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What can be spoiled about machines and memory. */
#include "spoiled.h"

#include <string.h>
#include <unistd.h>

#include "base/base.h"

#define PAGE UINT64_C(4096)

const struct ulv_backend_ops *spoiled_real;
uint8_t *spoiled_ram;
uint32_t spoiled_flag;

static struct ulv_backend_ops spoiled;

/* ---- machines ------------------------------------------------------------ */

static ulv_status
probe_without_version(const struct ulv_host *host,
                      struct ulv_backend_caps *ret_caps, struct ulv_diag *diag)
{
    ulv_status status = spoiled_real->probe(host, ret_caps, diag);

    ret_caps->version[0] = '\0';
    return status;
}

static void
has_no_version(struct ulv_backend_ops *ops)
{
    ops->probe = probe_without_version;
}

static ulv_status
probe_with_too_many_regions(const struct ulv_host *host,
                            struct ulv_backend_caps *ret_caps,
                            struct ulv_diag *diag)
{
    ulv_status status = spoiled_real->probe(host, ret_caps, diag);

    ret_caps->regions_max += 5;
    return status;
}

static void
promises_too_many_regions(struct ulv_backend_ops *ops)
{
    ops->probe = probe_with_too_many_regions;
}

static ulv_status
init_with_any_gate(void *machine, const struct ulv_machine_cfg *cfg,
                   struct ulv_diag *diag)
{
    struct ulv_machine_cfg good = *cfg;

    good.gate = ULV_GUEST_GATE;
    return spoiled_real->machine_init(machine, &good, diag);
}

static void
takes_any_gate(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_with_any_gate;
}

static ulv_status
init_and_leak_descriptor(void *machine, const struct ulv_machine_cfg *cfg,
                         struct ulv_diag *diag)
{
    (void)dup(0);
    return spoiled_real->machine_init(machine, cfg, diag);
}

static void
leaks_a_descriptor(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_and_leak_descriptor;
}

static void
end_spare_but_for_a_descriptor(void *spare)
{
    spoiled_real->spare_fini(spare);
    (void)dup(0);
}

static void
leaves_some_of_a_spare(struct ulv_backend_ops *ops)
{
    ops->spare_fini = end_spare_but_for_a_descriptor;
}

static ulv_status
init_and_leak_memory(void *machine, const struct ulv_machine_cfg *cfg,
                     struct ulv_diag *diag)
{
    /* what it is given back as is not what it was asked for */
    cfg->host->free(cfg->host->self, cfg->host->alloc(cfg->host->self, 64, 16),
                    48);
    return spoiled_real->machine_init(machine, cfg, diag);
}

static void
leaks_memory(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_and_leak_memory;
}

static ulv_status
init_and_believe_the_host(void *machine, const struct ulv_machine_cfg *cfg,
                          struct ulv_diag *diag)
{
    void *p = cfg->host->alloc(cfg->host->self, 64, 16);

    cfg->host->free(cfg->host->self, p, 64);
    return spoiled_real->machine_init(machine, cfg, diag);
}

static void
does_not_notice_a_refusal(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_and_believe_the_host;
}

static void
lacks_a_function(struct ulv_backend_ops *ops)
{
    ops->vcpu_kick = NULL;
}

static ulv_status
init_with_one_vcpu(void *machine, const struct ulv_machine_cfg *cfg,
                   struct ulv_diag *diag)
{
    struct ulv_machine_cfg good = *cfg;

    good.vcpu_count = 1;
    return spoiled_real->machine_init(machine, &good, diag);
}

static void
takes_any_number_of_processors(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_with_one_vcpu;
}

/* What a machine gives back only behind something else. */
static const struct ulv_host *lender;
static void *lent;

static ulv_status
init_and_borrow(void *machine, const struct ulv_machine_cfg *cfg,
                struct ulv_diag *diag)
{
    lender = cfg->host;
    lent = lender->alloc(lender->self, 64, 16);
    spoiled_flag = 0;
    return spoiled_real->machine_init(machine, cfg, diag);
}

static ulv_status
run_and_tell(void *vcpu, ulv_nsec budget_ns, struct ulv_exit *ret)
{
    ulv_status status = spoiled_real->vcpu_run(vcpu, budget_ns, ret);

    spoiled_flag = ret->reason + 1;
    return status;
}

static void
fini_if_run(void *machine)
{
    if (lent != NULL && spoiled_flag != 0)
        lender->free(lender->self, lent, 64);
    lent = NULL;
    spoiled_real->machine_fini(machine);
}

static void
leaks_what_never_ran(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_and_borrow;
    ops->vcpu_run = run_and_tell;
    ops->machine_fini = fini_if_run;
}

static void
fini_unless_running(void *machine)
{
    if (lent != NULL && spoiled_flag != ULV_EXIT_INTERRUPTED + 1)
        lender->free(lender->self, lent, 64);
    lent = NULL;
    spoiled_real->machine_fini(machine);
}

static void
leaks_what_runs(struct ulv_backend_ops *ops)
{
    ops->machine_init = init_and_borrow;
    ops->vcpu_run = run_and_tell;
    ops->machine_fini = fini_unless_running;
}

static int victim = -1;

static ulv_status
init_and_keep(void *machine, const struct ulv_machine_cfg *cfg,
              struct ulv_diag *diag)
{
    spoiled_flag = 1;
    return spoiled_real->machine_init(machine, cfg, diag);
}

/* A machine of zeroes has descriptors that are nobody's, too. */
static void
fini_and_close(void *machine)
{
    if (spoiled_flag == 0 && victim >= 0)
        (void)close(victim);
    victim = -1;
    spoiled_real->machine_fini(machine);
}

static void
closes_what_it_never_opened(struct ulv_backend_ops *ops)
{
    victim = dup(0);
    ops->machine_init = init_and_keep;
    ops->machine_fini = fini_and_close;
}

static ulv_status
probe_with_a_page_more(const struct ulv_host *host,
                       struct ulv_backend_caps *ret_caps,
                       struct ulv_diag *diag)
{
    ulv_status status = spoiled_real->probe(host, ret_caps, diag);

    ret_caps->guest_address_max += PAGE;
    return status;
}

static void
promises_a_page_more(struct ulv_backend_ops *ops)
{
    ops->probe = probe_with_a_page_more;
}

/* ---- memory -------------------------------------------------------------- */

static ulv_status
map_writable(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
             uint64_t offset, void *p, uint32_t access)
{
    return spoiled_real->map(machine, guest, bytes, memory, offset, p,
                             access | ULV_GUEST_WRITE);
}

static void
lets_guests_write(struct ulv_backend_ops *ops)
{
    ops->map = map_writable;
}

static ulv_status
map_executable(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
               uint64_t offset, void *p, uint32_t access)
{
    return spoiled_real->map(machine, guest, bytes, memory, offset, p,
                             access | ULV_GUEST_EXECUTE);
}

static void
lets_guests_execute(struct ulv_backend_ops *ops)
{
    ops->map = map_executable;
}

static ulv_status
map_anything(void *machine, ulv_gpa guest, uint64_t bytes, ulv_handle memory,
             uint64_t offset, void *p, uint32_t access)
{
    ulv_status status =
        spoiled_real->map(machine, guest, bytes, memory, offset, p, access);

    return status == ULV_E_ARG || status == ULV_E_EXISTS ? ULV_OK : status;
}

static void
refuses_nothing(struct ulv_backend_ops *ops)
{
    ops->map = map_anything;
}

static ulv_status
map_from_the_start(void *machine, ulv_gpa guest, uint64_t bytes,
                   ulv_handle memory, uint64_t offset, void *p,
                   uint32_t access)
{
    return spoiled_real->map(machine, guest, bytes, memory, 0,
                             (uint8_t *)p - offset, access);
}

static void
forgets_the_offset(struct ulv_backend_ops *ops)
{
    ops->map = map_from_the_start;
}

static ulv_status
map_a_page_less(void *machine, ulv_gpa guest, uint64_t bytes,
                ulv_handle memory, uint64_t offset, void *p, uint32_t access)
{
    if (bytes > ULV_MIB(2))
        bytes -= PAGE;
    return spoiled_real->map(machine, guest, bytes, memory, offset, p, access);
}

static void
forgets_the_last_page(struct ulv_backend_ops *ops)
{
    ops->map = map_a_page_less;
}

static ulv_status
map_a_page_more(void *machine, ulv_gpa guest, uint64_t bytes,
                ulv_handle memory, uint64_t offset, void *p, uint32_t access)
{
    /* of which it has nothing: what lies behind it is somebody else's */
    if (bytes == PAGE)
        (void)spoiled_real->map(machine, (ulv_gpa){ guest.value + PAGE }, PAGE,
                                memory, offset, p, access);
    return spoiled_real->map(machine, guest, bytes, memory, offset, p, access);
}

static void
maps_a_page_more(struct ulv_backend_ops *ops)
{
    ops->map = map_a_page_more;
}

static ulv_status
unmap_nothing(void *machine, ulv_gpa guest, uint64_t bytes)
{
    (void)machine;
    (void)guest;
    (void)bytes;
    return ULV_OK;
}

static void
forgets_unmap(struct ulv_backend_ops *ops)
{
    ops->unmap = unmap_nothing;
}

static ulv_status
unmap_and_scrub(void *machine, ulv_gpa guest, uint64_t bytes)
{
    if (guest.value != ULV_GUEST_RAM_BASE && spoiled_ram != NULL)
        memset(spoiled_ram, 0, bytes);
    return spoiled_real->unmap(machine, guest, bytes);
}

static ulv_status
map_and_remember(void *machine, ulv_gpa guest, uint64_t bytes,
                 ulv_handle memory, uint64_t offset, void *p, uint32_t access)
{
    if (guest.value != ULV_GUEST_RAM_BASE)
        spoiled_ram = p;
    return spoiled_real->map(machine, guest, bytes, memory, offset, p, access);
}

static void
scrubs_what_it_unmaps(struct ulv_backend_ops *ops)
{
    ops->map = map_and_remember;
    ops->unmap = unmap_and_scrub;
}

static ulv_status
map_before_the_run(void *machine, ulv_gpa guest, uint64_t bytes,
                   ulv_handle memory, uint64_t offset, void *p,
                   uint32_t access)
{
    if (spoiled_flag != 0)
        return ULV_OK;
    return spoiled_real->map(machine, guest, bytes, memory, offset, p, access);
}

static void
gives_nothing_after_the_start(struct ulv_backend_ops *ops)
{
    ops->vcpu_run = run_and_tell;
    ops->map = map_before_the_run;
}

static ulv_status
map_the_first_again(void *machine, ulv_gpa guest, uint64_t bytes,
                    ulv_handle memory, uint64_t offset, void *p,
                    uint32_t access)
{
    static ulv_handle first_memory;
    static uint64_t first_offset;

    if (guest.value == ULV_GUEST_RAM_BASE)
        return spoiled_real->map(machine, guest, bytes, memory, offset, p,
                                 access);
    if (spoiled_ram == NULL) {
        spoiled_ram = p;
        first_memory = memory;
        first_offset = offset;
    }
    return spoiled_real->map(machine, guest, bytes, first_memory, first_offset,
                             spoiled_ram, access);
}

static void
keeps_old_translations(struct ulv_backend_ops *ops)
{
    ops->map = map_the_first_again;
}

static ulv_status
map_and_say_ok(void *machine, ulv_gpa guest, uint64_t bytes,
               ulv_handle memory, uint64_t offset, void *p, uint32_t access)
{
    ulv_status status = spoiled_real->map(machine, guest, bytes, memory,
                                          offset, p, access);

    return status == ULV_E_UNSUPPORTED ? ULV_OK : status;
}

static void
says_it_can_remap(struct ulv_backend_ops *ops)
{
    ops->map = map_and_say_ok;
}

ulv_status
spoiled_map_and_tell(void *machine, ulv_gpa guest, uint64_t bytes,
                     ulv_handle memory, uint64_t offset, void *p,
                     uint32_t access)
{
    if (guest.value == ULV_GUEST_RAM_BASE)
        spoiled_ram = p;
    return spoiled_real->map(machine, guest, bytes, memory, offset, p, access);
}

static const struct spoil rows[] = {
    { "lacks a function", "the table is whole", "required", ON_ALL,
      lacks_a_function },
    { "has no version", "a probe says what can be", "version", ON_ALL,
      has_no_version },
    { "takes any gate", "what is no gate is refused", "a gate at 0x1", ON_ALL,
      takes_any_gate },
    { "leaks a descriptor", "machines that are gone have left nothing",
      "handles", ON_ALL, leaks_a_descriptor },
    { "leaks memory", "machines come and go", "16 bytes", ON_ALL,
      leaks_memory },
    { "promises too many regions", "regions up to the limit", "ULV_E_LIMIT",
      ON_ALL, promises_too_many_regions },
    { "lets guests write", "a store arrives, or faults", "not at 0x20000000",
      ON_CODE, lets_guests_write },
    { "lets guests write", "read-only memory is not written",
      "a fault expected", ON_CODE, lets_guests_write },
    { "lets guests execute", "data is not executed", "a fault expected",
      ON_CODE,
      lets_guests_execute },
    { "refuses nothing", "misaligned and empty ranges are refused", "ULV_E_ARG",
      ON_ALL, refuses_nothing },
    { "refuses nothing", "overlaps are refused", "ULV_E_EXISTS", ON_ALL,
      refuses_nothing },
    { "refuses nothing", "what is the backend's is refused", "ULV_E_EXISTS",
      ON_ALL, refuses_nothing },
    { "forgets the offset", "a region is the memory at its offset",
      "the guest reads", ON_CODE, forgets_the_offset },
    { "forgets the last page", "a large region", "a read expected", ON_CODE,
      forgets_the_last_page },
    { "maps a page more", "holes fault where they are", "a fault expected",
      ON_CODE, maps_a_page_more },
    { "forgets unmap", "unmap takes what was mapped", "ULV_OK", ON_ALL,
      forgets_unmap },
    { "forgets unmap", "memory comes and goes between two calls",
      "ULV_E_EXISTS", "kvm mock", forgets_unmap },
    { "forgets unmap", "memory is taken from a guest", "a fault expected",
      "kvm", forgets_unmap },
    { "scrubs what it unmaps", "memory is taken from a guest", "is gone",
      "kvm", scrubs_what_it_unmaps },
    { "forgets unmap", "memory is taken from all processors", "no exit",
      "kvm", forgets_unmap },
    { "does not notice a refusal", "a host that refuses", "not noticed", ON_ALL,
      does_not_notice_a_refusal },
    { "takes any number of processors", "too many processors are refused",
      "0 processors", ON_ALL, takes_any_number_of_processors },
    { "leaves some of a spare", "machines begin with a spare", "handles",
      "kvm", leaves_some_of_a_spare },
    { "leaks what never ran", "a machine is finished early", "bytes",
      ON_ALL, leaks_what_never_ran },
    { "leaks what runs", "a machine is finished while its guest runs",
      "64 bytes", ON_ALL, leaks_what_runs },
    { "closes what it never opened", "what was never made is finished",
      "handles", ON_ALL, closes_what_it_never_opened },
    { "promises a page more", "the highest address", "the last page", ON_ALL,
      promises_a_page_more },
    { "gives nothing after the start", "a guest is given memory",
      "a read expected", "kvm", gives_nothing_after_the_start },
    { "keeps old translations", "other memory at the same place",
      "the guest reads", "kvm", keeps_old_translations },
    { "forgets unmap", "memory changes under a guest that writes",
      "ULV_E_EXISTS", "kvm", forgets_unmap },
    { "forgets unmap", "regions in thousands of places", "unmap twice", "kvm",
      forgets_unmap },
    { "forgets the offset", "regions side by side", "the guest reads", ON_CODE,
      forgets_the_offset },
    { "says it can remap", "remapping is refused where it cannot be", "map: ",
      "process", says_it_can_remap },
};

const struct spoil_list machine_spoils = { rows, ULV_COUNT_OF(rows) };

const struct ulv_backend_ops *
spoil(const struct ulv_backend_ops *backend, const struct spoil *row)
{
    spoiled_real = backend;
    spoiled = *backend;
    spoiled_ram = NULL;
    spoiled_flag = 0;
    row->apply(&spoiled);
    return &spoiled;
}
