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

/* The runtime has been bound; the interface stays. */
void managed_bind(ICLRRuntimeHost *host);

/* Has the bound runtime started?  No lock, no memory. */
bool managed_started(void);

/* Of managed_refresh_limit: the hard limit stays as it is. */
#define MANAGED_AS_IT_IS UINT64_MAX

/*
 * Have the collector read the machine's memory and its limits again, soon and on a thread of our own.  Any thread; waits
 * for nothing.  heap: its hard limit from then on, in bytes; 0: none.  It takes none below what its heap is now: that
 * is tried again until it does.
 */
void managed_refresh_limit(uint64_t heap);

/* How often that was done. */
uint64_t managed_refreshes(void);

#endif
