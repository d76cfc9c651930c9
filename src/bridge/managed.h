/*
 * Calls into the runtime: how often it has collected, and that its memory limit is another.
 *
 * By ICLRRuntimeHost's CreateDelegate, for static methods of System.GC.  Only once the runtime has started: asked while
 * it starts, CreateDelegate ends the process.
 */
#ifndef HOSTMEM_BRIDGE_MANAGED_H
#define HOSTMEM_BRIDGE_MANAGED_H

#include <stdbool.h>
#include <stdint.h>

#include <hostmem/bridge.h>

/* Of heap_limit: the hard limit stays as it is. */
#define MANAGED_AS_IT_IS UINT64_MAX

/*
 * The runtime has been bound; the interface stays, and from now on there is a thread of ours, which waits to be needed,
 * and for the start before that.  It tells the host when the runtime has started and no heap was recognised.
 * heap_limit: asked for the collector's hard limit in bytes at each refresh; 0: none.
 */
void hm_managed_bind(ICLRRuntimeHost *host, uint64_t (*heap_limit)(void));

/*
 * Which runtime is bound, before hm_managed_bind.  Internal methods are called only on versions whose signatures are
 * known: one argument too many, and on x86 the stack is not where it was.
 */
void hm_managed_set_version(uint64_t version);

/* Has the bound runtime started?  No lock, no memory. */
bool hm_managed_started(void);

/*
 * Have the collector read the machine's memory and its limits again, soon and on a thread of our own.  Any thread; waits
 * for nothing.  A hard limit below what its heap is now it does not take: that is tried again until it does.
 */
void hm_managed_refresh_limit(void);

/*
 * Have the collector run once, in full, and give back what it can, soon and on a thread of our own.  Any thread; waits
 * for nothing.  Not more than once in MANAGED_COLLECT_MS, and not before the runtime has started.
 */
enum { MANAGED_COLLECT_MS = 8192 };
void hm_managed_collect(void);

/* The bound runtime has started, as was just noticed.  From inside its calls: no lock, no memory. */
void hm_managed_runs(void);

/* How often the limit was refreshed. */
uint64_t hm_managed_refreshes(void);

#endif
