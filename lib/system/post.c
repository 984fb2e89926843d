/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "system/post.h"

#include "base/base.h"
#include "system/link.h"

struct post_letter {
    struct post_letter *next;
    uint32_t tail_bytes;
    uint32_t handle_count;
    struct say say;
    ulv_handle handle[4];
    /* the tail follows */
};

/* How many handles a kind comes with: least, most. */
static const struct {
    uint32_t kind, least, most;
} handle_rules[] = {
    { SAY_CONFIGURE, 0, 3 },
    { SAY_VIEW, 1, 1 },    { SAY_BELL, 1, 1 },   { SAY_EXTENT, 1, 1 },
    { SAY_CHANNEL, 1, 3 }, { SAY_DEVICE, 2, 3 }, { SAY_START, 1, 2 },
    { SAY_TRACE, 1, 1 },   { SAY_RENEW, 1, 1 },  { SAY_SAVE, 1, 1 },
    { SAY_RESTORE, 1, 1 },
};

ulv_status
ulv_post_init(struct post *post, const struct ulv_host *host,
              ulv_handle waits, struct ulv_link *link)
{
    memset(post, 0, sizeof(*post));
    post->host = host;
    post->waits = waits;
    post->link = link;
    post->last = &post->first;
    if (!ulv_link_is_near(link))
        post->buf = host->alloc(host->self, ULV_LINK_MESSAGE_MAX, 8);
    if ((post->buf != NULL || ulv_link_is_near(link)) &&
        host->watch(host->self, waits, link->readable) == ULV_OK) {
        post->watched = true;
        return ULV_OK;
    }
    ulv_post_fini(post);
    return ULV_E_NO_MEMORY;
}

static void
free_letter(struct post *post, struct post_letter *letter)
{
    const struct ulv_host *host = post->host;

    for (uint32_t i = 0; i < letter->handle_count; i++)
        host->handle_close(host->self, letter->handle[i]);
    host->free(host->self, letter, sizeof(*letter) + letter->tail_bytes);
}

static void
drop_waiting(struct post *post)
{
    while (post->first != NULL) {
        struct post_letter *letter = post->first;

        post->first = letter->next;
        free_letter(post, letter);
    }
    post->last = &post->first;
    post->waiting_count = 0;
}

void
ulv_post_fini(struct post *post)
{
    const struct ulv_host *host = post->host;

    if (host == NULL)
        return;
    drop_waiting(post);
    if (post->link != NULL) {
        if (post->watched)
            host->unwatch(host->self, post->waits, post->link->readable);
        post->link->ops->close(post->link);
    }
    host->free(host->self, post->buf, ULV_LINK_MESSAGE_MAX);
    memset(post, 0, sizeof(*post));
}

/* One message on the link, now. */
static ulv_status
send_now(struct post *post, const struct say *say, const void *tail,
         const ulv_handle *handles, uint32_t handle_count)
{
    uint8_t *message;
    ulv_status status;
    size_t len = sizeof(*say) + say->tail_bytes;
    const struct ulv_host *host = post->host;

    if (say->tail_bytes == 0)
        return post->link->ops->send(post->link, say, len, handles,
                                     handle_count);
    message = host->alloc(host->self, len, 8);
    if (message == NULL)
        return ULV_E_NO_MEMORY;
    memcpy(message, say, sizeof(*say));
    memcpy(message + sizeof(*say), tail, say->tail_bytes);
    status = post->link->ops->send(post->link, message, len, handles,
                                   handle_count);
    host->free(host->self, message, len);
    return status;
}

static ulv_status
keep_letter(struct post *post, const struct say *say, const void *tail,
            const ulv_handle *handles, uint32_t handle_count)
{
    const struct ulv_host *host = post->host;
    struct post_letter *letter;

    if (post->waiting_count == POST_WAITING_MAX) {
        post->gone = true;
        drop_waiting(post);
        return ULV_OK;
    }
    letter = host->alloc(host->self, sizeof(*letter) + say->tail_bytes, 8);
    if (letter == NULL)
        return ULV_E_NO_MEMORY;
    letter->say = *say;
    letter->tail_bytes = say->tail_bytes;
    for (uint32_t i = 0; i < handle_count; i++) {
        ulv_status status = host->handle_duplicate(host->self, handles[i],
                                                   &letter->handle[i]);

        if (status != ULV_OK) {
            free_letter(post, letter);
            return status;
        }
        letter->handle_count++;
    }
    if (say->tail_bytes != 0)
        memcpy(letter + 1, tail, say->tail_bytes);
    *post->last = letter;
    post->last = &letter->next;
    post->waiting_count++;
    return ULV_OK;
}

ulv_status
ulv_post_send(struct post *post, const struct say *say, const void *tail,
              const ulv_handle *handles, uint32_t handle_count)
{
    ulv_status status = ULV_E_FULL;

    if (say->tail_bytes > SAY_TAIL_MAX || handle_count > 4)
        return ULV_E_LIMIT;
    ulv_post_flush(post);
    if (post->gone || post->link == NULL)
        return ULV_OK;
    if (post->first == NULL)
        status = send_now(post, say, tail, handles, handle_count);
    if (status == ULV_E_FULL)
        return keep_letter(post, say, tail, handles, handle_count);
    if (status == ULV_E_PEER_GONE) {
        post->gone = true;
        return ULV_OK;
    }
    return status;
}

ulv_status
ulv_post_send_now(struct post *post, const struct say *say, const void *tail)
{
    ulv_status status;

    if (say->tail_bytes > SAY_TAIL_MAX)
        return ULV_E_LIMIT;
    ulv_post_flush(post);
    if (post->gone || post->link == NULL)
        return ULV_OK;
    if (post->first != NULL)
        return ULV_E_FULL;
    status = send_now(post, say, tail, NULL, 0);
    if (status == ULV_E_PEER_GONE) {
        post->gone = true;
        status = ULV_OK;
    }
    return status;
}

void
ulv_post_tell(struct post *post, const struct say *say, const void *tail,
              const ulv_handle *handles, uint32_t handle_count)
{
    if (ulv_post_send(post, say, tail, handles, handle_count) != ULV_OK)
        post->gone = true;
}

void
ulv_post_flush(struct post *post)
{
    while (post->first != NULL && !post->gone && post->link != NULL) {
        struct post_letter *letter = post->first;
        ulv_status status = send_now(post, &letter->say, letter + 1,
                                     letter->handle, letter->handle_count);

        if (status == ULV_E_PEER_GONE)
            post->gone = true;
        else if (status != ULV_OK)
            return;
        post->first = letter->next;
        if (post->first == NULL)
            post->last = &post->first;
        post->waiting_count--;
        free_letter(post, letter);
    }
}

static bool
shape_is_right(const struct heard *heard, size_t len)
{
    uint32_t least = 0, most = 0;

    if (heard->say.tail_bytes > SAY_TAIL_MAX ||
        len != sizeof(heard->say) + heard->say.tail_bytes)
        return false;
    for (size_t i = 0; i < ULV_COUNT_OF(handle_rules); i++) {
        if (handle_rules[i].kind == heard->say.kind) {
            least = handle_rules[i].least;
            most = handle_rules[i].most;
        }
    }
    return heard->handle_count >= least && heard->handle_count <= most;
}

ulv_status
ulv_post_receive(struct post *post, struct heard *ret)
{
    const struct ulv_host *host = post->host;
    const void *message = post->buf;
    ulv_status status;
    size_t len = 0;

    ulv_post_flush(post);
    if (post->link == NULL)
        return ULV_E_PEER_GONE;
    ret->handle_count = 0;
    if (ulv_link_is_near(post->link))
        status = ulv_link_take(post->link, &message, &len, ret->handle,
                               &ret->handle_count);
    else
        status = post->link->ops->receive(post->link, post->buf, &len,
                                          ret->handle, &ret->handle_count);
    if (status == ULV_E_AGAIN && post->gone)
        return ULV_E_PEER_GONE;
    if (status != ULV_OK)
        return status == ULV_E_PEER_LENGTH ? ULV_E_PEER_PROTOCOL : status;
    if (len >= sizeof(ret->say)) {
        memcpy(&ret->say, message, sizeof(ret->say));
        ret->tail = (const uint8_t *)message + sizeof(ret->say);
        if (shape_is_right(ret, len))
            return ULV_OK;
    }
    for (uint32_t i = 0; i < ret->handle_count; i++)
        host->handle_close(host->self, ret->handle[i]);
    return ULV_E_PEER_PROTOCOL;
}
