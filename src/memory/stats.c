/*
 * stats.c - reading the accounting
 */
#include "memory/stats.h"

#include <stdbool.h>

const char *const hm_stats_method_names[HOSTMEM_METHOD_COUNT] = {
    [HOSTMEM_CREATE_MALLOC] = "CreateMalloc",
    [HOSTMEM_VIRTUAL_ALLOC] = "VirtualAlloc",
    [HOSTMEM_VIRTUAL_FREE] = "VirtualFree",
    [HOSTMEM_VIRTUAL_QUERY] = "VirtualQuery",
    [HOSTMEM_VIRTUAL_PROTECT] = "VirtualProtect",
    [HOSTMEM_GET_MEMORY_LOAD] = "GetMemoryLoad",
    [HOSTMEM_REGISTER_CALLBACK] = "RegisterMemoryNotificationCallback",
    [HOSTMEM_NEEDS_ADDRESS_SPACE] = "NeedsVirtualAddressSpace",
    [HOSTMEM_ACQUIRED_ADDRESS_SPACE] = "AcquiredVirtualAddressSpace",
    [HOSTMEM_RELEASED_ADDRESS_SPACE] = "ReleasedVirtualAddressSpace",
    [HOSTMEM_MALLOC_ALLOC] = "Alloc",
    [HOSTMEM_MALLOC_DEBUG_ALLOC] = "DebugAlloc",
    [HOSTMEM_MALLOC_FREE] = "Free",
};

_Atomic uint64_t hm_views_committed;

static uint64_t read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static hostmem_gauge read_gauge(const struct gauge *gauge)
{
    return (hostmem_gauge){.now = not_negative(read(&gauge->now)), .peak = read(&gauge->peak)};
}

static uint64_t read_counter(const struct stats *stats, enum stats_counter counter)
{
    uint64_t sum = 0;
    for (const struct lane *lane = stats->lane; lane < stats->lane + LANES; lane++)
        sum += read(&lane->counter[counter]);
    return sum;
}

static hostmem_calls read_calls(const struct stats *stats, hostmem_method method, unsigned level)
{
    hostmem_calls sum = {0, 0};
    for (const struct lane *lane = stats->lane; lane < stats->lane + LANES; lane++) {
        sum.calls += read(&lane->method[method][level].calls);
        sum.failures += read(&lane->method[method][level].failures);
    }
    return sum;
}

hostmem_calls hm_stats_calls(const struct stats *stats, hostmem_method method)
{
    hostmem_calls sum = {0, 0};
    for (unsigned level = 0; level < HOSTMEM_LEVEL_COUNT; level++) {
        const hostmem_calls calls = read_calls(stats, method, level);
        sum.calls += calls.calls;
        sum.failures += calls.failures;
    }
    return sum;
}

void hm_stats_read(const struct stats *stats, hostmem_statistics *out)
{
    out->mapped = read_gauge(&stats->mapped);
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++)
        out->committed_by_use[use] = read_gauge(&stats->by_use[use]);
    out->committed = (hostmem_gauge){.now = stats_committed(stats), .peak = read(&stats->committed_peak)};
    out->view_committed = out->committed_by_use[HOSTMEM_USE_VIEW];
    out->foreign_committed = read(&stats->foreign_committed);
    out->regions = not_negative(read_counter(stats, STATS_REGIONS));
    out->views = not_negative(read_counter(stats, STATS_VIEWS));
    out->refusals = 0;
    for (unsigned r = 0; r < HOSTMEM_REASON_COUNT; r++)
        out->refusals += out->refused[r] = read(&stats->refused[r]);
    out->os_retries = read(&stats->os_retries);
    out->os_compared = read(&stats->os_compared);
    for (unsigned p = 0; p < HOSTMEM_PRESSURE_COUNT; p++)
        out->notifications[p] = read(&stats->notifications[p]);
    out->pressure = atomic_load_explicit(&stats->pressure, memory_order_relaxed);
    out->foreign_frees = read_counter(stats, STATS_FOREIGN_FREES);
    out->double_frees = read(&stats->double_frees);
    out->stale_regions = read(&stats->stale_regions);
    out->metadata = read(&stats->metadata);
    out->blocks = read_counter(stats, STATS_BLOCKS);
    for (unsigned m = 0; m < HOSTMEM_METHOD_COUNT; m++)
        for (unsigned l = 0; l < HOSTMEM_LEVEL_COUNT; l++) {
            const hostmem_calls calls = out->calls[m][l] = read_calls(stats, (hostmem_method)m, l);
            if (m == HOSTMEM_MALLOC_ALLOC || m == HOSTMEM_MALLOC_DEBUG_ALLOC)
                out->blocks += calls.calls - calls.failures;
            else if (m == HOSTMEM_MALLOC_FREE)
                out->blocks -= calls.calls - calls.failures;
        }
    out->blocks = not_negative(out->blocks);
}
