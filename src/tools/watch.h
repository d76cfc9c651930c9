/*
 * watch.h - a line on stderr twice a second while the program runs, and samples of what Windows says is committed
 */
#ifndef HOSTMEM_TOOLS_WATCH_H
#define HOSTMEM_TOOLS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <hostmem/hostmem.h>

/* What the samples have found; owned regions, and those of the collector's heap. */
struct watched {
    uint64_t samples;
    uint64_t disturbed; /* calls came in between, so that they were of no one moment and do not count */
    uint64_t committed_peak, heap_peak;
};

/* Starts a thread; `milliseconds` between samples, 0: none.  False: there is no memory for it. */
bool watch_start(hostmem_manager *manager, bool lines, uint64_t milliseconds);

/* No line and no sample comes after this. */
struct watched watch_end(void);

#endif
