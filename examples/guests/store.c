/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A store of keys and values, served over a channel of type "store". Whoever
 * has the other end sends requests and gets one answer for each, in order:
 *
 *   PUT    key length (1 byte), key, value     OK, or FULL: no memory
 *   GET    key                                 OK with the value, or ABSENT
 *   DELETE key                                 OK or ABSENT
 *   COUNT                                      OK with "<keys> <bytes>" as text
 *   STOP                                       OK; exit code 0
 *
 * A request that cannot be is answered BAD.
 */
#include <ultravisor/guest.h>

enum { PUT = 1, GET, DELETE, COUNT, STOP };
enum { OK = 100, ABSENT, FULL, BAD };

#define BUCKETS     256u
#define REQUEST_MAX 1024u

struct entry {
    struct entry *next;
    uint32_t hash, key_len, value_len;
    uint8_t bytes[]; /* key, then value */
};

struct key {
    const uint8_t *p;
    uint32_t len, hash;
};

static struct entry *bucket[BUCKETS];
static uint64_t keys, value_bytes;
static struct guest_loop loop;
static struct guest_channel channel;

static struct key
make_key(const uint8_t *p, uint32_t len)
{
    struct key key = { .p = p, .len = len, .hash = 2166136261u }; /* FNV-1a */

    for (uint32_t i = 0; i < len; i++)
        key.hash = (key.hash ^ p[i]) * 16777619u;
    return key;
}

static bool
is_key(const struct entry *e, const struct key *key)
{
    if (e->hash != key->hash || e->key_len != key->len)
        return false;
    for (uint32_t i = 0; i < key->len; i++) {
        if (e->bytes[i] != key->p[i])
            return false;
    }
    return true;
}

/* Where the entry hangs; what it points to is NULL if there is none. */
static struct entry **
find(const struct key *key)
{
    struct entry **at = &bucket[key->hash % BUCKETS];

    while (*at != NULL && !is_key(*at, key))
        at = &(*at)->next;
    return at;
}

static void
drop(struct entry **at)
{
    struct entry *e = *at;

    *at = e->next;
    keys--;
    value_bytes -= e->value_len;
    guest_free(e);
}

static bool
put(const struct key *key, const uint8_t *value, uint32_t len)
{
    struct entry *e = guest_alloc(sizeof(*e) + key->len + len);
    struct entry **at;

    if (e == NULL)
        return false; /* and what was there is there still */
    e->hash = key->hash;
    e->key_len = key->len;
    e->value_len = len;
    for (uint32_t i = 0; i < key->len; i++)
        e->bytes[i] = key->p[i];
    for (uint32_t i = 0; i < len; i++)
        e->bytes[key->len + i] = value[i];
    at = find(key);
    if (*at != NULL)
        drop(at);
    e->next = bucket[key->hash % BUCKETS];
    bucket[key->hash % BUCKETS] = e;
    keys++;
    value_bytes += len;
    return true;
}

static void
answer(uint32_t type, const void *data, uint32_t len)
{
    int32_t status = guest_channel_send(&channel, type, data, len);

    if (status != 0)
        guest_fault(1, "the other end broke the channel");
}

static void
carry_out_put(const uint8_t *request, uint32_t len)
{
    struct key key;

    if (len < 2 || request[0] == 0 || request[0] > len - 1) {
        answer(BAD, NULL, 0);
        return;
    }
    key = make_key(request + 1, request[0]);
    answer(put(&key, request + 1 + key.len, len - 1 - key.len) ? OK : FULL,
           NULL, 0);
}

static void
carry_out(uint32_t type, const uint8_t *request, uint32_t len)
{
    const struct key key = make_key(request, len);
    struct entry **at = find(&key);
    char text[64];

    if ((type == GET || type == DELETE) && *at == NULL) {
        answer(ABSENT, NULL, 0);
    } else if (type == GET) {
        answer(OK, (*at)->bytes + (*at)->key_len, (*at)->value_len);
    } else if (type == DELETE) {
        drop(at);
        answer(OK, NULL, 0);
    } else if (type == COUNT) {
        len = (uint32_t)guest_format(text, sizeof(text), "%lu %lu", keys,
                                     value_bytes);
        answer(OK, text, len);
    } else if (type == STOP) {
        answer(OK, NULL, 0);
        guest_loop_stop(&loop, 0);
    } else {
        answer(BAD, NULL, 0);
    }
}

static void
serve(void *argument, uint32_t what)
{
    static uint8_t request[REQUEST_MAX]; /* a copy: the peer can write there */
    struct guest_record record;
    uint32_t type, len;
    int32_t status;

    (void)argument;
    if ((what & GUEST_READABLE) == 0)
        return;
    status = guest_channel_receive(&channel, &type, request, sizeof(request),
                                   &len, 0);
    if (status == 0 && type == PUT) {
        carry_out_put(request, len);
    } else if (status == 0) {
        carry_out(type, request, len);
    } else if (status == ULV_E_LIMIT &&
               guest_channel_peek(&channel, &record) == 0) {
        guest_channel_release(&channel);
        answer(BAD, NULL, 0);
    } else if (status != ULV_E_TIMEOUT) {
        guest_channel_fail(&channel, status);
        guest_loop_stop(&loop, 2);
    }
}

int
guest_main(void)
{
    static struct guest_watch watch = { .channel = &channel, .run = serve };
    int code;

    guest_loop_init(&loop);
    if (!guest_channel_open_named(&channel, "store", UINT64_MAX))
        return 1;
    guest_loop_watch(&loop, &watch);
    code = guest_loop_run(&loop);
    guest_channel_close(&channel);
    return code;
}
