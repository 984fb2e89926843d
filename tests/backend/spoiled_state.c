/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What can be spoiled about saving, tracking and time. */
#include "spoiled.h"

#include <string.h>

#include "base/base.h"

static ulv_status
restore_nothing(void *vcpu, const void *state, size_t bytes,
                struct ulv_diag *diag)
{
    (void)vcpu;
    (void)state;
    (void)bytes;
    (void)diag;
    return ULV_OK;
}

static void
restores_nothing(struct ulv_backend_ops *ops)
{
    ops->vcpu_restore = restore_nothing;
}

static ulv_status
check_nothing(const struct ulv_host *host, const void *state, size_t bytes,
              struct ulv_diag *diag)
{
    (void)host;
    (void)state;
    (void)bytes;
    return ulv_fail(diag, ULV_E_UNSUPPORTED, 0, 0, 0, "not here");
}

static void
goes_on_with_nothing(struct ulv_backend_ops *ops)
{
    ops->state_check = check_nothing;
}

static ulv_status
save_and_start_anew(void *vcpu, void *buf, size_t capacity, size_t *ret_bytes,
                    struct ulv_diag *diag)
{
    ulv_status status =
        spoiled_real->vcpu_save(vcpu, buf, capacity, ret_bytes, diag);

    (void)spoiled_real->vcpu_start(vcpu, (ulv_gpa){ ULV_GUEST_RAM_BASE },
                                   (ulv_gpa){ ULV_GUEST_RAM_BASE + 65536 },
                                   77);
    return status;
}

static void
disturbs_who_is_saved(struct ulv_backend_ops *ops)
{
    ops->vcpu_save = save_and_start_anew;
}

static ulv_status
save_behind_the_end(void *vcpu, void *buf, size_t capacity, size_t *ret_bytes,
                    struct ulv_diag *diag)
{
    ulv_status status =
        spoiled_real->vcpu_save(vcpu, buf, capacity, ret_bytes, diag);

    if (status != ULV_OK)
        ((uint8_t *)buf)[capacity] = 1;
    return status;
}

static void
writes_behind_the_end(struct ulv_backend_ops *ops)
{
    ops->vcpu_save = save_behind_the_end;
}

static ulv_status
collect_nothing(void *machine, ulv_gpa guest, uint64_t bytes, uint64_t *bitmap)
{
    ulv_status status =
        spoiled_real->collect(machine, guest, bytes, bitmap);

    if (status == ULV_OK)
        memset(bitmap, 0, (size_t)(bytes / 4096 + 63) / 64 * 8);
    return status;
}

static void
tells_of_no_page(struct ulv_backend_ops *ops)
{
    ops->collect = collect_nothing;
}

static ulv_status
collect_into_what_was(void *machine, ulv_gpa guest, uint64_t bytes,
                      uint64_t *bitmap)
{
    uint64_t was = bitmap[0];
    ulv_status status =
        spoiled_real->collect(machine, guest, bytes, bitmap);

    bitmap[0] |= was;
    return status;
}

static void
adds_to_the_bitmap(struct ulv_backend_ops *ops)
{
    ops->collect = collect_into_what_was;
}

static ulv_status
track_always(void *machine, bool on)
{
    (void)on;
    return spoiled_real->track(machine, true);
}

static void
tracks_for_ever(struct ulv_backend_ops *ops)
{
    ops->track = track_always;
}

static ulv_nsec
time_stands(void *vcpu)
{
    (void)vcpu;
    return 5;
}

static void
lets_time_stand(struct ulv_backend_ops *ops)
{
    ops->vcpu_time = time_stands;
}

const struct spoil state_spoils[] = {
    { "restores nothing", "saved anywhere, a guest goes on elsewhere", "exit",
      "kvm", restores_nothing },
    { "restores nothing", "saved at a call, it is answered elsewhere", "call",
      "kvm", restores_nothing },
    { "restores nothing", "what was not saved is not restored", "ULV_OK",
      "kvm", restores_nothing },
    { "goes on with nothing", "saved at a call, it is answered elsewhere",
      "not here", "kvm", goes_on_with_nothing },
    { "disturbs who is saved", "who was saved goes on", "argument 0", "kvm",
      disturbs_who_is_saved },
    { "writes behind the end", "too little room to be saved", "behind", "kvm",
      writes_behind_the_end },
    { "tells of no page", "pages that were written are told of",
      "written pages", "kvm", tells_of_no_page },
    { "tells of no page", "no write is lost under a guest that writes",
      "counted", "kvm", tells_of_no_page },
    { "adds to the bitmap", "pages that were written are told of",
      "written pages", "kvm", adds_to_the_bitmap },
    { "tracks for ever", "what is not tracked is not told of", "untracked",
      "kvm", tracks_for_ever },
    { "lets time stand", "the time of a processor grows", "stays 5",
      "process", lets_time_stand },
};

const size_t state_spoil_count = ULV_COUNT_OF(state_spoils);
