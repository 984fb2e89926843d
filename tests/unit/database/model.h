/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A model of arrays beside the database; see model.c. */
#ifndef DATABASE_MODEL_H
#define DATABASE_MODEL_H

#include "database_test.h"
#include "shrink.h"

#define NOBODY (UINT64_C(1) << 40) /* an id that nothing ever gets */
#define EVERYTHING_MAX 1048576u /* bytes of what a small database says */

extern uint64_t model_seed;

/* One random transaction; the test fails unless the model agrees. */
void model_step(struct model *m);
/* model_script.c: each step of a script, on a database of its own, with what
 * comes after each (NULL: nothing); *begun counts them. */
void model_run(const struct script *script, void (*after)(struct model *m),
               uint64_t *begun);
/* A script that fails, shrunk: as few steps as there can be of those that lead
 * to its end. Returns how many were tried. */
uint64_t model_shrink(struct script *script, void (*after)(struct model *m));
void model_create(struct model *m, uint64_t i);
void model_memory(struct model *m, uint64_t i);
/* model_change.c: whose name has that number; NULL: nobody's. */
struct model_partition *model_named(struct model *m, uint64_t number);
void model_change(struct model *m, uint64_t i);
void model_compare_changes(const struct model *m);
uint64_t model_random(uint64_t n); /* below n */
/* model_quota.c: what a partition, and a zone (its number and one), has of an
 * ULV_QUOTA_*; what is expected when it gets more, all else being well. */
uint64_t model_used_by(const struct model *m, const struct model_partition *p,
                       uint32_t resource);
uint64_t model_used_in(const struct model *m, uint32_t zone,
                       uint32_t resource);
bool model_may_have(const struct model *m, const struct model_partition *p,
                    uint32_t resource, uint64_t more);
ulv_status model_by_quota(struct model *m, const struct model_partition *p,
                          uint32_t resource, uint64_t more);
/* model_machine.c: bytes of these that are retired or gone; and who is
 * destroyed. */
uint64_t model_retired_in(const struct model *m, uint64_t frame,
                          uint64_t bytes);
uint64_t model_retired_of(const struct model *m,
                          const struct model_partition *p);
void model_forget(struct model *m, const struct model_partition *p);
void model_range(struct model *m, uint64_t i);
void model_hardware(struct model *m, uint64_t i);
void model_retire(struct model *m, uint64_t i);
void model_resize(struct model *m, uint64_t i);
void model_release_processors(struct model *m, uint64_t i);
void model_move_processor(struct model *m, uint64_t i);
void model_compare_machine(const struct model *m);
struct draining *model_find_draining(struct model *m, ulv_id object);
void model_unlimited(uint64_t limit[ULV_QUOTA_COUNT]);
void model_zone_step(struct model *m, uint64_t i);
void model_enter(struct model *m, uint64_t i);
void model_limit(struct model *m, uint64_t i);
void model_label(struct model *m, uint64_t i);
void model_compare_quotas(const struct model *m);
void model_compare_labels(const struct model *m);
/* All that there is, beside the model. */
void model_compare(const struct model *m);
/* What queries and views say, times of processors left out. */
size_t model_everything(const struct ulv_database *db, uint8_t *buf,
                        size_t size);

#endif
