/*
 * lane.h - a cache line for each thread, more or less
 *
 * Threads are spread over the lanes (thread.h).  Two that share one are as right as they would be apart, only
 * slower.  The first thread of a lane owns it for good: what is the owner's alone needs no locked instruction.
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
    _Atomic uintptr_t owner;                            /* thread_here(); 0: nobody yet */
    /* A free region record of the owner, and of the others; 0: none. */
    _Atomic uint32_t record, shared_record;
};

#endif
