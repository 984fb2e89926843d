/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The command role of a bare machine: its policy has no rules, and stays. */
#include "system/role_command.h"

void
ulv_command_say(void *self, const struct ulv_policy_decision *decision)
{
    struct command_role *r = self;

    ulv_role_tell(&r->role, ULV_EVENT_DECISION, r->role.partition, 0,
                  decision->text);
}

uint32_t
ulv_command_more_next(const struct command_role *r, uint32_t kind)
{
    (void)r;
    (void)kind;
    return 0;
}

ulv_status
ulv_command_more_take(struct command_role *r,
                      const struct ulv_message_query_answer *answer)
{
    (void)r;
    (void)answer;
    return ULV_E_PEER_PROTOCOL;
}

ulv_status
ulv_command_more_begin(struct command_role *r, struct ulv_diag *diag)
{
    (void)r;
    (void)diag;
    return ULV_OK;
}

bool
ulv_command_more_review(struct command_role *r)
{
    (void)r;
    return false;
}

bool
ulv_command_more_failed(struct command_role *r, const struct ulv_diag *diag)
{
    (void)r;
    (void)diag;
    return false;
}

void
ulv_command_more_origin(const struct command_role *r,
                        struct ulv_message_transaction_answer *answer)
{
    (void)r;
    (void)answer;
}

void
ulv_command_more_step(struct command_role *r)
{
    (void)r;
}

void
ulv_command_more_drop(struct command_role *r)
{
    (void)r;
}
