/*
 * read_trace.h - what hostmem-report's reader finds in a trace, counted
 */
#ifndef TESTS_SUPPORT_READ_TRACE_H
#define TESTS_SUPPORT_READ_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <wchar.h>

struct trace_read {
    bool complete;             /* to its end mark, and every block is whole */
    uint64_t lost, told;       /* by the numbers of events; by Lost events */
    unsigned count[32];        /* of events, by number of their kind */
    unsigned unknown_threads;  /* events of threads that the file does not describe */
    unsigned reserved[64];     /* Alloc events by granules */
    unsigned reserved_rubbish; /* and those of other sizes */
};

void read_trace(const wchar_t *path, struct trace_read *found);

#endif
