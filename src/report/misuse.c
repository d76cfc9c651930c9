/*
 * misuse.c - see misuse.h
 */
#include "report/misuse.h"

#include <stdlib.h>
#include <string.h>

#include "report/array.h"

enum { MEM_DECOMMIT_FLAG = 0x4000 };
enum { RACERS = 64 }; /* threads that may be at the same free at once */

/* Of those that the list has no room for: each may take a look at all regions, and a hostile file has many. */
enum { LOOKED_AT_MAX = 8192 };

static void explain(struct misuses *misuses, struct misuse *misuse, const struct release *release)
{
    misuse->twice = true;
    misuse->first = *release;
    misuses->twice++;
}

/* The last release there, if it can be the one that a free is about: not when there is a region again. */
static const struct release *release_before(const struct misuses *misuses, uint64_t address, bool there)
{
    for (uint32_t back = 1; back <= misuses->release_count && !there; back++) {
        const struct release *release = &misuses->releases[(misuses->released - back) % RELEASES_KEPT];
        if (range_covers(release->base, release->bytes, address))
            return release;
    }
    return NULL;
}

/* The list is full: the last one of which nothing is known goes, and those behind it move up. */
static void make_room(struct misuses *misuses)
{
    uint32_t at = misuses->count - 1;

    while (misuses->list[at].twice)
        at--;
    misuses->count--;
    memmove(&misuses->list[at], &misuses->list[at + 1], (misuses->count - at) * sizeof *misuses->list);
}

void hm_misuses_add(struct misuses *misuses, const struct event *event, const struct regions *regions,
                    uint64_t time)
{
    struct misuse misuse = {.time = time,
                            .address = event->values[FREE_ADDRESS],
                            .thread = event->thread,
                            .from = event->site,
                            .decommits = event->values[FREE_TYPE] & MEM_DECOMMIT_FLAG};
    const bool full = misuses->count == MISUSES_MAX;

    if (full) {
        misuses->left_out++;
        if (misuses->twice == misuses->count || misuses->left_out > LOOKED_AT_MAX)
            return;
    }
    misuse.there = hm_regions_cover(regions, misuse.address);
    const struct release *release = release_before(misuses, misuse.address, misuse.there);
    if (full && !release)
        return;
    if (full)
        make_room(misuses);
    struct misuse *list = array_room(misuses->list, misuses->count, &misuses->capacity, 16, sizeof *list);
    if (!list) {
        misuses->left_out++;
        return;
    }
    misuses->list = list;
    list[misuses->count++] = misuse;
    if (release)
        explain(misuses, &list[misuses->count - 1], release);
}

/* A free is recorded when it has returned: the one of another thread that came too late for this region may have been told
 * of before. It was there then, so nothing else can have been wrong with that one. */
static void explain_late(struct misuses *misuses, const struct release *release)
{
    for (uint32_t back = 1; back <= misuses->count && back <= RACERS; back++) {
        struct misuse *misuse = &misuses->list[misuses->count - back];
        const bool same_thread = misuse->thread != 0 && misuse->thread == release->thread;
        if (!misuse->twice && misuse->there && !same_thread &&
            range_covers(release->base, release->bytes, misuse->address) &&
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
                                    .from = event->site,
                                    .thread = event->thread};

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
