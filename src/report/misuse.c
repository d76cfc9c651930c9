/*
 * misuse.c - see misuse.h
 */
#include "report/misuse.h"

#include <stdlib.h>

#include "report/array.h"

enum { MEM_DECOMMIT_FLAG = 0x4000 };
enum { RACERS = 64 }; /* threads that may be at the same free at once */

static bool covers(const struct release *release, uint64_t address)
{
    return address == release->base || (address >= release->base && address - release->base < release->bytes);
}

static void explain(struct misuses *misuses, struct misuse *misuse, const struct release *release)
{
    misuse->twice = true;
    misuse->first = *release;
    misuses->twice++;
}

void hm_misuses_add(struct misuses *misuses, const struct event *event, bool there, uint64_t time)
{
    struct misuse *list = NULL;

    if (misuses->count < MISUSES_MAX)
        list = array_room(misuses->list, misuses->count, &misuses->capacity, 16, sizeof *list);
    if (!list) {
        misuses->left_out++;
        return;
    }
    misuses->list = list;
    struct misuse *misuse = &list[misuses->count++];
    *misuse = (struct misuse){.time = time,
                              .address = event->values[FREE_ADDRESS],
                              .thread = event->thread,
                              .from = event->site,
                              .decommits = event->values[FREE_TYPE] & MEM_DECOMMIT_FLAG};
    for (uint32_t back = 1; back <= misuses->release_count && !there; back++) { /* the last one first */
        const struct release *release = &misuses->releases[(misuses->released - back) % RELEASES_KEPT];
        if (covers(release, misuse->address)) {
            explain(misuses, misuse, release);
            return;
        }
    }
}

/* A free is recorded when it has returned: the one that came too late for this region may have been told of before. It
 * was there then, so nothing else can have been wrong with that one. */
static void explain_late(struct misuses *misuses, const struct release *release)
{
    for (uint32_t back = 1; back <= misuses->count && back <= RACERS; back++) {
        struct misuse *misuse = &misuses->list[misuses->count - back];
        if (!misuse->twice && covers(release, misuse->address) &&
            (release->since == NOT_SEEN || release->since <= misuse->time))
            explain(misuses, misuse, release);
    }
}

void hm_misuses_release(struct misuses *misuses, const struct event *event, const struct region *region,
                        uint64_t time)
{
    const struct release release = {.base = event->values[FREE_REGION],
                                    .bytes = event->values[FREE_RELEASED],
                                    .since = region ? region->since : NOT_SEEN,
                                    .time = time,
                                    .reserved_from = region ? region->site : 0,
                                    .from = event->site};

    explain_late(misuses, &release);
    if (misuses->release_count < RELEASES_KEPT) {
        struct release *releases = array_room(misuses->releases, misuses->release_count,
                                              &misuses->release_capacity, 64, sizeof *releases);
        if (!releases)
            return;
        misuses->releases = releases;
        misuses->release_count++;
    }
    misuses->releases[misuses->released++ % RELEASES_KEPT] = release;
}

void hm_misuses_settle(struct misuses *misuses, const struct sites *sites)
{
    for (uint32_t i = 0; i < misuses->count; i++) {
        struct misuse *misuse = &misuses->list[i];
        misuse->from = hm_sites_became(sites, misuse->from);
        misuse->first.from = hm_sites_became(sites, misuse->first.from);
        misuse->first.reserved_from = hm_sites_became(sites, misuse->first.reserved_from);
    }
}

void hm_misuses_clear(struct misuses *misuses)
{
    free(misuses->list);
    free(misuses->releases);
    *misuses = (struct misuses){0};
}
