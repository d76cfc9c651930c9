/*
 * timeline.h - what was the case, and what happened, by time: at most some two thousand slices of the same width
 *
 * The width doubles whenever the trace turns out to be longer, and two slices become one.
 */
#ifndef HOSTMEM_REPORT_TIMELINE_H
#define HOSTMEM_REPORT_TIMELINE_H

#include "report/regions.h"
#include "report/schema.h"

enum { SLICES_MAX = 2000 };

#define UNKNOWN UINT64_MAX /* a limit that is none, a figure that nobody has */

enum method {
    METHOD_ALLOC,
    METHOD_FREE,
    METHOD_VIEW_MAPPED,
    METHOD_VIEW_UNMAPPED,
    METHOD_PROTECT,
    METHOD_BLOCK_ALLOC,
    METHOD_BLOCK_FREE,
    METHOD_COUNT
};

enum { NOTIFIED_LOW = 1, NOTIFIED_NEUTRAL = 2, NOTIFIED_HIGH = 3, NOTIFIED_COUNT = 4 }; /* EMemoryAvailable */

/* What is the case: of a slice, at its end. Bytes. */
struct state {
    uint64_t committed[USE_COUNT], reserved;
    uint64_t process; /* all that the process has committed; UNKNOWN until a sample says it */
    uint64_t limits[LIMITS_COUNT];
    uint64_t collections[3]; /* so far; UNKNOWN */
};

struct slice {
    struct state state;
    uint64_t peak; /* most committed at any moment in it, all uses together */
    uint64_t calls[METHOD_COUNT];
    uint64_t refusals, overruns, lost;
    uint64_t notified[NOTIFIED_COUNT];
};

struct timeline {
    struct slice *slices;
    uint32_t count, capacity; /* SLICES_MAX at most; the last one is the one that is being filled */
    uint64_t width;           /* ticks */
};

uint64_t hm_state_total(const struct state *state);

/* False: no memory. */
bool hm_timeline_begin(struct timeline *timeline, uint64_t frequency, const struct state *state);

/* The slice of that moment, the slices before being as `state` says; never one that is before the last.
 * Without memory for more it is the last one. */
struct slice *hm_timeline_at(struct timeline *timeline, uint64_t time, const struct state *state);

/* `state` has changed, in the last slice. */
void hm_timeline_changed(struct timeline *timeline, const struct state *state);

void hm_timeline_clear(struct timeline *timeline);

#endif
