/*
 * recorder.h - a call's event, into the lane of its thread
 *
 * While a manager is traced there is a recorder; else there is none, and a call pays for one look at that.  A recorder stays
 * in memory until its manager's end, for a call may be held up in the middle of its event; the next trace takes it up
 * again, or another.
 */
#ifndef HOSTMEM_MEMORY_RECORDER_H
#define HOSTMEM_MEMORY_RECORDER_H

#include "memory/shared_handle.h"
#include "trace/ring.h"

struct recorder {
    struct recorder *next;
    size_t bytes;             /* of the recorder and its ring */
    unsigned frames;          /* of the stack, that each slot has room for; 0: no stacks are wanted */
    uint32_t flags;           /* HOSTMEM_TRACE_... */
    struct shared_handle due; /* set when a lane is half full; the trace's */
    struct ring ring;
};

/* A manager's. */
struct recorders {
    _Atomic(struct recorder *) running, spare;
    _Atomic uint64_t collections[3]; /* what the host has said of each generation, and 1; 0: nothing yet */
};

static inline struct recorder *recording(const struct recorders *recorders)
{
    return atomic_load_explicit(&recorders->running, memory_order_acquire);
}

/* The same, if events of this kind are wanted too: HOSTMEM_TRACE_BLOCKS or _PROTECT. */
static inline struct recorder *recording_too(const struct recorders *recorders, uint32_t flag)
{
    struct recorder *recorder = recording(recorders);
    return recorder != NULL && (recorder->flags & flag) ? recorder : NULL;
}

/* A recorder with so many slots and frames that is not running; NULL: there is no memory.  What it takes is metadata. */
struct recorder *hm_recorder_take(struct recorders *recorders, _Atomic uint64_t *metadata, unsigned slots,
                                  unsigned frames);
void hm_recorder_give(struct recorders *recorders, struct recorder *recorder);

/* No call of the manager is under way. */
void hm_recorders_destroy(struct recorders *recorders);

/* One event with its figures, of which there may be TRACE_VALUES.  No lock, nothing allocated, nobody waited for; the last
 * error stays. */
void hm_record(struct recorder *recorder, enum trace_kind kind, const uint64_t *values, unsigned count);

/* The same if there is a recorder: the figures are worked out only then. */
#define RECORD(vm, kind, ...)           RECORD_BY(recording(&(vm)->recorders), kind, __VA_ARGS__)
#define RECORD_TOO(vm, flag, kind, ...) RECORD_BY(recording_too(&(vm)->recorders, flag), kind, __VA_ARGS__)
#define RECORD_BY(by, kind, ...)                                                                             \
    do {                                                                                                     \
        struct recorder *recorder_ = (by);                                                                   \
        if (recorder_ != NULL)                                                                               \
            hm_record(recorder_, kind, (const uint64_t[]){__VA_ARGS__},                                      \
                      sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t));                           \
    } while (0)

#endif
