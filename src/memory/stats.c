/*
 * stats.c - counting calls and reading the books
 */
#include "memory/stats.h"

#include <stdbool.h>

#include "memory/thread.h"

_Atomic uint64_t hm_views_committed;

/* This thread's own counters, or those that it shares. */
static struct lane_counters *counters_here(struct stats *stats, bool *shared)
{
    const uintptr_t thread = thread_here();
    const unsigned lane = lane_of(thread);
    *shared = !lane_is_own(&stats->lane[lane], thread);
    return *shared ? &stats->shared[lane] : &stats->lane[lane].counters;
}

static void add(_Atomic uint64_t *counter, uint64_t amount, bool shared)
{
    if (shared)
        atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
    else
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
                              memory_order_relaxed);
}

static void count(struct lane_counters *here, bool shared, enum stats_counter counter, int amount)
{
    add(&here->counter[counter], (uint64_t)(int64_t)amount, shared);
}

static void call(struct lane_counters *here, bool shared, hostmem_method method, unsigned level,
                 HRESULT result)
{
    if (level > HOSTMEM_LEVEL_NONE)
        level = HOSTMEM_LEVEL_NONE;
    add(&here->method[method][level].calls, 1, shared);
    if (result == S_OK)
        return;
    add(&here->method[method][level].failures, 1, shared);
    if (result == HOST_E_INVALIDOPERATION)
        count(here, shared, STATS_FOREIGN_FREES, 1);
}

void hm_stats_count(struct stats *stats, enum stats_counter counter, int amount)
{
    bool shared;
    struct lane_counters *here = counters_here(stats, &shared);
    count(here, shared, counter, amount);
}

HRESULT hm_stats_call(struct stats *stats, hostmem_method method, unsigned level, HRESULT result)
{
    bool shared;
    struct lane_counters *here = counters_here(stats, &shared);
    call(here, shared, method, level, result);
    return result;
}

HRESULT hm_stats_call_and_count(struct stats *stats, hostmem_method method, unsigned level, HRESULT result,
                                enum stats_counter counter, int amount)
{
    bool shared;
    struct lane_counters *here = counters_here(stats, &shared);
    count(here, shared, counter, amount); /* before the call, which says that it has ended */
    call(here, shared, method, level, result);
    return result;
}

static uint64_t read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static hostmem_gauge read_gauge(const struct gauge *gauge)
{
    return (hostmem_gauge){.now = counted(read(&gauge->now)), .peak = read(&gauge->peak)};
}

/* One thread may have added what another subtracts; a sum read in between must not wrap. */
static uint64_t read_counter(const struct stats *stats, enum stats_counter counter)
{
    uint64_t sum = 0;
    for (unsigned lane = 0; lane < LANES; lane++)
        sum +=
            read(&stats->lane[lane].counters.counter[counter]) + read(&stats->shared[lane].counter[counter]);
    return (int64_t)sum < 0 ? 0 : sum;
}

void hm_stats_read(const struct stats *stats, hostmem_statistics *out)
{
    out->mapped = read_gauge(&stats->mapped);
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++)
        out->committed_by_use[use] = read_gauge(&stats->by_use[use]);
    out->committed = (hostmem_gauge){.now = stats_committed(stats), .peak = read(&stats->committed_peak)};
    out->view_committed = out->committed_by_use[HOSTMEM_USE_VIEW];
    out->foreign_committed = read(&stats->foreign_committed);
    out->regions = read_counter(stats, STATS_REGIONS);
    out->views = read_counter(stats, STATS_VIEWS);
    out->blocks = read_counter(stats, STATS_BLOCKS);
    out->refusals = 0;
    for (unsigned r = 0; r < HOSTMEM_REASON_COUNT; r++)
        out->refusals += out->refused[r] = read(&stats->refused[r]);
    out->os_retries = read(&stats->os_retries);
    out->os_compared = read(&stats->os_compared);
    for (unsigned p = 0; p < HOSTMEM_PRESSURE_COUNT; p++)
        out->notifications[p] = read(&stats->notifications[p]);
    out->pressure = atomic_load_explicit(&stats->pressure, memory_order_relaxed);
    out->foreign_frees = read_counter(stats, STATS_FOREIGN_FREES);
    out->stale_regions = read(&stats->stale_regions);
    out->metadata = read(&stats->metadata);
    for (unsigned m = 0; m < HOSTMEM_METHOD_COUNT; m++)
        for (unsigned l = 0; l < HOSTMEM_LEVEL_COUNT; l++) {
            hostmem_calls sum = {0, 0};
            for (unsigned s = 0; s < 2 * LANES; s++) {
                const struct lane_counters *set =
                    s < LANES ? &stats->lane[s].counters : &stats->shared[s - LANES];
                sum.calls += read(&set->method[m][l].calls);
                sum.failures += read(&set->method[m][l].failures);
            }
            out->calls[m][l] = sum;
        }
}
