/*
 * ring.h - events on their way from the threads that are called to the one that writes them
 *
 * Each lane (memory/lane.h) has a ring of slots.  Any number of threads claim slots of it, without a lock and without
 * waiting; one reader takes them out in order.  The turn of a slot says whose it is:
 *
 *      n            of whoever claims place n of the lane (slot n modulo the slots), and then his until he finishes
 *      n + 1        the reader's
 *      n + slots    free again, for place n + slots
 *
 * So a thread that is resumed late still has its slot to itself: nobody may claim it while the turn is an old one.  The
 * reader goes past a slot that is not finished after a while, claimers go past one whose owner is still at it, and the
 * owner costs the trace that event alone.  What is dropped (the ring was full) and what the reader has given up is lost,
 * and counted.  The argument in full: docs/architecture.md.
 */
#ifndef HOSTMEM_TRACE_RING_H
#define HOSTMEM_TRACE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "trace/event.h"

enum { RING_LANES = 32, RING_SLOTS_LEAST = 4, RING_SLOTS_MOST = 1 << 16 };

/* May a lane have so many slots?  A power of 2 between the two. */
static inline bool ring_slots_fit(uint64_t slots)
{
    return (slots & (slots - 1)) == 0 && slots >= RING_SLOTS_LEAST && slots <= RING_SLOTS_MOST;
}

struct ring_slot {
    _Atomic uint64_t turn;
    struct trace_event event;
};

struct ring_lane {
    _Alignas(64) _Atomic uint64_t head; /* places claimed, ever */
    _Atomic uint32_t dropped;
    _Alignas(64) _Atomic uint64_t tail; /* places that the reader has done with */
    /* The reader's. */
    uint64_t stuck;    /* one more than the place of a slot that was not finished when it last looked */
    uint64_t given_up; /* such slots that it went past */
    uint64_t told;     /* drops that the events taken out tell of */
};

struct ring {
    unsigned slots, stride; /* of each lane, and bytes from one to the next */
    uint8_t *memory;
    struct ring_lane lane[RING_LANES];
};

/* Bytes for so many slots a lane, with so many frames each. */
static inline size_t ring_bytes(unsigned slots, unsigned frames)
{
    size_t bytes = offsetof(struct ring_slot, event.frame) + frames * sizeof(uint64_t);
    return ((bytes + 63) & ~(size_t)63) * slots * RING_LANES;
}

/* slots: a power of two.  memory: ring_bytes of them. */
void hm_ring_init(struct ring *ring, void *memory, unsigned slots, unsigned frames);

/* A slot to fill in, all but `lost`; NULL: there is none, which is counted.  half: the lane has just become half full. */
struct trace_event *hm_ring_claim(struct ring *ring, unsigned lane, bool *half);

/* It is filled in: the reader's from now on. */
static inline void ring_finish(struct trace_event *event)
{
    struct ring_slot *slot = (struct ring_slot *)((char *)event - offsetof(struct ring_slot, event));
    uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_relaxed);
    atomic_store_explicit(&slot->turn, turn + 1, memory_order_release);
}

/*
 * For the one reader: the next event of a lane; NULL: there is none, or its thread is in the middle of it and may have some
 * time yet.  last: no time.  hm_ring_next again gives the same, until hm_ring_free.
 */
const struct trace_event *hm_ring_next(struct ring *ring, unsigned lane, bool last);
void hm_ring_free(struct ring *ring, unsigned lane);

/* For the reader: the lane's next event is in the middle of being filled in, and it has some time yet. */
static inline bool ring_waits(const struct ring *ring, unsigned lane)
{
    const uint64_t place = atomic_load_explicit(&ring->lane[lane].tail, memory_order_relaxed);
    return ring->lane[lane].stuck == place + 1;
}

/* Events of the lane that were lost before the one that hm_ring_next gave last; all: so far. */
uint64_t hm_ring_lost(const struct ring *ring, unsigned lane, bool all);

#endif
