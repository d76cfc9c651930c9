/*
 * block.h - the blocks of a nettrace file, version 6
 *
 * The format is public: NetTraceFormat.md of the TraceEvent library.  A block is whole in memory before it is written.
 */
#ifndef HOSTMEM_NETTRACE_BLOCK_H
#define HOSTMEM_NETTRACE_BLOCK_H

#include "nettrace/bytes.h"

enum block_kind {
    BLOCK_END_OF_STREAM = 0,
    BLOCK_TRACE = 1,
    BLOCK_EVENT = 2,
    BLOCK_METADATA = 3,
    BLOCK_SEQUENCE_POINT = 4,
    BLOCK_STACK = 5,
    BLOCK_THREAD = 6
};

/* A block's header is put there at once, and filled in at the end: how long it is, and what. */
void hm_block_begin(struct bytes *block);
void hm_block_end(struct bytes *block, enum block_kind kind);

/* What comes first in a file, and what the trace is of; then a Trace block. */
struct nettrace_origin {
    uint16_t utc[8]; /* SYSTEMTIME */
    uint64_t counter, frequency;
    uint32_t pointer_bytes, process, processors;
};
void hm_nettrace_begin(struct bytes *bytes, const struct nettrace_origin *origin);

/* A row of a Thread block; system: its id, 0: it is none of Windows'. */
void hm_thread_row(struct bytes *block, uint64_t number, const char *name, uint64_t process, uint64_t system);

/* Whose event it is, and when. */
struct event_head {
    uint32_t event;    /* in the metadata */
    uint32_t capture;  /* thread index of the lane */
    uint32_t sequence; /* in the lane, from 1; it wraps around */
    uint32_t thread;   /* index */
    uint32_t stack;    /* 0: none */
    uint64_t time;
};

/* Events of one lane, sorted by time.  Each is told by what is different from the one before. */
struct event_block {
    struct bytes bytes;
    uint64_t first; /* time */
    struct event_head before;
    size_t before_bytes;
};

enum { EVENT_BLOCK_HEAD = 24 }; /* bytes before the first event */
enum { EVENT_ROOM = 64 };       /* for all of an event but its payload */

void hm_event_block_begin(struct event_block *block);
void hm_event_block_add(struct event_block *block, const struct event_head *head,
                        const struct bytes *payload);
void hm_event_block_end(struct event_block *block);

static inline bool event_block_is_empty(const struct event_block *block)
{
    return block->bytes.used == EVENT_BLOCK_HEAD;
}

static inline bool event_block_has_room(const struct event_block *block, size_t payload)
{
    return block->bytes.room - block->bytes.used >= EVENT_ROOM + payload;
}

#endif
