/*
 * Calls into the runtime: collect, read your limits again, how often have you collected?
 *
 * By ICLRRuntimeHost's CreateDelegate, for static methods of System.GC.  Only once the runtime has started: asked while
 * it starts, CreateDelegate ends the process.
 */
#ifndef HOSTMEM_BRIDGE_MANAGED_H
#define HOSTMEM_BRIDGE_MANAGED_H

#include <stdbool.h>
#include <stdint.h>

#include <hostmem/bridge.h>

#include "bridge/hard_limit.h"

/* What the collector's hard limit depends on. */
struct managed_surroundings {
    struct gc_machine real;  /* as Windows has it */
    struct gc_machine shown; /* as the collector was shown it last when it asked */
    uint64_t host;           /* the host's limit of the heap, or HARD_LIMIT_NONE */
};

/*
 * The runtime has been bound; the interface stays, and from now on there is a thread of ours, which waits to be needed,
 * and for the start before that.  It notifies the host when the runtime has started and no heap was recognised, and asks for
 * the surroundings at each refresh.  Internal methods are called only on versions whose signatures are known: one argument too
 * many, and on x86 the stack is not where it was.
 */
void hm_managed_bind(ICLRRuntimeHost *host, uint64_t version,
                     void (*surroundings)(struct managed_surroundings *));

/* Has the bound runtime started?  No lock, no memory. */
bool hm_managed_started(void);

/*
 * Have the collector read the machine's memory and its limits again, soon and on a thread of our own.  Any thread; waits
 * for nothing.  A hard limit below what its heap is now it does not take: that is tried again until it does.
 */
void hm_managed_refresh_limit(void);

/*
 * Memory is low: have `pulse` called, and the collector run once in full and give back what it can, soon and on a thread
 * of our own - not in a no-GC region, which a collection would end, and not more than one collection in
 * MANAGED_COLLECT_MS: both wait for that, until the low is over.  That time is doubled with each collection that does not end
 * the low, up to eight times as much, until the limit is another.  Before the runtime has started `pulse` is called at
 * once.  Any thread; waits for nothing.
 */
enum { MANAGED_COLLECT_MS = 8192 };
void hm_managed_low(void (*pulse)(void));
void hm_managed_low_is_over(void);

/* The bound runtime has started, as was just noticed.  From inside its calls: no lock, no memory. */
void hm_managed_runs(void);

/* How often the collector has taken a limit. */
uint64_t hm_managed_refreshes(void);

/* The collector's hard limit, as far as it can be derived, or HARD_LIMIT_NONE.  No lock. */
uint64_t hm_managed_hard_limit(void);

/* The same, and whose it is and what else there is to know of it. */
void hm_managed_get_limit(hostmem_bridge_collector_limit *limit);

#endif
