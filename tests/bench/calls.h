/*
 * calls.h - the calls that are timed: through the manager, and raw beside it
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include "bench/table.h"
#include "bench/timing.h"
#include <hostmem/hostmem.h>

enum { PAGE = 4096, GRANULE = 65536, RUN = 16 * PAGE };

/* Is there a 64-bit address space? */
enum { WIDE = sizeof(void *) == 8 };

/* The manager that everything here asks. */
extern hostmem_manager *bench_manager;
extern IHostMemoryManager *bench_memory;

/* Reserve and release; ends the program if that fails. */
void *calls_reserve(void *address, SIZE_T size);
void calls_release(void *base);

/* Blocks.  Pair: reserve and release 64 KiB anywhere. */
void calls_managed_pair(unsigned thread, unsigned count, void *context);
void calls_raw_pair(unsigned thread, unsigned count, void *context);

/* Run: commit and decommit 16 pages, in turn in 8 places from base[thread] on, 64 KiB apart. */
enum { RUNS_SIZE = 8 * RUN };
struct runs {
    char *base[BENCH_THREADS];
};
void calls_managed_run(unsigned thread, unsigned count, void *runs);
void calls_raw_run(unsigned thread, unsigned count, void *runs);

/* VirtualFree of an address that is nobody's. */
void calls_refused(unsigned thread, unsigned count, void *context);

/* Numbers that look random, the same in each run. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
