/*
 * stats.h - what happened: gauges and counters
 *
 * Gauges are one shared number each, since now and peak must be exact.  Counters are sums over stripes.  A
 * thread that got a stripe to itself counts there without a locked instruction; the others share the last
 * one.  A stripe stays its first thread's: a thread id comes back only when its thread is gone.
 */
#ifndef HOSTMEM_MEMORY_STATS_H
#define HOSTMEM_MEMORY_STATS_H

#include <stdatomic.h>

#include <hostmem/hostmem.h>

struct gauge {
    _Atomic uint64_t now;
    _Atomic uint64_t peak;
};

enum { STATS_STRIPES = 16 };

/* What is only counted: no peak.  Foreign frees are the calls that HOST_E_INVALIDOPERATION answered. */
enum stats_counter { STATS_REGIONS, STATS_VIEWS, STATS_BLOCKS, STATS_FOREIGN_FREES, STATS_COUNTERS };

struct stats {
    struct gauge reserved, committed, mapped, view_committed, heap;
    _Atomic uint64_t foreign_committed;
    _Atomic uint64_t refused[HOSTMEM_REASON_COUNT];
    _Atomic uint64_t os_retries;
    _Atomic uint64_t notifications[HOSTMEM_PRESSURE_COUNT];
    _Atomic uint32_t pressure; /* last told to the CLR */
    _Atomic uint64_t stale_regions;
    _Atomic uint64_t metadata;
    struct stats_stripe {
        _Alignas(64) _Atomic uint32_t owner; /* thread id; 0: nobody's yet */
        _Atomic uint64_t counter[STATS_COUNTERS];
        struct {
            _Atomic uint64_t calls, failures;
        } method[HOSTMEM_METHOD_COUNT][HOSTMEM_LEVEL_COUNT];
    } stripe[STATS_STRIPES + 1]; /* the last one is shared */
};

static inline void gauge_add(struct gauge *gauge, uint64_t bytes)
{
    if (bytes == 0)
        return;
    uint64_t now = atomic_fetch_add_explicit(&gauge->now, bytes, memory_order_relaxed) + bytes;
    uint64_t peak = atomic_load_explicit(&gauge->peak, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak_explicit(&gauge->peak, &peak, now,
                                                                memory_order_relaxed, memory_order_relaxed))
        ;
}

static inline void gauge_sub(struct gauge *gauge, uint64_t bytes)
{
    if (bytes != 0)
        atomic_fetch_sub_explicit(&gauge->now, bytes, memory_order_relaxed);
}

static inline void stats_bump(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* The manager itself refuses memory: count that, and return `result`. */
static inline HRESULT stats_refuse(struct stats *stats, hostmem_reason reason, HRESULT result)
{
    stats_bump(&stats->refused[reason]);
    return result;
}

/* Add to a counter; `amount` may be negative. */
void stats_count(struct stats *stats, enum stats_counter counter, int amount);

/* Count one call of `method`, which returns `result`; returns it. */
HRESULT stats_call(struct stats *stats, hostmem_method method, unsigned level, HRESULT result);

void stats_read(const struct stats *stats, hostmem_statistics *out);

#endif
