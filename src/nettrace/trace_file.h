/*
 * trace_file.h - events into blocks, and blocks into the file
 *
 * Every block is written whole, with one call, and what an event refers to stands before it.  So a file of which the end is
 * missing can be read up to its last block.  One thread at a time.
 */
#ifndef HOSTMEM_NETTRACE_TRACE_FILE_H
#define HOSTMEM_NETTRACE_TRACE_FILE_H

#include <windows.h>

#include "nettrace/block.h"
#include "nettrace/stacks.h"
#include "nettrace/threads.h"
#include "trace/ring.h"

/* Who captures: the lanes of the ring, and the writer for what it looks up itself; images with times of their own. */
enum { CAPTURE_WRITER = RING_LANES, CAPTURE_IMAGES, CAPTURES };

enum { EVENTS_ROOM = 64 << 10, THREADS_ROOM = 8 << 10, STACKS_ROOM = 64 << 10, PAYLOAD_ROOM = 4 << 10 };

struct trace_file {
    HANDLE file;
    uint64_t length;
    DWORD error; /* of the first write that failed: nothing is written behind it */
    uint32_t process;
    uint64_t point; /* time of the last sequence point */
    struct {
        uint32_t sequence;
        uint64_t time; /* of the last event */
    } capture[CAPTURES];
    unsigned open; /* whose events the block has */
    struct event_block events;
    struct bytes new_threads;
    struct threads threads;
    struct stacks stacks;
    uint8_t events_memory[EVENTS_ROOM], threads_memory[THREADS_ROOM], stacks_memory[STACKS_ROOM],
        payload_memory[PAYLOAD_ROOM];
};

/* Zeroed memory begins a file that is open. */
void hm_trace_file_begin(struct trace_file *file, uint64_t now);

/*
 * Whoever wrote was killed, and anything but what is in the file may be half done.  Blocks that are not there yet are dropped,
 * which the numbers of later events show, and what later ones refer to is told again.
 */
void hm_trace_file_take_over(struct trace_file *file);

/*
 * One event, captured by `capture`.  An earlier time than that of the capture's last event, or of the last sequence point,
 * is written as that: its thread was held up.  skipped: so many of the capture have been lost before it.
 */
struct file_event {
    unsigned capture, event; /* of the schema */
    uint64_t time;
    uint32_t thread; /* Windows' id */
    uint32_t skipped;
    const uint64_t *figures;
    const char *text;
    const uint64_t *frame;
    unsigned frames;
};
void hm_trace_file_add(struct trace_file *file, const struct file_event *event);

/* All of what was added into the file; a point behind which no earlier event comes; the end. */
void hm_trace_file_flush(struct trace_file *file);
void hm_trace_file_point(struct trace_file *file, uint64_t now);
void hm_trace_file_end(struct trace_file *file);

#endif
