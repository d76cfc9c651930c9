/*
 * accounting.c - see accounting.h
 */
#include "tools/accounting.h"

#include <string.h>

#include <hostmem/bridge.h>

/* At most so many looks that are quiet and find something wrong. */
enum { WRONG = 20, SPARE_REGIONS = 4096 };

struct list {
    hostmem_region *regions;
    uint32_t count, capacity;
};

static HRESULT HOSTMEM_CALL list_add(const hostmem_region *region, void *context)
{
    struct list *list = context;

    if (list->count == list->capacity)
        return S_FALSE;
    list->regions[list->count++] = *region;
    return S_OK;
}

/* Shell's sort: no recursion, and msvcrt's qsort is not asked to work in a dying process. */
static void list_sort(struct list *list)
{
    for (uint32_t gap = list->count / 2; gap; gap /= 2)
        for (uint32_t i = gap; i < list->count; i++) {
            hostmem_region moved = list->regions[i];
            uint32_t to = i;
            for (; to >= gap && (uintptr_t)list->regions[to - gap].base > (uintptr_t)moved.base; to -= gap)
                list->regions[to] = list->regions[to - gap];
            list->regions[to] = moved;
        }
}

/* What Windows says of one owned region. */
struct query {
    uint64_t reserved, committed;
};

static struct query region_query(const hostmem_region *region)
{
    const char *at = region->base, *end = at + region->reserved;
    struct query sum = {0, 0};
    MEMORY_BASIC_INFORMATION found;

    while (at < end && VirtualQuery(at, &found, sizeof found)) {
        const char *stop = (const char *)found.BaseAddress + found.RegionSize;
        uint64_t bytes = (uint64_t)((stop < end ? stop : end) - at);

        if (found.AllocationBase == region->base && found.State != MEM_FREE && found.Type == MEM_PRIVATE) {
            sum.reserved += bytes;
            if (found.State == MEM_COMMIT)
                sum.committed += bytes;
        }
        at = stop;
    }
    return sum;
}

static bool same_moment(const hostmem_statistics *before, const hostmem_statistics *after)
{
    return memcmp(&before->reserved, &after->reserved, sizeof before->reserved) == 0 &&
           memcmp(&before->committed, &after->committed, sizeof before->committed) == 0 &&
           memcmp(&before->mapped, &after->mapped, sizeof before->mapped) == 0 &&
           memcmp(before->calls, after->calls, sizeof before->calls) == 0;
}

static void accounting_try(struct accounting *accounting, hostmem_manager *manager, struct list *list)
{
    hostmem_statistics before = {.size = sizeof before};

    hostmem_get_statistics(manager, &before);
    accounting->reserved = accounting->committed = accounting->mapped = 0;
    accounting->query_reserved = accounting->query_committed = 0;
    list->count = 0;
    accounting->complete = hostmem_walk_regions(manager, list_add, list) == S_OK;
    for (uint32_t i = 0; i < list->count; i++) {
        const hostmem_region *region = &list->regions[i];
        if (region->kind == HOSTMEM_REGION_VIEW) {
            accounting->mapped += region->reserved;
        } else {
            const struct query query = region_query(region);
            accounting->reserved += region->reserved;
            accounting->committed += region->committed;
            accounting->query_reserved += query.reserved;
            accounting->query_committed += query.committed;
        }
    }
    accounting->statistics.size = sizeof accounting->statistics;
    hostmem_get_statistics(manager, &accounting->statistics);
    accounting->quiet = same_moment(&before, &accounting->statistics);
}

/* hostmem_verify locks the heaps that have blocks, and in a dying process their owners may have stopped for good. */
void accounting_verify(struct accounting *accounting, hostmem_manager *manager)
{
    hostmem_verify_report report = {.size = sizeof report};

    if (accounting->statistics.blocks != 0)
        return;
    hostmem_verify(manager, &report);
    accounting->finding = report.finding;
    accounting->finding_address = report.address;
}

bool accounting_agrees(const struct accounting *accounting)
{
    const hostmem_statistics *statistics = &accounting->statistics;

    return accounting->complete && accounting->finding == HOSTMEM_FINDING_NONE &&
           accounting->reserved == statistics->reserved.now &&
           accounting->committed == statistics->committed.now &&
           accounting->mapped == statistics->mapped.now &&
           accounting->query_reserved == statistics->reserved.now &&
           accounting->query_committed == statistics->committed.now;
}

void accounting_read(struct accounting *accounting, hostmem_manager *manager, unsigned looks)
{
    struct list list = {0};

    memset(accounting, 0, sizeof *accounting);
    accounting->statistics.size = sizeof accounting->statistics;
    hostmem_get_statistics(manager, &accounting->statistics);
    uint64_t capacity = accounting->statistics.regions + accounting->statistics.views + SPARE_REGIONS;
    list.regions = VirtualAlloc(NULL, (SIZE_T)(capacity * sizeof *list.regions), MEM_RESERVE | MEM_COMMIT,
                                PAGE_READWRITE);
    list.capacity = list.regions ? (uint32_t)capacity : 0;
    /* A thread that was stopped within a call, with the memory there and not yet accounted, is nothing that quiet can
     * tell; it goes on, and figures that are wrong stay wrong. */
    for (unsigned i = 0, wrong = 0; i < looks && wrong < WRONG; i++) {
        if (i)
            Sleep(1);
        accounting_try(accounting, manager, &list);
        if (accounting->quiet && accounting_agrees(accounting))
            break;
        wrong += accounting->quiet && accounting->complete;
    }
    list_sort(&list);
    accounting->regions = list.regions;
    accounting->region_count = list.count;
}

void accounting_free(struct accounting *accounting)
{
    if (accounting->regions)
        VirtualFree((void *)accounting->regions, 0, MEM_RELEASE);
    accounting->regions = NULL;
    accounting->region_count = 0;
}

bool accounting_is_current(const struct accounting *accounting, hostmem_manager *manager)
{
    hostmem_statistics now = {.size = sizeof now};

    hostmem_get_statistics(manager, &now);
    return same_moment(&accounting->statistics, &now);
}

struct sample {
    uint64_t committed, heap;
};

static HRESULT HOSTMEM_CALL sample_add(const hostmem_region *region, void *context)
{
    struct sample *sample = context;

    if (region->kind == HOSTMEM_REGION_VIEW)
        return S_OK;
    const uint64_t committed = region_query(region).committed;
    sample->committed += committed;
    if (hostmem_bridge_is_heap(region->base) == S_OK)
        sample->heap += committed;
    return S_OK;
}

bool accounting_sample(hostmem_manager *manager, uint64_t *committed, uint64_t *heap)
{
    hostmem_statistics before = {.size = sizeof before}, after = before;
    struct sample sample = {0, 0};

    hostmem_get_statistics(manager, &before);
    hostmem_walk_regions(manager, sample_add, &sample);
    hostmem_get_statistics(manager, &after);
    *committed = sample.committed;
    *heap = sample.heap;
    return same_moment(&before, &after);
}
