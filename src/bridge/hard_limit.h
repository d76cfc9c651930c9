/*
 * hard_limit.h - what a collector makes its hard limit of, and what it is to be
 *
 * The rules are those of the collectors of .NET 8 and later.  Plain numbers in, plain numbers out: bytes, and
 * HARD_LIMIT_NONE for a figure that is not there.
 *
 *     limits of single heaps (SOH, LOH, POH)   their sum is the limit, whatever else is set
 *     GCHeapHardLimit                          the limit
 *     GCHeapHardLimitPercent                   of the physical memory
 *     a job object with a limit                three quarters of it, 20 MiB at least
 *
 * On x86 there is no hard limit, whatever is set: only the physical memory counts, which a job's limit makes less.
 */
#ifndef HOSTMEM_BRIDGE_HARD_LIMIT_H
#define HOSTMEM_BRIDGE_HARD_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "maps/least.h"

#define HARD_LIMIT_NONE UINT64_MAX

static inline uint64_t percent_of(uint64_t bytes, uint64_t percent)
{
    return bytes / 100 * percent + bytes % 100 * percent / 100;
}

/* What the program has set for its collector, in its environment or its runtimeconfig.json; 0: nothing. */
struct gc_settings {
    uint64_t limit, percent;
    uint64_t by_heap, by_heap_percent; /* sums */
    uint64_t physical; /* GCTotalPhysicalMemory: it asks for no other, and takes no new limit */
    uint64_t high_percent;
};

/* What a collector finds: `job` is the job's limit, or HARD_LIMIT_NONE. */
struct gc_machine {
    uint64_t physical, job;
};

/* A limit, and whose it is (HOSTMEM_BRIDGE_OF_...). */
struct hard_limit {
    uint64_t bytes;
    unsigned owner;
};

/* What it takes for physical memory. */
uint64_t hm_hard_limit_physical(const struct gc_settings *settings, const struct gc_machine *machine);

/* What it makes of that by itself. */
struct hard_limit hm_hard_limit_of(const struct gc_settings *settings, const struct gc_machine *machine);

/*
 * What it has come to at its start, which it writes into settings->limit: whose is that?  Of a job that only was shown it
 * is the host's.
 */
struct hard_limit hm_hard_limit_at_start(const struct gc_settings *settings, const struct gc_machine *shown,
                                         const struct gc_machine *real);

/* Can it be given another while it runs?  A limit of the program's that is not one number stays as it is. */
bool hm_hard_limit_may_change(const struct gc_settings *settings);

/*
 * The least of the host's, the program's own - percents are of the machine that is shown -, the part of the real
 * machine's job, and the machine.  host: HARD_LIMIT_NONE leaves what the collector makes of the rest by itself.
 */
struct hard_limit hm_hard_limit_wanted(const struct gc_settings *settings, const struct gc_machine *real,
                                       uint64_t host);

/* The job's limit of which `limit` is the collector's part. */
uint64_t hm_hard_limit_as_job(uint64_t limit);

#endif
