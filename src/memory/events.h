/*
 * events.h - what the host is to be notified of: written by whoever is called by the CLR, read by the pressure thread
 *
 * A ring; when it is full the event is lost, and counted.  Each slot has a turn, which says whose it is: the writer's whose
 * number is that of the turn (less its last six bits), the reader's at one more.
 */
#ifndef HOSTMEM_MEMORY_EVENTS_H
#define HOSTMEM_MEMORY_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include <hostmem/hostmem.h>

enum { EVENTS_MOST = 64 };

struct event_queue {
    _Atomic uint32_t written; /* slots claimed, ever */
    uint32_t read;            /* the reader's: slots read, ever */
    uint64_t reported_lost;   /* the reader's: of `lost`, those that an event has reported */
    _Atomic uint64_t lost;    /* ever */
    struct event_slot {
        _Atomic uint32_t turn;
        hostmem_event event;
    } slot[EVENTS_MOST];
};

/* Any number of writers. */
void hm_events_write(struct event_queue *queue, const hostmem_event *event);

/* One reader; false: nothing there.  `lost` is filled in. */
bool hm_events_read(struct event_queue *queue, hostmem_event *event);

#endif
