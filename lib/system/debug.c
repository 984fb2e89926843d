/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Stubs for debuggers: who connects, how the guest stands, what is said to its
 * monitor. A guest that runs is halted by its monitor, wherever that is; one
 * that has ended is looked at by what is left of it: how it ended, and memory.
 */
#include "system/debug.h"

#include "base/base.h"
#include "system/role_monitor.h"

static struct debugger *
find(const ulv_system *system, ulv_id partition)
{
    struct debugger *d = system->debuggers;

    while (d != NULL && d->partition != partition)
        d = d->next;
    return d;
}

ulv_status
ulv_debug_tell(struct debugger *d, uint32_t action, uint64_t run, uint64_t step)
{
    struct keeper_partition *p = ulv_debug_partition(d);
    struct say say = { .kind = SAY_DEBUG };
    struct say_registers changed[ULV_STUB_PROCESSORS_MAX];
    uint32_t count = 0;

    if (p == NULL || !p->alive)
        return ULV_E_STATE;
    memset(changed, 0, sizeof(changed));
    for (uint32_t i = 0; i < ULV_STUB_PROCESSORS_MAX; i++) {
        if ((d->changed >> i & 1) == 0)
            continue;
        changed[count].processor = i;
        changed[count++].registers = d->registers[i];
    }
    d->changed = 0;
    say.tail_bytes = count * (uint32_t)sizeof(changed[0]);
    say.u.debug.action = action;
    say.u.debug.number = ++p->debug_number;
    if (action != DEBUG_HALT)
        p->debug_let = p->debug_number;
    say.u.debug.run = run;
    say.u.debug.step = step;
    say.u.debug.debug = d->points;
    say.u.debug.debug.on = 1;
    return ulv_post_send(&p->post, &say, changed, NULL, 0);
}

/* ---- how the guest stands ------------------------------------------------ */

/* A monitor says so of its guest; what it says may be anything. */
static void
stopped(void *self, ulv_id partition, const struct heard *heard)
{
    ulv_system *system = self;
    const struct say_stopped *say = &heard->say.u.stopped;
    struct debugger *d = find(system, partition);
    const struct keeper_partition *p =
        ulv_keeper_partition(&system->keeper, partition);
    struct say_registers from;
    static const struct {
        uint32_t said, cause;
    } causes[] = {
        { ULV_DEBUG_INT3, ULV_STUB_CAUSE_INT3 },
        { ULV_DEBUG_EXECUTE, ULV_STUB_CAUSE_DEBUG },
        { ULV_DEBUG_WRITE, ULV_STUB_CAUSE_WRITE },
        { ULV_DEBUG_ACCESS, ULV_STUB_CAUSE_ACCESS },
    };

    /* of a halt that it was let go from meanwhile */
    if (d == NULL || (d->stands && !d->ended) || say->number < p->debug_let)
        return;
    d->stands = true;
    d->ended = d->asked = false;
    d->there = say->there;
    d->known = d->changed = 0;
    for (uint32_t at = 0; at + sizeof(from) <= heard->say.tail_bytes;
         at += (uint32_t)sizeof(from)) {
        memcpy(&from, heard->tail + at, sizeof(from));
        if (from.processor >= ULV_STUB_PROCESSORS_MAX)
            continue;
        d->registers[from.processor] = from.registers;
        d->known |= UINT64_C(1) << from.processor;
    }
    d->stop = (struct ulv_stub_stop){
        .processor = say->processor,
        .signal = say->cause == 0 ? ULV_STUB_SIGINT : ULV_STUB_SIGTRAP,
        .address = say->address};
    for (size_t i = 0; i < ULV_COUNT_OF(causes); i++) {
        if (causes[i].said == say->cause)
            d->stop.cause = causes[i].cause;
    }
    if (d->connection != ULV_NO_HANDLE)
        ulv_stub_stopped(&d->stub, &d->stop);
}

static uint32_t
signal_of(const struct ulv_end *end)
{
    static const uint8_t of_fault[] = {
        [ULV_FAULT_READ] = ULV_STUB_SIGSEGV,
        [ULV_FAULT_WRITE] = ULV_STUB_SIGSEGV,
        [ULV_FAULT_EXECUTE] = ULV_STUB_SIGSEGV,
        [ULV_FAULT_INSTRUCTION] = ULV_STUB_SIGILL,
        [ULV_FAULT_PROTECTION] = ULV_STUB_SIGSEGV,
        [ULV_FAULT_ARITHMETIC] = ULV_STUB_SIGFPE,
        [ULV_FAULT_PORT] = ULV_STUB_SIGSEGV,
        [ULV_FAULT_TRIPLE] = ULV_STUB_SIGBUS,
    };
    uint32_t kind = end->fault.kind;

    if (end->reason != ULV_END_REASON_FAULT)
        return ULV_STUB_NO_SIGNAL;
    if (kind < ULV_COUNT_OF(of_fault) && of_fault[kind] != 0)
        return of_fault[kind];
    return ULV_STUB_SIGKILL;
}

/* Its processor was where the record says; others are not known. */
static void
take_end(struct debugger *d, const struct ulv_end *end)
{
    static const struct ulv_registers none;

    d->stands = d->ended = true;
    d->asked = false;
    d->there = 1;
    d->known = d->changed = 0;
    d->registers[0] = end->fault.registers;
    if (end->reason == ULV_END_REASON_FAULT &&
        memcmp(&none, &end->fault.registers, sizeof(none)) != 0)
        d->known = 1;
    d->stop = (struct ulv_stub_stop){.signal = signal_of(end)};
}

/* It has ended under the debugger: by a fault it can be looked at, otherwise
 * that is all. */
static void
tell_end(struct debugger *d, const struct ulv_end *end)
{
    bool looked_at = d->stub.runs && d->stub.owes;

    take_end(d, end);
    if (end->reason == ULV_END_REASON_FAULT || !looked_at)
        ulv_stub_stopped(&d->stub, &d->stop);
    else
        ulv_stub_ended(&d->stub, end->reason == ULV_END_REASON_KILLED,
                       end->reason == ULV_END_REASON_KILLED
                           ? ULV_STUB_SIGKILL
                           : (uint32_t)end->code);
}

static bool
has_ended(const struct keeper_partition *p)
{
    return p->state == ULV_STATE_STOPPED || p->state == ULV_STATE_FAULTED;
}

/* Bring it to a halt, or see that it has ended, or begun anew. */
static void
follow_guest(struct debugger *d, const struct keeper_partition *p)
{
    if (d->ended && !has_ended(p)) /* started again */
        d->ended = d->stands = d->asked = false;
    if (has_ended(p) && !d->ended && d->connection == ULV_NO_HANDLE)
        d->stands = false;
    if (d->connection == ULV_NO_HANDLE)
        return;
    if (has_ended(p) && !d->ended)
        tell_end(d, &p->end);
    else if (p->state == ULV_STATE_RUNNING && d->stub.runs && !d->stub.owes)
        ulv_debug_target.stop(d);
}

/* ---- connections --------------------------------------------------------- */

static void
disconnect(struct debugger *d)
{
    const struct ulv_host *host = d->system->host;

    ulv_stub_fini(&d->stub);
    host->unwatch(host->self, d->system->waits, d->connection);
    d->port.disconnect(d->port.self, d->connection);
    d->connection = ULV_NO_HANDLE;
    d->in_len = 0;
    memset(&d->points, 0, sizeof(d->points));
    if (d->ended)
        return;
    (void)ulv_debug_tell(d, DEBUG_LET, 0, 0);
    d->stands = d->asked = false;
}

static void
connect(struct debugger *d, ulv_handle connection)
{
    const struct ulv_host *host = d->system->host;

    if (d->connection != ULV_NO_HANDLE ||
        host->watch(host->self, d->system->waits, connection) != ULV_OK) {
        d->port.disconnect(d->port.self, connection);
        return;
    }
    d->connection = connection;
    ulv_stub_init(&d->stub, &d->target);
    if (d->stands)
        ulv_stub_stopped(&d->stub, &d->stop);
}

/* false: the connection is over. */
static bool
receive(struct debugger *d)
{
    size_t room = sizeof(d->in) - d->in_len, some = 0;
    ulv_status status = ULV_E_LIMIT; /* nobody says so much unasked */

    if (room != 0)
        status = d->port.receive(d->port.self, d->connection, d->in + d->in_len,
                                 room, &some);
    d->in_len += status == ULV_OK ? some : 0;
    return status == ULV_OK || status == ULV_E_AGAIN;
}

/* false: the connection is over; *ret_left: not all could be sent. */
static bool
send(struct debugger *d, bool *ret_left)
{
    size_t len, some = 0;
    const uint8_t *p = ulv_stub_output(&d->stub, &len);
    ulv_status status = ULV_OK;

    if (len != 0)
        status = d->port.send(d->port.self, d->connection, p, len, &some);
    if (status == ULV_OK)
        ulv_stub_sent(&d->stub, some);
    (void)ulv_stub_output(&d->stub, &len);
    *ret_left = len != 0;
    return status == ULV_OK || status == ULV_E_AGAIN;
}

/* Hear and answer, as far as it goes; false: the connection is over. */
static bool
talk(struct debugger *d, struct role_need *need)
{
    size_t taken;
    bool left;

    if (!receive(d))
        return false;
    do {
        taken = ulv_stub_take(&d->stub, d->in, d->in_len);
        d->in_len -= taken;
        memmove(d->in, d->in + taken, d->in_len);
        if (!send(d, &left))
            return false;
        need->again |= taken != 0;
    } while (taken != 0 && d->in_len != 0 && !left);
    if (left) /* a debugger that does not read */
        need->deadline =
            ULV_MIN(need->deadline,
                    d->system->host->now(d->system->host->self) + 1000000);
    return left || !ulv_stub_is_over(&d->stub);
}

static void
step_one(struct debugger *d, struct role_need *need)
{
    const struct keeper_partition *p = ulv_debug_partition(d);
    ulv_handle connection;

    follow_guest(d, p);
    for (;;) { /* who has left makes room for who comes next */
        if (d->connection != ULV_NO_HANDLE && !talk(d, need))
            disconnect(d);
        if (d->port.accept(d->port.self, &connection) != ULV_OK)
            return;
        connect(d, connection);
        need->again = true;
    }
}

/* ---- a stub's life ------------------------------------------------------- */

static void
finish(struct debugger *d)
{
    ulv_system *system = d->system;
    const struct ulv_host *host = system->host;
    struct keeper_partition *p = ulv_debug_partition(d);
    struct debugger **at = &system->debuggers;

    if (d->connection != ULV_NO_HANDLE)
        disconnect(d);
    else if (!d->ended)
        (void)ulv_debug_tell(d, DEBUG_LET, 0, 0); /* it may be held */
    if (p != NULL)
        p->debug = 0;
    host->unwatch(host->self, system->waits, d->port.listener);
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    host->free(host->self, d, sizeof(*d));
}

static void
step(ulv_system *system, struct role_need *need)
{
    struct debugger *next;

    for (struct debugger *d = system->debuggers; d != NULL; d = next) {
        const struct ulv_debug_port port = d->port;

        next = d->next;
        if (ulv_debug_partition(d) != NULL) {
            step_one(d, need);
            continue;
        }
        finish(d); /* the partition is gone */
        port.close(port.self);
    }
}

static void
fini(ulv_system *system)
{
    while (system->debuggers != NULL) {
        const struct ulv_debug_port port = system->debuggers->port;

        finish(system->debuggers);
        port.close(port.self);
    }
}

/* Before a run: whether it is to be debugged. What cannot be said is lost with
 * the link, and the monitor with it. */
static void
hand_debug(struct keeper_partition *p)
{
    struct say say = { .kind = SAY_DEBUG };

    p->debug_made = p->debug != 0;
    p->debug_number = p->debug_let = 0;
    say.u.debug.action = p->debug;
    if (p->debug_made)
        ulv_post_tell(&p->post, &say, NULL, NULL, 0);
}

/* What the backend can; 0: nothing, or it is not there. */
static uint32_t
caps_of(const ulv_system *system)
{
    const struct ulv_backend_ops *backend = ulv_backend_find(system->backend);
    struct ulv_backend_caps caps;

    if (backend == NULL || backend->probe(system->host, &caps, NULL) != ULV_OK)
        return 0;
    return caps.debug;
}

static ulv_status
check(ulv_system *system, const struct keeper_partition *p,
      const struct ulv_debug_port *port, uint32_t flags, uint32_t caps,
      struct ulv_diag *diag)
{
    if (port->size < sizeof(*port) || (flags & ~ULV_DEBUG_HOLD) != 0)
        return ulv_fail(diag, ULV_E_ARG, p->id, flags, ULV_DEBUG_HOLD,
                        "a port of %u bytes, flags %x: this library knows %u "
                        "and %x",
                        (uint64_t)port->size, (uint64_t)flags,
                        (uint64_t)sizeof(*port), (uint64_t)ULV_DEBUG_HOLD);
    if (find(system, p->id) != NULL)
        return ulv_fail(diag, ULV_E_EXISTS, p->id, 0, 0,
                        "%s has a stub for debuggers", p->name);
    if (p->alive && !p->debug_made && (caps & ULV_DEBUG_FROM_START) != 0)
        return ulv_fail(diag, ULV_E_STATE, p->id, p->state, 0,
                        "%s runs: the %s backend can debug only a guest that "
                        "is started after its stub",
                        p->name, system->backend);
    return ULV_OK;
}

/* From now on monitors hear of debuggers. */
static void
hook(ulv_system *system, const struct keeper_partition *p)
{
    system->debug_step = step;
    system->debug_fini = fini;
    system->keeper.debug = &ulv_role_debug;
    system->keeper.stopped = stopped;
    system->keeper.hand_debug = hand_debug;
    if (p->role != NULL)
        p->role->debug = &ulv_role_debug;
}

ulv_status
ulv_debug_start(ulv_system *system, ulv_id partition,
                const struct ulv_debug_port *port, uint32_t flags,
                struct ulv_diag *diag)
{
    const struct ulv_host *host = system->host;
    struct keeper_partition *p = ulv_system_guest(system, partition, diag);
    uint32_t caps = caps_of(system);
    struct debugger *d;
    ulv_status status;

    if (p == NULL)
        return ULV_E_NOT_FOUND;
    status = check(system, p, port, flags, caps, diag);
    if (status != ULV_OK)
        return status;
    d = host->alloc(host->self, sizeof(*d), 8);
    if (d == NULL)
        return ulv_fail(diag, ULV_E_NO_MEMORY, partition, sizeof(*d), 0,
                        "no memory for a stub");
    status = host->watch(host->self, system->waits, port->listener);
    if (status != ULV_OK) {
        host->free(host->self, d, sizeof(*d));
        return ulv_fail(diag, status, partition, 0, 0,
                        "debuggers of %s cannot be waited for", p->name);
    }
    d->system = system;
    d->partition = partition;
    d->port = *port;
    d->caps = caps;
    d->connection = ULV_NO_HANDLE;
    d->target = ulv_debug_target;
    d->target.self = d;
    d->next = system->debuggers;
    system->debuggers = d;
    p->debug = (flags & ULV_DEBUG_HOLD) != 0 ? DEBUG_HOLD : DEBUG_READY;
    hook(system, p);
    return ULV_OK;
}

ulv_status
ulv_debug_stop(ulv_system *system, ulv_id partition)
{
    struct debugger *d = find(system, partition);
    struct ulv_debug_port port;

    if (d == NULL)
        return ULV_E_NOT_FOUND;
    port = d->port;
    finish(d);
    port.close(port.self);
    return ULV_OK;
}
