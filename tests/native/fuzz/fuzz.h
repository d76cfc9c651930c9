/*
 * fuzz.h - what the fuzzers have in common: an input that is taken apart, and a demand
 *
 * An input that ends early reads as zeros; a fuzzer stops when it is used up.
 */
#ifndef TESTS_NATIVE_FUZZ_H
#define TESTS_NATIVE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fake_pages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at, *end;
};

static inline bool more(const struct input *input)
{
    return input->at < input->end;
}

static inline uint32_t take_byte(struct input *input)
{
    return more(input) ? *input->at++ : 0;
}

/* A number of `bytes` bytes. */
static inline uint64_t take_number(struct input *input, unsigned bytes)
{
    uint64_t number = 0;
    while (bytes-- != 0)
        number = number << 8 | take_byte(input);
    return number;
}

/* A number below `limit`, which is not 0, from two bytes; four where two could not say it. */
static inline uint64_t take_below(struct input *input, uint64_t limit)
{
    return take_number(input, limit > 0x10000 ? 4 : 2) % limit;
}

#define PICK(input, table) ((table)[take_byte(input) % (sizeof(table) / sizeof *(table))])

/* Let pages fail, mostly not: the n-th call from now, alone or with all that follow.  False: none is to fail. */
static inline bool order_failures(struct input *input)
{
    uint32_t order = take_byte(input);
    if (order >= 0xE0)
        fake_pages_fail_from(1 + order % 16);
    else if (order >= 0xC0)
        fake_pages_fail_once(1 + order % 16);
    else
        fake_pages_fail_from(0);
    return order >= 0xC0;
}

/* How many of the flags are set.  Models are counted all the time; not to be slowed by what watches the parts. */
__attribute__((no_sanitize("address", "undefined", "coverage"))) static inline uint64_t
count_set(const bool *flags, uint64_t count)
{
    uint64_t set = 0;
    for (uint64_t i = 0; i < count; i++)
        set += flags[i];
    return set;
}

/* The part and its model differ: say where, and end. */
#define DEMAND(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

#endif
