/*
 * frames.c - see frames.h
 */
#include "report/frames.h"

#include <stdlib.h>
#include <string.h>

enum { FRAME_REGIONS_MAX = 8192, FRAME_RUNS_MAX = 32768 };

static int by_address(const void *left, const void *right)
{
    const struct frame_region *a = left, *b = right;
    return a->base < b->base ? -1 : a->base > b->base;
}

static void frame_clear(struct frame *frame)
{
    free(frame->regions);
    free(frame->runs);
    *frame = (struct frame){0};
}

/* False: no memory, and no frame. */
static bool frame_take(struct frame *frame, const struct regions *regions, uint64_t time)
{
    uint32_t count = regions->count < FRAME_REGIONS_MAX ? regions->count : FRAME_REGIONS_MAX;
    const uint64_t runs = regions->run_count < FRAME_RUNS_MAX ? regions->run_count : FRAME_RUNS_MAX;

    *frame = (struct frame){.time = time, .cut = count < regions->count || runs < regions->run_count};
    frame->regions = malloc((count + 1) * sizeof *frame->regions);
    frame->runs = malloc((size_t)(runs + 1) * sizeof *frame->runs);
    if (!frame->regions || !frame->runs) {
        frame_clear(frame);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct region *region = &regions->list[i];
        struct frame_region *copy = &frame->regions[frame->region_count++];
        *copy = (struct frame_region){.base = region->base,
                                      .bytes = region->bytes,
                                      .committed = region->committed,
                                      .first_run = frame->run_count,
                                      .use = region->use};
        if (frame->run_count + region->run_count > runs)
            continue;
        if (region->run_count != 0)
            memcpy(frame->runs + frame->run_count, region->runs, region->run_count * sizeof *region->runs);
        copy->run_count = region->run_count;
        frame->run_count += region->run_count;
    }
    qsort(frame->regions, frame->region_count, sizeof *frame->regions, by_address);
    return true;
}

/* Every second one, but the last, goes. */
static void halve(struct frames *frames)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < frames->count; i++)
        if (i % 2 == 0 || i + 1 == frames->count)
            frames->list[kept++] = frames->list[i];
        else
            frame_clear(&frames->list[i]);
    frames->count = kept;
}

static void add(struct frames *frames, const struct regions *regions, uint64_t time)
{
    if (frames->count == FRAMES_MAX) {
        halve(frames);
        frames->interval = frames->interval > UINT64_MAX / 2 ? UINT64_MAX : frames->interval * 2;
    }
    if (frame_take(&frames->list[frames->count], regions, time)) {
        frames->count++;
        frames->seen = regions->changes;
    }
}

void hm_frames_advance(struct frames *frames, const struct regions *regions, uint64_t time,
                       uint64_t frequency)
{
    if (frames->interval == 0) {
        frames->interval = frequency / 100 == 0 ? 1 : frequency / 100;
        frames->next = frames->interval;
    }
    if (time < frames->next)
        return;
    if (regions->changes != frames->seen)
        add(frames, regions, frames->next);
    const uint64_t whole = time - time % frames->interval;
    frames->next = whole > UINT64_MAX - frames->interval ? UINT64_MAX : whole + frames->interval;
}

void hm_frames_end(struct frames *frames, const struct regions *regions, uint64_t time)
{
    if (frames->count == 0 || regions->changes != frames->seen)
        add(frames, regions, time);
}

const struct frame_region *hm_frames_find(const struct frame *frame, uint64_t base)
{
    const struct frame_region wanted = {.base = base};
    return frame->region_count == 0
               ? NULL
               : bsearch(&wanted, frame->regions, frame->region_count, sizeof *frame->regions, by_address);
}

bool hm_frames_has(const struct frame *frame, const struct frame *other, const struct frame_region *region)
{
    const struct frame_region *same = hm_frames_find(frame, region->base);

    return same && same->bytes == region->bytes && same->committed == region->committed &&
           same->use == region->use && same->run_count == region->run_count &&
           (same->run_count == 0 || memcmp(frame->runs + same->first_run, other->runs + region->first_run,
                                           same->run_count * sizeof *frame->runs) == 0);
}

/* As JSON, about. */
static uint64_t written_size(const struct frames *frames)
{
    enum { REGION = 48, RUN = 14, GONE = 16 };
    static const struct frame nothing;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < frames->count; i++) {
        const struct frame *frame = &frames->list[i], *last = i == 0 ? &nothing : &frames->list[i - 1];
        for (uint32_t at = 0; at < frame->region_count; at++)
            if (!hm_frames_has(last, frame, &frame->regions[at]))
                bytes += REGION + (uint64_t)frame->regions[at].run_count * RUN;
        bytes += (uint64_t)last->region_count * GONE / 4;
    }
    return bytes;
}

void hm_frames_fit(struct frames *frames, uint64_t bytes)
{
    while (frames->count > 2 && written_size(frames) > bytes)
        halve(frames);
}

void hm_frames_clear(struct frames *frames)
{
    for (uint32_t i = 0; i < frames->count; i++)
        frame_clear(&frames->list[i]);
    *frames = (struct frames){0};
}
