/*
 * hard_limit.c - see hard_limit.h
 */
#include "bridge/hard_limit.h"

#include <hostmem/bridge.h>

/* Has a collector one at all? */
#define ON_64_BITS (sizeof(void *) == 8)

/* A job's part is not less than this. */
static const uint64_t least_part = (uint64_t)20 << 20;

static uint64_t part_of_job(uint64_t physical)
{
    uint64_t part = percent_of(physical, 75);
    return part > least_part ? part : least_part;
}

uint64_t hm_hard_limit_as_job(uint64_t limit)
{
    const uint64_t third = limit / 3 + (limit % 3 != 0);
    return limit < HARD_LIMIT_NONE - third ? limit + third : HARD_LIMIT_NONE;
}

uint64_t hm_hard_limit_physical(const struct gc_settings *settings, const struct gc_machine *machine)
{
    return settings->physical ? settings->physical : least(machine->physical, machine->job);
}

static bool is_percent(uint64_t percent)
{
    return percent > 0 && percent < 100;
}

/* The program's own; none: HARD_LIMIT_NONE. */
static uint64_t own(const struct gc_settings *settings, uint64_t physical)
{
    if (!ON_64_BITS)
        return HARD_LIMIT_NONE;
    if (settings->by_heap)
        return settings->by_heap;
    if (settings->by_heap_percent)
        return percent_of(physical, settings->by_heap_percent);
    if (settings->limit)
        return settings->limit;
    if (is_percent(settings->percent))
        return percent_of(physical, settings->percent);
    return HARD_LIMIT_NONE;
}

struct hard_limit hm_hard_limit_of(const struct gc_settings *settings, const struct gc_machine *machine)
{
    const uint64_t physical = hm_hard_limit_physical(settings, machine);
    const uint64_t set = own(settings, physical);

    if (set != HARD_LIMIT_NONE)
        return (struct hard_limit){set, HOSTMEM_BRIDGE_OF_PROGRAM};
    if (ON_64_BITS && settings->physical)
        return (struct hard_limit){part_of_job(physical), HOSTMEM_BRIDGE_OF_PROGRAM};
    if (ON_64_BITS && machine->job != HARD_LIMIT_NONE)
        return (struct hard_limit){part_of_job(physical), HOSTMEM_BRIDGE_OF_JOB};
    return (struct hard_limit){HARD_LIMIT_NONE, HOSTMEM_BRIDGE_OF_NOBODY};
}

struct hard_limit hm_hard_limit_at_start(const struct gc_settings *settings, const struct gc_machine *shown,
                                         const struct gc_machine *real)
{
    struct gc_settings rest = *settings;

    rest.limit = 0;
    struct hard_limit limit = hm_hard_limit_of(&rest, shown);
    if (ON_64_BITS && settings->limit != 0 && settings->limit != limit.bytes)
        return (struct hard_limit){settings->limit, HOSTMEM_BRIDGE_OF_PROGRAM};
    if (limit.owner == HOSTMEM_BRIDGE_OF_JOB && shown->job != real->job)
        limit.owner = HOSTMEM_BRIDGE_OF_HOST;
    return limit;
}

bool hm_hard_limit_may_change(const struct gc_settings *settings)
{
    return !settings->by_heap && !settings->by_heap_percent && !settings->physical;
}

static void lower(struct hard_limit *limit, uint64_t bytes, unsigned owner)
{
    if (bytes < limit->bytes)
        *limit = (struct hard_limit){bytes, owner};
}

struct hard_limit hm_hard_limit_wanted(const struct gc_settings *settings, const struct gc_machine *real,
                                       uint64_t host)
{
    if (host == HARD_LIMIT_NONE)
        return hm_hard_limit_of(settings, real);
    struct hard_limit limit = {host, HOSTMEM_BRIDGE_OF_HOST};
    lower(&limit, own(settings, least(hm_hard_limit_physical(settings, real), host)),
          HOSTMEM_BRIDGE_OF_PROGRAM);
    if (ON_64_BITS && real->job != HARD_LIMIT_NONE)
        lower(&limit, part_of_job(least(real->physical, real->job)), HOSTMEM_BRIDGE_OF_JOB);
    lower(&limit, real->physical, HOSTMEM_BRIDGE_OF_NOBODY);
    return limit;
}
