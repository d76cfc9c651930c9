/*
 * ring.c - claiming and reading slots; the protocol is in ring.h
 */
#include "trace/ring.h"

static struct ring_slot *slot_at(const struct ring *ring, unsigned lane, uint64_t place)
{
    size_t slot = (size_t)lane * ring->slots + (size_t)(place & (ring->slots - 1));
    return (struct ring_slot *)(void *)(ring->memory + slot * ring->stride);
}

void hm_ring_init(struct ring *ring, void *memory, unsigned slots, unsigned frames)
{
    ring->memory = memory;
    ring->slots = slots;
    ring->stride = (unsigned)(ring_bytes(slots, frames) / slots / RING_LANES);
    for (unsigned lane = 0; lane < RING_LANES; lane++)
        for (unsigned place = 0; place < slots; place++)
            atomic_store_explicit(&slot_at(ring, lane, place)->turn, place, memory_order_relaxed);
}

struct trace_event *hm_ring_claim(struct ring *ring, unsigned lane_number, bool *half)
{
    struct ring_lane *lane = &ring->lane[lane_number];
    uint64_t place = atomic_load_explicit(&lane->head, memory_order_relaxed);
    for (;;) {
        struct ring_slot *slot = slot_at(ring, lane_number, place);
        /* In this order: a slot that the reader has freed is seen to be free by who sees that the reader has passed it. */
        const uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_acquire);
        const bool free = atomic_load_explicit(&slot->turn, memory_order_acquire) == place;
        if (!free && place - tail >= ring->slots) {
            const uint64_t now = atomic_load_explicit(&lane->head, memory_order_relaxed);
            if (now == place)
                break; /* full */
            place = now;
            continue;
        }
        /* Not free, and read long ago: its owner is late.  Go past it. */
        if (!atomic_compare_exchange_weak_explicit(&lane->head, &place, place + 1, memory_order_relaxed,
                                                   memory_order_relaxed))
            continue;
        if (free) {
            *half = place - tail == ring->slots / 2;
            slot->event.lost = atomic_load_explicit(&lane->dropped, memory_order_relaxed);
            return &slot->event;
        }
        place++;
    }
    atomic_fetch_add_explicit(&lane->dropped, 1, memory_order_relaxed);
    return NULL;
}

/* Past the place that the reader is at. */
static void advance(struct ring_lane *lane, uint64_t place)
{
    atomic_store_explicit(&lane->tail, place + 1, memory_order_release);
}

const struct trace_event *hm_ring_next(struct ring *ring, unsigned lane_number, bool last)
{
    struct ring_lane *lane = &ring->lane[lane_number];
    const uint64_t mask = ring->slots - 1;
    const uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
    uint64_t place;
    while ((place = atomic_load_explicit(&lane->tail, memory_order_relaxed)) < head) {
        struct ring_slot *slot = slot_at(ring, lane_number, place);
        const uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        if (turn == place + 1) {
            const uint32_t more = slot->event.lost - (uint32_t)lane->told;
            if ((int32_t)more > 0)
                lane->told += more;
            return &slot->event;
        }
        if (turn == place) {
            if (!last && lane->stuck != place + 1 && head - place <= ring->slots / 2) {
                lane->stuck = place + 1;
                return NULL;
            }
            lane->given_up++;
        } else if (((turn - 1) & mask) == (place & mask)) {
            /* Given up a lap or more ago, and finished since. */
            atomic_store_explicit(&slot->turn, place + ring->slots, memory_order_release);
        }
        advance(lane, place);
    }
    return NULL;
}

void hm_ring_free(struct ring *ring, unsigned lane_number)
{
    struct ring_lane *lane = &ring->lane[lane_number];
    const uint64_t place = atomic_load_explicit(&lane->tail, memory_order_relaxed);
    atomic_store_explicit(&slot_at(ring, lane_number, place)->turn, place + ring->slots,
                          memory_order_release);
    advance(lane, place);
}

uint64_t hm_ring_lost(const struct ring *ring, unsigned lane_number, bool all)
{
    const struct ring_lane *lane = &ring->lane[lane_number];
    const uint64_t told = lane->given_up + lane->told;
    return all ? told + (uint32_t)(atomic_load_explicit(&lane->dropped, memory_order_relaxed) - lane->told)
               : told;
}
