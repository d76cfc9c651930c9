/*
 * patience.h - how often a call is made again for which Windows had no memory
 *
 * A commit can fail for a moment, while the page file grows, which progresses without the CLR: a short wait is safe even
 * while its threads are suspended (contract 3.9).  Pauses of 5 ms, at most 2, 8 or 40, the more critical the more.  Each try
 * is all of the call: in the pauses it holds nothing.
 */
#ifndef HOSTMEM_MEMORY_PATIENCE_H
#define HOSTMEM_MEMORY_PATIENCE_H

#include "memory/vm.h"

/* What a try lacked, if that may pass; zero: nothing. */
struct shortage {
    DWORD error;
    bool of_metadata; /* the library's own pages, for so many bytes of the CLR's */
    uint64_t bytes;
};

static inline struct shortage shortage_of_metadata(uint64_t bytes)
{
    return (struct shortage){ERROR_NOT_ENOUGH_MEMORY, true, bytes};
}

struct patience {
    unsigned pauses;
    uint64_t bytes; /* asked for */
    DWORD before;   /* the last error that the caller left */
    bool paused;
};

static inline struct patience patience_for(unsigned level, uint64_t bytes)
{
    static const unsigned char pauses[] = {2, 8, 40};
    return (struct patience){pauses[level < 2 ? level : 2], bytes, GetLastError(), false};
}

/* After a failure: a moment has passed, and another try is worth it.  Else it is final, and what is refused for want of metadata
 * is counted. */
bool hm_patience_again(struct patience *patience, const struct shortage *shortage, struct vm *vm,
                       unsigned level, hostmem_use use);

/* The call's result does not tell of the tries before: nor does the last error. */
static inline void patience_forget(const struct patience *patience)
{
    if (patience->paused)
        SetLastError(patience->before);
}

#endif
