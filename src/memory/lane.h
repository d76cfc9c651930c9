/*
 * lane.h - what a thread changes with every call, more or less its own
 *
 * Threads are spread over the lanes (thread.h).  Two that share one are as right as they would be apart, only
 * slower.  The first thread of a lane owns it for good: what is the owner's alone needs no locked instruction.
 */
#ifndef HOSTMEM_MEMORY_LANE_H
#define HOSTMEM_MEMORY_LANE_H

#include <stdatomic.h>
#include <stdint.h>

#include <hostmem/hostmem.h>

enum { LANES = 32, LANE_BYTES = 1024 };

/* What is only counted: no peak.  Foreign frees are the calls that HOST_E_INVALIDOPERATION answered. */
enum stats_counter { STATS_REGIONS, STATS_VIEWS, STATS_BLOCKS, STATS_FOREIGN_FREES, STATS_COUNTERS };

struct lane_counters {
    _Alignas(64) _Atomic uint64_t counter[STATS_COUNTERS];
    struct {
        _Atomic uint64_t calls, failures;
    } method[HOSTMEM_METHOD_COUNT][HOSTMEM_LEVEL_COUNT];
};

/* On one page. */
struct lane {
    _Alignas(LANE_BYTES) _Atomic uintptr_t owner; /* thread_here(); 0: nobody yet */
    struct lane_counters counters;                /* the owner's */
};

_Static_assert(sizeof(struct lane) == LANE_BYTES, "no lane may reach into a second page");

#endif
