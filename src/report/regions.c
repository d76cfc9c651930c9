/*
 * regions.c - see regions.h
 */
#include "report/regions.h"

#include <stdlib.h>
#include <string.h>

#include "report/array.h"

enum { REGIONS_MAX = 65536, RUNS_MAX = 1 << 20, REGION_RUNS_MAX = 1024 };

struct region *hm_regions_find(struct regions *regions, uint64_t base)
{
    const uint32_t *index = hm_table_find(&regions->by_base, base);
    return index ? &regions->list[*index] : NULL;
}

struct region *hm_regions_make(struct regions *regions, uint64_t base)
{
    struct region *region = hm_regions_find(regions, base);

    if (region)
        return region;
    struct region *list = NULL;
    if (regions->count < REGIONS_MAX)
        list = array_room(regions->list, regions->count, &regions->capacity, 64, sizeof *list);
    if (list)
        regions->list = list;
    uint32_t *index = list ? hm_table_add(&regions->by_base, base, REGIONS_MAX) : NULL;
    if (!index) {
        regions->left_out++;
        return NULL;
    }
    *index = regions->count++;
    regions->list[*index] = (struct region){.base = base, .since = NOT_SEEN};
    regions->changes++;
    return &regions->list[*index];
}

bool hm_regions_cover(const struct regions *regions, uint64_t address)
{
    for (uint32_t i = 0; i < regions->count; i++)
        if (range_covers(regions->list[i].base, regions->list[i].bytes, address))
            return true;
    return false;
}

/* The last one takes its place. */
void hm_regions_remove(struct regions *regions, struct region *region)
{
    struct region *last = &regions->list[--regions->count];

    regions->changes++;
    regions->run_count -= region->run_count;
    free(region->runs);
    hm_table_remove(&regions->by_base, region->base);
    if (region == last)
        return;
    *region = *last;
    *hm_table_find(&regions->by_base, region->base) = (uint32_t)(region - regions->list);
}

/* The first run that ends at `address` or behind it. */
static uint32_t run_at(const struct region *region, uint64_t address)
{
    uint32_t low = 0, high = region->run_count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (region->runs[middle].end < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Room for one more. */
static bool has_room(struct regions *regions, struct region *region)
{
    if (region->run_count == REGION_RUNS_MAX || regions->run_count >= RUNS_MAX)
        return false;
    struct run *runs = array_room(region->runs, region->run_count, &region->run_capacity, 4, sizeof *runs);
    if (runs)
        region->runs = runs;
    return runs != NULL;
}

/* Runs [at, at + gone) are replaced by `count` others. There is room for them. */
static void replace(struct regions *regions, struct region *region, uint32_t at, uint32_t gone,
                    const struct run *others, uint32_t count)
{
    if (region->run_count > at + gone)
        memmove(region->runs + at + count, region->runs + at + gone,
                (region->run_count - at - gone) * sizeof *region->runs);
    if (count != 0)
        memcpy(region->runs + at, others, count * sizeof *others);
    region->run_count = region->run_count - gone + count;
    regions->run_count = regions->run_count - gone + count;
    regions->changes++;
}

/* Only what is inside the region. False: nothing is. */
static bool clip(const struct region *region, uint64_t *address, uint64_t *end, uint64_t bytes)
{
    const uint64_t limit =
        region->base + region->bytes < region->base ? UINT64_MAX : region->base + region->bytes;

    *end = *address + bytes < *address ? UINT64_MAX : *address + bytes;
    if (*address < region->base)
        *address = region->base;
    if (*end > limit)
        *end = limit;
    return *address < *end;
}

void hm_regions_commit(struct regions *regions, struct region *region, uint64_t address, uint64_t bytes)
{
    uint64_t end;

    if (!clip(region, &address, &end, bytes))
        return;
    const uint32_t first = run_at(region, address);
    uint32_t behind = first;
    struct run all = {address, end};
    for (; behind < region->run_count && region->runs[behind].start <= end; behind++) {
        if (region->runs[behind].start < all.start)
            all.start = region->runs[behind].start;
        if (region->runs[behind].end > all.end)
            all.end = region->runs[behind].end;
    }
    if (behind > first || has_room(regions, region))
        replace(regions, region, first, behind - first, &all, 1);
    else if (region->run_count != 0) /* as part of its neighbour */
        region->runs[first < region->run_count ? first : first - 1] =
            first < region->run_count ? (struct run){address, region->runs[first].end}
                                      : (struct run){region->runs[first - 1].start, end};
}

void hm_regions_decommit(struct regions *regions, struct region *region, uint64_t address, uint64_t bytes)
{
    uint64_t end;

    if (!clip(region, &address, &end, bytes))
        return;
    const uint32_t first = run_at(region, address + 1);
    uint32_t behind = first;
    struct run left[2];
    uint32_t count = 0;
    for (; behind < region->run_count && region->runs[behind].start < end; behind++) {
        const struct run run = region->runs[behind];
        if (run.start < address)
            left[count++] = (struct run){run.start, address};
        if (run.end > end)
            left[count++] = (struct run){end, run.end};
    }
    if (count <= behind - first || has_room(regions, region))
        replace(regions, region, first, behind - first, left, count);
}

void hm_regions_clear(struct regions *regions)
{
    for (uint32_t i = 0; i < regions->count; i++)
        free(regions->list[i].runs);
    free(regions->list);
    hm_table_clear(&regions->by_base);
    *regions = (struct regions){0};
}
