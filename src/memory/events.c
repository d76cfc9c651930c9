/*
 * events.c - the ring of events
 */
#include "memory/events.h"

/* The turn of a writer; wraps as numbers do. */
static uint32_t turn_of(uint32_t number)
{
    return number - number % EVENTS_MOST;
}

void hm_events_write(struct event_queue *queue, const hostmem_event *event)
{
    uint32_t number = atomic_load_explicit(&queue->written, memory_order_relaxed);
    struct event_slot *slot;
    for (;;) {
        slot = &queue->slot[number % EVENTS_MOST];
        if (atomic_load_explicit(&slot->turn, memory_order_acquire) == turn_of(number)) {
            if (atomic_compare_exchange_weak_explicit(&queue->written, &number, number + 1,
                                                      memory_order_relaxed, memory_order_relaxed))
                break;
            continue;
        }
        const uint32_t now = atomic_load_explicit(&queue->written, memory_order_relaxed);
        if (now == number) { /* full */
            atomic_fetch_add_explicit(&queue->lost, 1, memory_order_relaxed);
            return;
        }
        number = now; /* another thread has claimed it */
    }
    slot->event = *event;
    atomic_store_explicit(&slot->turn, turn_of(number) + 1, memory_order_release);
}

bool hm_events_read(struct event_queue *queue, hostmem_event *event)
{
    struct event_slot *slot = &queue->slot[queue->read % EVENTS_MOST];
    if (atomic_load_explicit(&slot->turn, memory_order_acquire) != turn_of(queue->read) + 1)
        return false;
    *event = slot->event;
    const uint64_t lost = atomic_load_explicit(&queue->lost, memory_order_relaxed);
    event->lost = (uint32_t)(lost - queue->reported_lost);
    queue->reported_lost = lost;
    atomic_store_explicit(&slot->turn, turn_of(queue->read) + EVENTS_MOST, memory_order_release);
    queue->read++;
    return true;
}
