/*
 * stats.h - what happened: gauges and counters
 *
 * Gauges are one shared number each, since now and peak must be exact.  Counters are sums over the lanes.
 */
#ifndef HOSTMEM_MEMORY_STATS_H
#define HOSTMEM_MEMORY_STATS_H

#include <hostmem/hostmem.h>

#include "memory/gauge.h"
#include "memory/lane.h"

/* What is only counted: no peak.  Blocks: those that are not simply so many that were allocated and so many freed. */
enum stats_counter { STATS_REGIONS, STATS_VIEWS, STATS_BLOCKS, STATS_FOREIGN_FREES, STATS_COUNTERS };

struct lane {
    _Alignas(64) _Atomic uint64_t counter[STATS_COUNTERS];
    struct {
        _Atomic uint64_t calls, failures;
    } method[HOSTMEM_METHOD_COUNT][HOSTMEM_LEVEL_COUNT];
};

struct stats {
    struct gauge by_use[HOSTMEM_USE_COUNT]; /* committed pages; HOSTMEM_USE_VIEW: inside views */
    _Atomic uint64_t committed_peak;        /* of all regions together */
    struct gauge mapped;
    _Atomic uint64_t foreign_committed;
    _Atomic uint64_t refused[HOSTMEM_REASON_COUNT];
    _Atomic uint64_t os_retries;
    _Atomic uint64_t os_compared;
    _Atomic uint64_t notifications[HOSTMEM_PRESSURE_COUNT];
    _Atomic uint32_t pressure; /* as last determined; 0: not yet */
    _Atomic uint64_t stale_regions;
    _Atomic uint64_t double_frees;
    _Atomic uint64_t metadata;
    struct lane lane[LANES];
};

extern const char *const hm_stats_method_names[HOSTMEM_METHOD_COUNT];

/* Committed inside views, of all managers that this process has had: sections keep it. */
extern _Atomic uint64_t hm_views_committed;

/* What is none of the three levels is counted and reported as that. */
static inline unsigned level_or_none(unsigned level)
{
    return level < HOSTMEM_LEVEL_NONE ? level : HOSTMEM_LEVEL_NONE;
}

static inline void stats_bump(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Committed pages of all regions. */
static inline uint64_t stats_committed(const struct stats *stats)
{
    uint64_t sum = 0;
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++)
        if (use != HOSTMEM_USE_VIEW)
            sum += atomic_load_explicit(&stats->by_use[use].now, memory_order_relaxed);
    return not_negative(sum);
}

/* Add to a counter; `amount` may be negative. */
static inline void stats_count(struct stats *stats, enum stats_counter counter, int amount)
{
    atomic_fetch_add_explicit(&stats->lane[lane_here()].counter[counter], (uint64_t)(int64_t)amount,
                              memory_order_relaxed);
}

/* Count one call of `method`, which returns `result`; returns it. */
static inline HRESULT stats_call(struct stats *stats, hostmem_method method, unsigned level, HRESULT result)
{
    struct lane *here = &stats->lane[lane_here()];
    level = level_or_none(level);
    if (result != S_OK)
        stats_bump(&here->method[method][level].failures);
    if (result == HOST_E_INVALIDOPERATION)
        stats_bump(&here->counter[STATS_FOREIGN_FREES]);
    stats_bump(&here->method[method][level].calls); /* last: the call has ended */
    return result;
}

/* All calls of a method, at whatever level. */
hostmem_calls hm_stats_calls(const struct stats *stats, hostmem_method method);

/* The figures of budgets and blocks are not in it. */
void hm_stats_read(const struct stats *stats, hostmem_statistics *out);

#endif
