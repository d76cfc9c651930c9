/*
 * misuse.h - frees of what is not owned, and the releases that explain them
 *
 * The last releases are kept: a free that finds nothing came twice if its address lies where one of them was.
 */
#ifndef HOSTMEM_REPORT_MISUSE_H
#define HOSTMEM_REPORT_MISUSE_H

#include "report/regions.h"
#include "report/schema.h"
#include "report/sites.h"

enum { MISUSES_MAX = 512, RELEASES_KEPT = 4096 };

/* Moments in ticks since the start, or NOT_SEEN; sites as sites.h has them, 0: not known. */
struct release {
    uint64_t base, bytes;
    uint64_t since, time;
    uint32_t reserved_from, from, thread;
};

struct misuse {
    uint64_t time, address;
    uint32_t thread, from;
    bool decommits;       /* it was to give back pages, not the region */
    bool there;           /* then, there was a region at its address */
    bool twice;           /* there is a release of what it means */
    struct release first; /* later than the misuse: two threads were at it, and the other one got it */
};

struct misuses {
    struct misuse *list; /* in their order */
    uint32_t count, capacity;
    uint64_t left_out, twice; /* twice: of those in the list */
    struct release *releases; /* a ring */
    uint32_t release_count, release_capacity;
    uint64_t released; /* ever */
};

/* HOST_E_INVALIDOPERATION: what VirtualFree says to an address that is nobody's. */
static inline bool is_misuse(const struct event *event)
{
    return event->kind == EVENT_FREE && event->values[FREE_RESULT] == 0x80131022;
}

/* A free that is a misuse, at `time`, when there were these regions. */
void hm_misuses_add(struct misuses *misuses, const struct event *event, const struct regions *regions,
                    uint64_t time);

/* A region goes; NULL: its reservation was lost. */
void hm_misuses_release(struct misuses *misuses, const struct event *event, const struct region *region,
                        uint64_t time);

/* `sites` were settled. */
void hm_misuses_settle(struct misuses *misuses, const struct sites *sites);

void hm_misuses_clear(struct misuses *misuses);

#endif
