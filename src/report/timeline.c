/*
 * timeline.c - see timeline.h
 */
#include "report/timeline.h"

#include <stdlib.h>

#include "report/array.h"

uint64_t hm_state_total(const struct state *state)
{
    uint64_t total = 0;

    for (unsigned use = 0; use < USE_COUNT; use++)
        total += state->committed[use];
    return total;
}

static bool has_room(struct timeline *timeline)
{
    struct slice *slices =
        array_room(timeline->slices, timeline->count, &timeline->capacity, 32, sizeof *slices);
    if (slices)
        timeline->slices = slices;
    return slices != NULL;
}

bool hm_timeline_begin(struct timeline *timeline, uint64_t frequency, const struct state *state)
{
    if (!has_room(timeline))
        return false;
    timeline->slices[timeline->count++] = (struct slice){0};
    timeline->width = frequency / 1000 == 0 ? 1 : frequency / 1000;
    hm_timeline_changed(timeline, state);
    return true;
}

static void join(struct slice *into, const struct slice *other)
{
    into->state = other->state;
    if (other->peak > into->peak)
        into->peak = other->peak;
    for (unsigned i = 0; i < METHOD_COUNT; i++)
        into->calls[i] += other->calls[i];
    for (unsigned i = 0; i < NOTIFIED_COUNT; i++)
        into->notified[i] += other->notified[i];
    into->refusals += other->refusals;
    into->overruns += other->overruns;
    into->lost += other->lost;
}

static void halve(struct timeline *timeline)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < timeline->count; i += 2) {
        timeline->slices[count] = timeline->slices[i];
        if (i + 1 < timeline->count)
            join(&timeline->slices[count], &timeline->slices[i + 1]);
        count++;
    }
    timeline->count = count;
    timeline->width = timeline->width > UINT64_MAX / 2 ? UINT64_MAX : timeline->width * 2;
}

struct slice *hm_timeline_at(struct timeline *timeline, uint64_t time, const struct state *state)
{
    while (time / timeline->width >= SLICES_MAX)
        halve(timeline);
    while (timeline->count <= time / timeline->width && has_room(timeline))
        timeline->slices[timeline->count++] = (struct slice){.state = *state, .peak = hm_state_total(state)};
    return &timeline->slices[timeline->count - 1];
}

void hm_timeline_changed(struct timeline *timeline, const struct state *state)
{
    struct slice *slice = &timeline->slices[timeline->count - 1];
    const uint64_t total = hm_state_total(state);

    slice->state = *state;
    if (total > slice->peak)
        slice->peak = total;
}

void hm_timeline_clear(struct timeline *timeline)
{
    free(timeline->slices);
    *timeline = (struct timeline){0};
}
