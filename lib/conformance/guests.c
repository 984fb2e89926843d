/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The table of guests: code of guests.S, and steps where steps can do it. */
#include "conformance/conformance_priv.h"

#define CODE(name)                                                             \
    extern const uint8_t ulv_kit_code_##name[], ulv_kit_code_##name##_end[]

CODE(calls);
CODE(echo);
CODE(count);
CODE(strings);
CODE(errands);
CODE(writer);
CODE(spin);
CODE(rings);
CODE(pair);
CODE(registers);
CODE(interrupts);
CODE(resumes);

#define CODE_OF(name)                                                          \
    .code = ulv_kit_code_##name, .code_end = ulv_kit_code_##name##_end
#define STEPS_OF(name) .steps = name, .step_count = ULV_COUNT_OF(name)

static const struct ulv_mock_step calls[] = {
    { .kind = ULV_MOCK_CALL,
      .number = CALLS_NUMBER,
      .argument = { ARGUMENT, UINT64_C(0x0123456789abcdef),
                    UINT64_C(0xfedcba9876543210),
                    UINT64_C(0x8000000000000001) } },
    { .kind = ULV_MOCK_REPEAT, .number = 1, .argument = { UINT64_MAX } },
};

/* Steps compute nothing: it is the same n for ever. */
static const struct ulv_mock_step echo[] = {
    { .kind = ULV_MOCK_CALL,
      .number = ECHO_NUMBER,
      .argument = { ARGUMENT, ~ARGUMENT, 3 * ARGUMENT, ARGUMENT } },
    { .kind = ULV_MOCK_EXPECT, .argument = { -ARGUMENT } },
    { .kind = ULV_MOCK_REPEAT, .number = 2, .argument = { UINT64_MAX } },
};

/* What the code does where it calls; handlers at INTERRUPTS_STEP and
 * INTERRUPTS_OTHER_STEP. */
static const struct ulv_mock_step interrupts[] = {
    { .kind = ULV_MOCK_CALL, .number = COUNT_NUMBER },
    { .kind = ULV_MOCK_REPEAT, .number = 1, .argument = { UINT64_MAX } },
    { .kind = ULV_MOCK_VECTOR, .number = HANDLER_NUMBER },
    { .kind = ULV_MOCK_VECTOR, .number = HANDLED_NUMBER },
    { .kind = ULV_MOCK_RESUME },
    { .kind = ULV_MOCK_VECTOR, .number = OTHER_NUMBER },
    { .kind = ULV_MOCK_RESUME },
};

static const struct ulv_mock_step resumes[] = { { .kind = ULV_MOCK_RESUME } };

static const struct ulv_mock_step spin[] = { { .kind = ULV_MOCK_SPIN } };

const struct guest ulv_kit_calls = { CODE_OF(calls), STEPS_OF(calls) };
const struct guest ulv_kit_echo = { CODE_OF(echo), STEPS_OF(echo) };
const struct guest ulv_kit_spin = { CODE_OF(spin), STEPS_OF(spin) };
const struct guest ulv_kit_count = { CODE_OF(count) };
const struct guest ulv_kit_strings = { CODE_OF(strings) };
const struct guest ulv_kit_errands = { CODE_OF(errands) };
const struct guest ulv_kit_writer = { CODE_OF(writer) };
const struct guest ulv_kit_rings = { CODE_OF(rings) };
const struct guest ulv_kit_pair = { CODE_OF(pair) };
const struct guest ulv_kit_registers = { CODE_OF(registers) };
const struct guest ulv_kit_interrupts = { CODE_OF(interrupts),
                                          STEPS_OF(interrupts) };
const struct guest ulv_kit_resumes = { CODE_OF(resumes), STEPS_OF(resumes) };
