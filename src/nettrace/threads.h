/*
 * threads.h - the threads that a trace tells of: Windows' ids, and the numbers that stand for them in the file
 */
#ifndef HOSTMEM_NETTRACE_THREADS_H
#define HOSTMEM_NETTRACE_THREADS_H

#include "nettrace/bytes.h"

enum { THREADS_MOST = 1024, THREADS_FIRST = 64 /* numbers below are the lanes' */ };

struct threads {
    unsigned count;
    uint32_t id[THREADS_MOST]; /* 0: free */
};

/* The number of a thread; *added: it is new.  0: there is no room, and the table is to be emptied. */
uint32_t hm_threads_number(struct threads *threads, uint32_t id, bool *added);

#endif
