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

/*
 * Have the collector read the machine's memory and its limits again, soon and on a thread of our own.  Any thread,
 * also inside calls of the runtime: waits for nothing.
 */
void managed_refresh_limit(void);

/* How often that was done. */
uint64_t managed_refreshes(void);

#endif
