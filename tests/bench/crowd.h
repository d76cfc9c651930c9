/*
 * crowd.h - a table full of regions that stand for nothing, one granule each: to look them up, and to come and go behind
 * them
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include "bench/calls.h"

enum { CROWD_LOOKUPS = 1 << 16 };

struct crowd {
    void *table;
    uint64_t first, regions;
    uint32_t where[CROWD_LOOKUPS]; /* regions to look up */
    unsigned next;                 /* of those */
    uint64_t found;                /* lookups that found something */
    double metadata;               /* bytes a region */
    char apart[64];                /* what two threads write is in lines of its own */
    uint64_t churned;
};

/* Sizes to try; 0 ends them. */
extern const unsigned crowd_sizes[];

/* Choose what to look up among `regions` of `table`, which are still to be put in; not thread-safe. */
struct crowd *crowd_begin(void *table, uint64_t regions);

static inline uint64_t crowd_address(const struct crowd *crowd, uint64_t region)
{
    return crowd->first + region * GRANULE;
}

/* The next address to look up: all of them come in turn, so that no block finds what it wants in the caches. */
static inline uint64_t crowd_next(struct crowd *crowd)
{
    return crowd_address(crowd, crowd->where[crowd->next++ % CROWD_LOOKUPS]);
}

/* Where a churning thread puts its n-th: just behind the crowd, in the same part of the address space. */
static inline uint64_t crowd_behind(const struct crowd *crowd, uint64_t n)
{
    return crowd_address(crowd, crowd->regions + n % 64);
}

/* A crowd in a table of ours, one at a time; a block that looks it up; work that churns behind it. */
struct crowd *crowd_ours(uint64_t regions);
void crowd_ours_end(struct crowd *crowd);
void crowd_look_up(unsigned thread, unsigned count, void *crowd);
void crowd_churn(void *crowd, const _Atomic bool *stop);

/* Time `look_up`, which has to find everything, alone and while another thread churns. */
struct crowd_lookups {
    struct bench_side quiet, busy;
};
void crowd_measure(struct crowd *crowd, bench_block look_up, void (*churn)(void *, const _Atomic bool *),
                   unsigned count, struct crowd_lookups *lookups);

#endif
