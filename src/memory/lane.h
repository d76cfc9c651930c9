/*
 * lane.h - a cache line for each thread, more or less
 *
 * Threads are spread over the lanes (thread.h).  Two that share one are as right as they would be apart, only
 * slower: a lane is written by atomic instructions alone.
 */
#ifndef HOSTMEM_MEMORY_LANE_H
#define HOSTMEM_MEMORY_LANE_H

#include <stdatomic.h>
#include <stdint.h>

enum { LANES = 32 };

/* What is charged and refunded through lanes (account.h). */
enum lane_credit { LANE_RESERVED, LANE_COMMITTED, LANE_HEAP, LANE_CREDITS };

struct lane {
    _Alignas(64) _Atomic uint64_t credit[LANE_CREDITS]; /* bytes; credit.h */
    _Atomic uint32_t record;                            /* a free region record; 0: none */
};

#endif
