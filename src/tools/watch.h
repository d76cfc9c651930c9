/*
 * watch.h - how often a .NET program has been collected; while it runs a screen (screen.h) on stderr, or a line twice a
 * second where that is no terminal, and samples of what Windows says is committed
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
    uint64_t collections[3]; /* by generation, as GC.CollectionCount has them */
    enum {
        WATCH_NEVER,  /* no figures: the runtime was not there to be asked */
        WATCH_BEFORE, /* of the last line: at the end it has not answered */
        WATCH_AT_END
    } counted;
};

/* Starts a thread; `lines`: there is something to be seen; `traced`: the manager's trace is told of collections;
 * `milliseconds` between samples, 0: none.  False: there is no memory for it. */
bool watch_start(hostmem_manager *manager, const wchar_t *program, bool lines, bool traced,
                 uint64_t milliseconds);

/* Gives a terminal back what --watch has taken of it; for an end without watch_end. */
void watch_leave(void);

/* As far as it is known now: of the last line, for collections. */
struct watched watch_so_far(void);

/* No line and no sample comes after this.  The runtime is asked once more, if there is a thread to do it. */
struct watched watch_end(bool threads_are_gone);

#endif
