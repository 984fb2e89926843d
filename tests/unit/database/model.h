/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A model of arrays beside the database; see model.c. */
#ifndef DATABASE_MODEL_H
#define DATABASE_MODEL_H

#include "database_test.h"

#define EVERYTHING_MAX 1048576u /* bytes of what a small database says */

extern uint64_t model_seed;

/* One random transaction; the test fails unless the model agrees. */
void model_step(struct model *m);
void model_create(struct model *m, uint64_t i);
void model_memory(struct model *m, uint64_t i);
/* All that there is, beside the model. */
void model_compare(const struct model *m);
/* What queries and views say, times of processors left out. */
size_t model_everything(const struct ulv_database *db, uint8_t *buf,
                        size_t size);

#endif
