/*
 * books.c - see books.h
 */
#include "tools/books.h"

#include <string.h>

#include <hostmem/bridge.h>

#include "tools/process_map.h"

/* At most so many looks, and so many that are quiet and find something wrong. */
enum { ATTEMPTS = 100, WRONG = 20, SPARE_REGIONS = 4096 };

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

/* Adds up what Windows says of one owned region. */
static void region_query(struct books *books, const hostmem_region *region)
{
    const char *at = region->base, *end = at + region->reserved;
    MEMORY_BASIC_INFORMATION found;

    while (at < end && VirtualQuery(at, &found, sizeof found)) {
        const char *stop = (const char *)found.BaseAddress + found.RegionSize;
        uint64_t bytes = (uint64_t)((stop < end ? stop : end) - at);

        if (found.AllocationBase == region->base && found.State != MEM_FREE && found.Type == MEM_PRIVATE) {
            books->query_reserved += bytes;
            if (found.State == MEM_COMMIT)
                books->query_committed += bytes;
        }
        at = stop;
    }
}

static bool same_moment(const hostmem_statistics *before, const hostmem_statistics *after)
{
    return memcmp(&before->reserved, &after->reserved, sizeof before->reserved) == 0 &&
           memcmp(&before->committed, &after->committed, sizeof before->committed) == 0 &&
           memcmp(&before->mapped, &after->mapped, sizeof before->mapped) == 0 &&
           memcmp(before->calls, after->calls, sizeof before->calls) == 0;
}

static void books_try(struct books *books, hostmem_manager *manager, struct list *list)
{
    hostmem_statistics before = {.size = sizeof before};

    hostmem_get_statistics(manager, &before);
    books->reserved = books->committed = books->mapped = 0;
    books->query_reserved = books->query_committed = 0;
    list->count = 0;
    books->complete = hostmem_walk_regions(manager, list_add, list) == S_OK;
    for (uint32_t i = 0; i < list->count; i++) {
        const hostmem_region *region = &list->regions[i];
        if (region->kind == HOSTMEM_REGION_VIEW) {
            books->mapped += region->reserved;
        } else {
            books->reserved += region->reserved;
            books->committed += region->committed;
            region_query(books, region);
        }
    }
    books->statistics.size = sizeof books->statistics;
    hostmem_get_statistics(manager, &books->statistics);
    books->quiet = same_moment(&before, &books->statistics);
}

/* hostmem_verify locks the heaps that have blocks, and in a dying process their owners may have stopped for good. */
void books_verify(struct books *books, hostmem_manager *manager)
{
    hostmem_verify_report report = {.size = sizeof report};

    if (books->statistics.blocks != 0)
        return;
    hostmem_verify(manager, &report);
    books->finding = report.finding;
    books->finding_address = report.address;
}

bool books_agree(const struct books *books)
{
    const hostmem_statistics *statistics = &books->statistics;

    return books->complete && books->finding == HOSTMEM_FINDING_NONE &&
           books->reserved == statistics->reserved.now && books->committed == statistics->committed.now &&
           books->mapped == statistics->mapped.now && books->query_reserved == statistics->reserved.now &&
           books->query_committed == statistics->committed.now;
}

void books_read(struct books *books, hostmem_manager *manager)
{
    struct list list = {0};

    memset(books, 0, sizeof *books);
    books->statistics.size = sizeof books->statistics;
    hostmem_get_statistics(manager, &books->statistics);
    uint64_t capacity = books->statistics.regions + books->statistics.views + SPARE_REGIONS;
    list.regions = VirtualAlloc(NULL, (SIZE_T)(capacity * sizeof *list.regions), MEM_RESERVE | MEM_COMMIT,
                                PAGE_READWRITE);
    list.capacity = list.regions ? (uint32_t)capacity : 0;
    process_map_claim(list.regions, PROCESS_REPORT);
    /* A thread that was stopped within a call, with the memory there and not yet in the books, is nothing that quiet can
     * tell; it goes on, and books that are wrong stay wrong. */
    for (unsigned i = 0, wrong = 0; i < ATTEMPTS && wrong < WRONG; i++) {
        if (i)
            Sleep(1);
        books_try(books, manager, &list);
        if (books->quiet && books_agree(books))
            break;
        wrong += books->quiet && books->complete;
    }
    list_sort(&list);
    books->regions = list.regions;
    books->region_count = list.count;
}

bool books_are_current(const struct books *books, hostmem_manager *manager)
{
    hostmem_statistics now = {.size = sizeof now};

    hostmem_get_statistics(manager, &now);
    return same_moment(&books->statistics, &now);
}

struct sample {
    uint64_t committed, heap;
};

static HRESULT HOSTMEM_CALL sample_add(const hostmem_region *region, void *context)
{
    struct sample *sample = context;
    struct books sums = {0};

    if (region->kind == HOSTMEM_REGION_VIEW)
        return S_OK;
    region_query(&sums, region);
    sample->committed += sums.query_committed;
    if (hostmem_bridge_is_heap(region->base) == S_OK)
        sample->heap += sums.query_committed;
    return S_OK;
}

bool books_sample(hostmem_manager *manager, uint64_t *committed, uint64_t *heap)
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
