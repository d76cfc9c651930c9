/*
 * recorder.c - recorders, and filling in a slot
 */
#include "memory/recorder.h"

#include "maps/pages.h"
#include "memory/lane.h"
#include "memory/os.h"
#include "trace/walk.h"

_Static_assert((int)LANES == (int)RING_LANES, "a lane of threads is a lane of the ring");

struct recorder *hm_recorder_take(struct recorders *recorders, _Atomic uint64_t *metadata, unsigned slots,
                                  unsigned frames)
{
    struct recorder *spare = atomic_exchange(&recorders->spare, NULL), *found = NULL;
    while (spare != NULL) {
        struct recorder *next = spare->next;
        if (found == NULL && spare->ring.slots == slots && spare->frames == frames)
            found = spare;
        else
            hm_recorder_give(recorders, spare);
        spare = next;
    }
    if (found != NULL)
        return found;
    const size_t head = (sizeof *found + 63) & ~(size_t)63, bytes = head + ring_bytes(slots, frames);
    found = pages_take(bytes);
    if (found == NULL)
        return NULL;
    atomic_fetch_add_explicit(metadata, bytes, memory_order_relaxed);
    found->bytes = bytes;
    found->frames = frames;
    hm_ring_init(&found->ring, (char *)found + head, slots, frames);
    return found;
}

void hm_recorder_give(struct recorders *recorders, struct recorder *recorder)
{
    recorder->next = atomic_load(&recorders->spare);
    while (!atomic_compare_exchange_weak(&recorders->spare, &recorder->next, recorder))
        ;
}

void hm_recorders_destroy(struct recorders *recorders)
{
    struct recorder *spare = atomic_exchange(&recorders->spare, NULL);
    while (spare != NULL) {
        struct recorder *next = spare->next;
        hm_pages_release(spare, spare->bytes);
        spare = next;
    }
}

void hm_record(struct recorder *recorder, enum trace_kind kind, const uint64_t *values, unsigned count)
{
    bool half = false;
    struct trace_event *event = hm_ring_claim(&recorder->ring, lane_here(), &half);
    if (event == NULL)
        return;
    event->time = hm_os_stamp();
    event->thread = GetCurrentThreadId();
    event->kind = (uint8_t)kind;
    event->frames = recorder->frames == 0 ? 0 : (uint8_t)hm_walk(event->frame, recorder->frames);
    for (unsigned i = 0; i < count; i++)
        event->value[i] = values[i];
    ring_finish(event);
    if (half)
        hm_shared_handle_set(&recorder->due);
}
