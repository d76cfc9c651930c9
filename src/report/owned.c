/*
 * owned.c - see owned.h
 */
#include "report/owned.h"

#include <stdlib.h>

#include "report/compare.h"

/* 0: both are of one group. */
static int group_order(const struct owned_region *a, const struct owned_region *b)
{
    const bool a_before = a->region->since == NOT_SEEN, b_before = b->region->since == NOT_SEEN;

    if (a->site != b->site)
        return a->site < b->site ? -1 : 1;
    if (a->region->use != b->region->use)
        return a->region->use < b->region->use ? -1 : 1;
    return a_before - b_before;
}

static int most_first(uint64_t committed, uint64_t bytes, uint64_t other_committed, uint64_t other_bytes)
{
    if (committed != other_committed)
        return committed > other_committed ? -1 : 1;
    return bytes > other_bytes ? -1 : bytes < other_bytes;
}

static int by_group(const void *left, const void *right)
{
    const struct owned_region *a = left, *b = right;
    const int groups = group_order(a, b);
    const int most =
        most_first(a->region->committed, a->region->bytes, b->region->committed, b->region->bytes);

    if (groups != 0 || most != 0)
        return groups != 0 ? groups : most;
    return a->region->base < b->region->base ? -1 : a->region->base > b->region->base;
}

static int by_bytes(const void *left, const void *right)
{
    const struct owned_group *a = left, *b = right;
    const int most = most_first(a->committed, a->bytes, b->committed, b->bytes);

    return most != 0 ? most : a->first < b->first ? -1 : a->first > b->first;
}

static void add(struct owned_group *group, const struct region *region)
{
    group->count++;
    group->bytes += region->bytes;
    group->committed += region->committed;
    if (region->since < group->oldest)
        group->oldest = region->since;
    if (region->since > group->youngest)
        group->youngest = region->since;
}

bool hm_owned_find(struct owned *owned, const struct model *model)
{
    const uint32_t count = model->regions.count;

    *owned = (struct owned){.region_count = count};
    hm_sites_group(&owned->sites, &model->sites, GROUP_FRAMES);
    owned->regions = malloc((count + 1) * sizeof *owned->regions);
    owned->groups = malloc((count + 1) * sizeof *owned->groups);
    if (!owned->regions || !owned->groups)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct region *region = &model->regions.list[i];
        owned->regions[i] = (struct owned_region){region, hm_sites_became(&owned->sites, region->site)};
    }
    qsort(owned->regions, count, sizeof *owned->regions, by_group);
    for (uint32_t i = 0; i < count; i++) {
        const struct owned_region *of = &owned->regions[i];
        if (i == 0 || group_order(of - 1, of) != 0)
            owned->groups[owned->group_count++] = (struct owned_group){.first = i,
                                                                       .site = of->site,
                                                                       .use = of->region->use,
                                                                       .oldest = of->region->since,
                                                                       .youngest = of->region->since};
        add(&owned->groups[owned->group_count - 1], of->region);
    }
    qsort(owned->groups, owned->group_count, sizeof *owned->groups, by_bytes);
    return true;
}

void hm_owned_clear(struct owned *owned)
{
    hm_sites_clear(&owned->sites);
    free(owned->regions);
    free(owned->groups);
    *owned = (struct owned){0};
}
