/*
 * event.h - what a call leaves behind for the trace: a kind, and figures in the order of the file's fields
 *
 * Every figure is 64 bits wide here; nettrace/schema.c has the names, and the width that each has in the file.
 */
#ifndef HOSTMEM_TRACE_EVENT_H
#define HOSTMEM_TRACE_EVENT_H

#include <stdint.h>

/* The numbers are the file's. */
enum trace_kind {
    TRACE_ALLOC = 1,
    TRACE_FREE,
    TRACE_VIEW_MAPPED,
    TRACE_VIEW_UNMAPPED,
    TRACE_REFUSAL,
    TRACE_OVERRUN,
    TRACE_PRESSURE,
    TRACE_NOTIFICATION,
    TRACE_LIMITS,
    TRACE_RUNTIME_STARTED,
    TRACE_BLOCK_ALLOC,
    TRACE_BLOCK_FREE,
    TRACE_PROTECT,
    TRACE_SAMPLE,
    TRACE_REGION,
    TRACE_CALLS,
    TRACE_LOST,
    TRACE_KINDS
};

enum { TRACE_VALUES = 10, TRACE_FRAMES_MOST = 24 };

struct trace_event {
    uint64_t time;   /* hm_os_stamp */
    uint32_t thread; /* its id */
    uint32_t lost;   /* the ring's: of the lane so far */
    uint8_t kind;
    uint8_t frames;
    uint64_t value[TRACE_VALUES];
    uint64_t frame[]; /* return addresses, innermost first; only in a ring that has room for them */
};

#endif
