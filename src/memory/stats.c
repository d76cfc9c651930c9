/*
 * stats.c - counting calls and reading the books
 */
#include "memory/stats.h"

HRESULT stats_call(struct stats *stats, hostmem_method method, unsigned level, HRESULT result)
{
    if (level > HOSTMEM_LEVEL_NONE)
        level = HOSTMEM_LEVEL_NONE;
    /* Thread ids are multiples of 4. */
    struct stats_stripe *stripe = &stats->stripe[GetCurrentThreadId() / 4 % STATS_STRIPES];
    stats_bump(&stripe->method[method][level].calls);
    if (result != S_OK)
        stats_bump(&stripe->method[method][level].failures);
    return result;
}

static uint64_t read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static hostmem_gauge read_gauge(const struct gauge *gauge)
{
    return (hostmem_gauge){.now = read(&gauge->now), .peak = read(&gauge->peak)};
}

void stats_read(const struct stats *stats, hostmem_statistics *out)
{
    out->flags = 0;
    out->reserved = read_gauge(&stats->reserved);
    out->committed = read_gauge(&stats->committed);
    out->mapped = read_gauge(&stats->mapped);
    out->view_committed = read_gauge(&stats->view_committed);
    out->heap = read_gauge(&stats->heap);
    out->foreign_committed = read(&stats->foreign_committed);
    out->regions = read(&stats->regions);
    out->views = read(&stats->views);
    out->blocks = read(&stats->blocks);
    out->foreign_frees = read(&stats->foreign_frees);
    out->stale_regions = read(&stats->stale_regions);
    out->metadata = read(&stats->metadata);
    for (unsigned m = 0; m < HOSTMEM_METHOD_COUNT; m++)
        for (unsigned l = 0; l < HOSTMEM_LEVEL_COUNT; l++) {
            hostmem_calls sum = {0, 0};
            for (unsigned s = 0; s < STATS_STRIPES; s++) {
                sum.calls += read(&stats->stripe[s].method[m][l].calls);
                sum.failures += read(&stats->stripe[s].method[m][l].failures);
            }
            out->calls[m][l] = sum;
        }
}
