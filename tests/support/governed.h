/*
 * governed.h - a manager with limits, a heap and an event callback, and what must be true of each grant and refusal
 */
#ifndef GOVERNED_H
#define GOVERNED_H

#include "support/listener.h"

struct governed {
    struct fixture f; /* first: fixture_teardown frees it all */
    IHostMalloc *heap;
    struct event_log log;
    unsigned refusals, overruns; /* that were seen */
};

/* Limits with only these set. */
hostmem_limits limits_of(uint64_t limit, uint64_t task_limit, uint64_t margin, uint32_t flags);

struct governed *governed_make(const hostmem_limits *limits, hostmem_budget *shared);

/* Everything must have been given back. */
void governed_end(struct governed *g);

/* A test that starts without limits. */
int governed_setup(void **state);
int governed_teardown(void **state);
#define governed_test(f) cmocka_unit_test_setup_teardown(f, governed_setup, governed_teardown)

void governed_limit(struct governed *g, const hostmem_limits *limits);

/* VirtualAlloc must succeed, with `fresh` bytes charged for it; without a word to anybody. */
void *grant(struct governed *g, void *address, SIZE_T size, DWORD type, unsigned level, uint64_t fresh);

/* The last call was refused by a budget: E_OUTOFMEMORY, ERROR_COMMITMENT_LIMIT, NULL, counted by its reason,
 * nothing charged, and the host is told just that. */
struct refusal {
    hostmem_reason reason;
    uint64_t bytes, limit, used;
};
void refuse(struct governed *g, void *address, SIZE_T size, DWORD type, unsigned level,
            struct refusal expected);
void refuse_block(struct governed *g, SIZE_T size, unsigned level, struct refusal expected);

/* Bytes. */
static inline uint64_t pages(uint64_t count)
{
    return count * PAGE;
}

/* A refusal by task_limit. */
static inline struct refusal task(uint64_t bytes, uint64_t limit, uint64_t used)
{
    return (struct refusal){HOSTMEM_REASON_TASK_LIMIT, bytes, limit, used};
}

/* VirtualAlloc must succeed beyond limit + margin, counted as an overrun and told. */
void *overrun(struct governed *g, void *address, SIZE_T size, DWORD type, unsigned level,
              struct refusal expected);

/* IHostMalloc::Alloc must succeed. */
void *grant_block(struct governed *g, SIZE_T size, unsigned level);

void release(struct governed *g, void *address);
void decommit(struct governed *g, void *address, SIZE_T size);
uint64_t charged(struct governed *g);

#endif
