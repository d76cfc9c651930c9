/*
 * frames.h - the address space at some moments: enough for a map that can be moved through time
 *
 * How long the trace is is not known before its end: when there are too many moments, every second one goes, and those
 * that follow are twice as far apart.
 */
#ifndef HOSTMEM_REPORT_FRAMES_H
#define HOSTMEM_REPORT_FRAMES_H

#include "report/regions.h"

enum { FRAMES_MAX = 96 };

struct frame_region {
    uint64_t base, bytes, committed;
    uint32_t first_run, run_count; /* of the frame's */
    uint8_t use;
};

struct frame {
    uint64_t time;                /* ticks since the start */
    struct frame_region *regions; /* by address */
    struct run *runs;
    uint32_t region_count, run_count;
    bool cut; /* not all regions, or not all runs */
};

struct frames {
    struct frame list[FRAMES_MAX];
    uint32_t count;
    uint64_t interval, next; /* ticks; interval 0: not begun */
    uint64_t seen;           /* changes of the regions */
};

/* Time goes on to `time`: before what happens then is taken into the regions. */
void hm_frames_advance(struct frames *frames, const struct regions *regions, uint64_t time,
                       uint64_t frequency);
void hm_frames_end(struct frames *frames, const struct regions *regions, uint64_t time);

/* Every second one goes until what they differ by takes no more than `bytes` to be written down, or two are left. */
void hm_frames_fit(struct frames *frames, uint64_t bytes);

/* Is it there in `frame`, and the same? */
bool hm_frames_has(const struct frame *frame, const struct frame *other, const struct frame_region *region);
const struct frame_region *hm_frames_find(const struct frame *frame, uint64_t base);

void hm_frames_clear(struct frames *frames);

#endif
