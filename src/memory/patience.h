/*
 * patience.h - how often a commit that Windows refused is tried again
 *
 * It can fail for a moment, while the page file grows, which progresses without the CLR: a short wait is safe even while its
 * threads are suspended (contract 3.9).  Pauses of 5 ms, at most 2, 8 or 40, the more critical the more.
 */
#ifndef HOSTMEM_MEMORY_PATIENCE_H
#define HOSTMEM_MEMORY_PATIENCE_H

#include "memory/os.h"

struct patience {
    unsigned pauses;
    uint64_t bytes; /* asked for */
};

static inline struct patience patience_for(unsigned level, uint64_t bytes)
{
    static const unsigned char pauses[] = {2, 8, 40};
    return (struct patience){pauses[level < 2 ? level : 2], bytes};
}

/* A moment has passed after this error, and another try is worth it.  Nothing is to be held charged meanwhile. */
static inline bool patience_again(struct patience *patience, DWORD error)
{
    bool transient = error == ERROR_COMMITMENT_LIMIT || error == ERROR_NO_SYSTEM_RESOURCES ||
                     error == ERROR_NOT_ENOUGH_MEMORY;
    struct os_memory memory;
    if (!transient || patience->pauses == 0)
        return false;
    if (hm_os_memory_status(&memory) && patience->bytes / 16 > memory.physical_total)
        return false; /* no page file grows to that */
    patience->pauses--;
    bool paused = hm_os_pause(5);
    SetLastError(error);
    return paused;
}

#endif
