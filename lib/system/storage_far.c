/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Invariant: asked is answered or one more. The role writes the request, then
 * asked; the keeper does it, writes the result, then answered. So each byte of
 * the page and the window is one side's at a time.
 *
 * A = asked, D = the keeper has done it, R = answered, X = the role dies.
 *
 * What is appended waits in the window for what is asked next, which is the
 * sync: the keeper does both at once, and what fails of it is the answer to
 * that. Whoever appends has learned nothing of durability before.
 *
 * 1. A D R: the common case.
 * 2. A X: the keeper does it or does not, as when a machine ends inside a call
 *    of a storage; whoever opens the storage next finds the one or the other.
 *    It gets a page of its own: nothing is done for the dead any more.
 * 3. A D X R: the same.
 * 4. What must fail: the successor opens the storage, and then the keeper does
 *    what the dead one had asked: it would append to what was read already.
 *    The page of the dead is closed before the successor is started.
 */
#include "system/storage_far.h"

#include "base/base.h"

#define PAGE   UINT64_C(4096)
#define WINDOW UINT32_C(65536)

/* Objects behind the journal's are not the ultravisor's. */
#define JOURNAL_LAST (ULV_STORAGE_SEGMENT + 1u)

enum far_operation {
    FAR_BYTES = 1,
    FAR_READ,
    FAR_NOTHING, /* but what was appended */
    FAR_SYNC,
    FAR_TRUNCATE,
    FAR_REPLACE,
};

struct far_request {
    uint32_t operation, object;
    uint64_t where; /* offset, length, or the other object */
    uint64_t bytes; /* read, into the window */
    /* before that: bytes of the window to the end of an object */
    uint32_t appended_to, appended_bytes;
};

struct far_page {
    uint64_t asked, answered;
    struct far_request request;
    uint64_t result;
    struct ulv_diag diag;
};

_Static_assert(sizeof(struct far_page) <= PAGE, "the window is behind it");

/* ---- the keeper ---------------------------------------------------------- */

static void
close_handle(const struct ulv_host *host, ulv_handle *h)
{
    if (*h != ULV_NO_HANDLE)
        host->handle_close(host->self, *h);
    *h = ULV_NO_HANDLE;
}

static void
close_all(struct far_server *s, const struct ulv_host *host)
{
    close_handle(host, &s->memory);
    close_handle(host, &s->bell[0]);
    close_handle(host, &s->bell[1]);
}

static void
rang(struct bell *bell)
{
    ULV_CONTAINER_OF(bell, struct far_server, ours)->rang = true;
}

/* Also where the host cannot tell which bell rang: then it is always looked. */
static ulv_status
watch_ours(struct far_server *s, const struct ulv_host *host)
{
    ulv_status status = host->watch(host->self, s->rung->waits, s->bell[1]);

    if (status != ULV_OK)
        return status;
    s->rang = true;
    status = ulv_rung_add(s->rung, &s->ours, s->bell[1], rang);
    if (status != ULV_OK)
        host->unwatch(host->self, s->rung->waits, s->bell[1]);
    return status;
}

static void
unwatch_ours(struct far_server *s, const struct ulv_host *host)
{
    ulv_rung_remove(s->rung, &s->ours);
    host->unwatch(host->self, s->rung->waits, s->bell[1]);
}

ulv_status
ulv_far_server_init(struct far_server *s, const struct ulv_host *host,
                    struct rung *rung)
{
    ulv_status status;
    void *p = NULL;

    memset(s, 0, sizeof(*s));
    s->rung = rung;
    s->memory = s->bell[0] = s->bell[1] = ULV_NO_HANDLE;
    status = host->memory_create(host->self, "ulv-storage", PAGE + WINDOW, 0,
                                 &s->memory);
    if (status == ULV_OK)
        status = host->memory_seal(host->self, s->memory,
                                   ULV_SEAL_SIZE | ULV_SEAL_SEALS);
    for (uint32_t i = 0; i < 2 && status == ULV_OK; i++)
        status = host->event_create(host->self, &s->bell[i]);
    if (status == ULV_OK)
        status = watch_ours(s, host);
    if (status == ULV_OK) {
        status = host->memory_map(host->self, s->memory, 0, PAGE + WINDOW,
                                  ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
        if (status != ULV_OK)
            unwatch_ours(s, host);
    }
    s->p = p;
    if (status != ULV_OK)
        close_all(s, host);
    return status;
}

void
ulv_far_server_fini(struct far_server *s, const struct ulv_host *host)
{
    if (s->p == NULL)
        return;
    unwatch_ours(s, host);
    host->memory_unmap(host->self, s->p, PAGE + WINDOW);
    s->p = NULL;
    close_all(s, host);
}

static ulv_status
check_shape(const struct far_request *request, struct ulv_diag *diag)
{
    if (request->object <= JOURNAL_LAST && request->bytes <= WINDOW &&
        request->appended_to <= JOURNAL_LAST &&
        request->appended_bytes <= WINDOW &&
        (request->operation != FAR_REPLACE || request->where <= JOURNAL_LAST))
        return ULV_OK;
    return ulv_fail(diag, ULV_E_ARG, request->object, request->bytes, WINDOW,
                    "a storage has no such object or piece");
}

static ulv_status
append(struct far_page *page, const struct far_request *request,
       const struct ulv_storage *storage, struct ulv_diag *diag)
{
    if (request->appended_bytes == 0)
        return ULV_OK;
    return storage->append(storage->self, request->appended_to,
                           (uint8_t *)page + PAGE, request->appended_bytes,
                           diag);
}

static ulv_status
serve(struct far_page *page, const struct far_request *request,
      const struct ulv_storage *storage, uint64_t *ret_result,
      struct ulv_diag *diag)
{
    uint8_t *window = (uint8_t *)page + PAGE;
    const uint32_t object = request->object;

    switch (request->operation) {
    case FAR_BYTES:
        return storage->bytes(storage->self, object, ret_result, diag);
    case FAR_READ:
        return storage->read(storage->self, object, request->where, window,
                             (size_t)request->bytes, diag);
    case FAR_NOTHING:
        return ULV_OK;
    case FAR_SYNC:
        return storage->sync(storage->self, object, diag);
    case FAR_TRUNCATE:
        return storage->truncate(storage->self, object, request->where, diag);
    case FAR_REPLACE:
        return storage->replace(storage->self, object,
                                (uint32_t)request->where, diag);
    default:
        return ulv_fail(diag, ULV_E_ARG, object, request->operation,
                        FAR_REPLACE, "a storage does no such thing");
    }
}

/* A length that is not there is an error of the storage's, not a fault of
 * ours: it is asked before anything is read or cut. */
static ulv_status
check_length(const struct far_request *request,
             const struct ulv_storage *storage, struct ulv_diag *diag)
{
    const bool reads = request->operation == FAR_READ;
    uint64_t bytes = 0, end = request->where;
    ulv_status status = ULV_OK;

    if (!reads && request->operation != FAR_TRUNCATE)
        return ULV_OK;
    status = storage->bytes(storage->self, request->object, &bytes, diag);
    if (status != ULV_OK)
        return status;
    if ((reads && !ulv_add_u64(end, request->bytes, &end)) || end > bytes)
        return ulv_fail(diag, ULV_E_ARG, request->object, end, bytes,
                        "a storage's object has %u bytes, not %u", bytes, end);
    return ULV_OK;
}

void
ulv_far_server_step(struct far_server *s, const struct ulv_host *host,
                    const struct ulv_storage *storage)
{
    struct far_page *page = s->p;
    struct far_request request;
    struct ulv_diag diag = ULV_DIAG_INIT;
    uint64_t asked, result = 0;

    if (page == NULL || !s->rang)
        return;
    s->rang = !ulv_rung_can_tell(s->rung);
    (void)host->event_take(host->self, s->bell[1]);
    /* with the role's store in ask() */
    asked = __atomic_load_n(&page->asked, __ATOMIC_ACQUIRE);
    if (asked == s->served)
        return;
    memcpy(&request, &page->request, sizeof(request)); /* our own */
    diag.status = check_shape(&request, &diag);
    if (diag.status == ULV_OK)
        diag.status = append(page, &request, storage, &diag);
    if (diag.status == ULV_OK)
        diag.status = check_length(&request, storage, &diag);
    if (diag.status == ULV_OK)
        diag.status = serve(page, &request, storage, &result, &diag);
    page->result = result;
    memcpy(&page->diag, &diag, sizeof(diag));
    s->served = asked;
    /* with the role's load in ask() */
    __atomic_store_n(&page->answered, asked, __ATOMIC_RELEASE);
    host->event_signal(host->self, s->bell[0]);
}

/* ---- the role ------------------------------------------------------------ */

struct far_storage {
    struct ulv_storage storage;
    const struct ulv_host *host;
    ulv_handle waits; /* for nothing but the answer */
    ulv_handle own_bell, peer_bell;
    struct far_page *page;
    uint64_t number;
    uint32_t appended_to, appended_bytes; /* that wait in the window */
};

static uint8_t *
window_of(const struct far_storage *s)
{
    return (uint8_t *)s->page + PAGE;
}

/* If the keeper dies, so do we. */
static ulv_status
ask(struct far_storage *s, const struct far_request *request,
    struct ulv_diag *diag)
{
    const struct ulv_host *host = s->host;
    struct far_page *page = s->page;

    memcpy(&page->request, request, sizeof(*request));
    page->request.appended_to = s->appended_to;
    page->request.appended_bytes = s->appended_bytes;
    s->appended_bytes = 0;
    s->number++;
    /* with the keeper's load in ulv_far_server_step() */
    __atomic_store_n(&page->asked, s->number, __ATOMIC_RELEASE);
    host->event_signal(host->self, s->peer_bell);
    /* with the keeper's store there */
    while (__atomic_load_n(&page->answered, __ATOMIC_ACQUIRE) != s->number) {
        ulv_status status = host->wait(host->self, s->waits, ULV_FOREVER);

        if (status != ULV_OK && status != ULV_E_TIMEOUT)
            return ulv_fail(diag, status, request->object, 0, 0,
                            "the keeper cannot be waited for");
        (void)host->event_take(host->self, s->own_bell);
    }
    if (page->diag.status != ULV_OK && diag != NULL) {
        memcpy(diag, &page->diag, sizeof(*diag));
        diag->text[sizeof(diag->text) - 1] = '\0';
    }
    return page->diag.status;
}

static ulv_status
far_bytes(void *self, uint32_t object, uint64_t *ret, struct ulv_diag *diag)
{
    struct far_storage *s = self;
    const struct far_request request = { .operation = FAR_BYTES,
                                         .object = object };
    ulv_status status = ask(s, &request, diag);

    *ret = s->page->result;
    return status;
}

static ulv_status
far_read(void *self, uint32_t object, uint64_t offset, void *buf, size_t len,
         struct ulv_diag *diag)
{
    struct far_storage *s = self;
    uint8_t *to = buf;

    while (len > 0) {
        const size_t some = ULV_MIN(len, (size_t)WINDOW);
        const struct far_request request = { .operation = FAR_READ,
                                             .object = object,
                                             .where = offset,
                                             .bytes = some };
        ulv_status status = ask(s, &request, diag);

        if (status != ULV_OK)
            return status;
        memcpy(to, window_of(s), some);
        to += some;
        offset += some;
        len -= some;
    }
    return ULV_OK;
}

static ulv_status
far_append(void *self, uint32_t object, const void *p, size_t len,
           struct ulv_diag *diag)
{
    struct far_storage *s = self;
    const uint8_t *from = p;

    while (len > 0) {
        const size_t some =
            ULV_MIN(len, (size_t)(WINDOW - s->appended_bytes));
        const struct far_request request = { .operation = FAR_NOTHING,
                                             .object = object };
        ulv_status status;

        if (some != 0 &&
            (s->appended_bytes == 0 || s->appended_to == object)) {
            memcpy(window_of(s) + s->appended_bytes, from, some);
            s->appended_to = object;
            s->appended_bytes += (uint32_t)some;
            from += some;
            len -= some;
            continue;
        }
        status = ask(s, &request, diag);
        if (status != ULV_OK)
            return status;
    }
    return ULV_OK;
}

static ulv_status
far_sync(void *self, uint32_t object, struct ulv_diag *diag)
{
    const struct far_request request = { .operation = FAR_SYNC,
                                         .object = object };

    return ask(self, &request, diag);
}

static ulv_status
far_truncate(void *self, uint32_t object, uint64_t bytes,
             struct ulv_diag *diag)
{
    const struct far_request request = { .operation = FAR_TRUNCATE,
                                         .object = object,
                                         .where = bytes };

    return ask(self, &request, diag);
}

static ulv_status
far_replace(void *self, uint32_t from, uint32_t to, struct ulv_diag *diag)
{
    const struct far_request request = { .operation = FAR_REPLACE,
                                         .object = from,
                                         .where = to };

    return ask(self, &request, diag);
}

static void
far_close(void *self)
{
    struct far_storage *s = self;
    const struct ulv_host *host = s->host;

    host->unwatch(host->self, s->waits, s->own_bell);
    host->handle_close(host->self, s->waits);
    host->handle_close(host->self, s->own_bell);
    host->handle_close(host->self, s->peer_bell);
    host->memory_unmap(host->self, s->page, PAGE + WINDOW);
    host->free(host->self, s, sizeof(*s));
}

static ulv_status
set_up(struct far_storage *s, const ulv_handle *handles)
{
    const struct ulv_host *host = s->host;
    void *p = NULL;
    ulv_status status = host->wait_create(host->self, &s->waits);

    if (status != ULV_OK)
        return status;
    status = host->watch(host->self, s->waits, handles[1]);
    if (status == ULV_OK) {
        status = host->memory_map(host->self, handles[0], 0, PAGE + WINDOW,
                                  ULV_MAP_READ | ULV_MAP_WRITE, NULL, &p);
        if (status != ULV_OK)
            host->unwatch(host->self, s->waits, handles[1]);
    }
    if (status != ULV_OK)
        host->handle_close(host->self, s->waits);
    s->page = p;
    return status;
}

ulv_status
ulv_far_storage_open(const struct ulv_host *host, const ulv_handle *handles,
                     const struct ulv_storage **ret)
{
    struct far_storage *s = host->alloc(host->self, sizeof(*s), 8);
    ulv_status status = ULV_E_NO_MEMORY;

    if (s == NULL)
        return status;
    s->host = host;
    s->storage = (struct ulv_storage){ .size = sizeof(s->storage),
                                       .self = s,
                                       .bytes = far_bytes,
                                       .read = far_read,
                                       .append = far_append,
                                       .sync = far_sync,
                                       .truncate = far_truncate,
                                       .replace = far_replace,
                                       .close = far_close };
    status = set_up(s, handles);
    if (status != ULV_OK) {
        host->free(host->self, s, sizeof(*s));
        return status;
    }
    host->handle_close(host->self, handles[0]);
    s->own_bell = handles[1];
    s->peer_bell = handles[2];
    *ret = &s->storage;
    return ULV_OK;
}
