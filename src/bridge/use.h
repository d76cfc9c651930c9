/*
 * What each region of the runtime is for.
 *
 * Refused heap is an OutOfMemoryException; refused anything else ends the process.  The runtime does not say
 * which is which, so it is read from its calls: a reservation's protection, and the order of the calls of the
 * module that contains the collector.  It is passed on to a manager that takes it (com/region_use.h).
 */
#ifndef HOSTMEM_BRIDGE_USE_H
#define HOSTMEM_BRIDGE_USE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <windows.h>

#include <hostmem/clr.h>

/* Asks the manager, before anything else here is called, whether it takes the use of a region; a reference is kept. */
void hm_use_bind(IHostMemoryManager *manager);

/*
 * A region is new: what VirtualAlloc was asked for, and gave.  shared: the call comes from the runtime's own module,
 * where others reserve besides the collector; false: from a standalone collector.
 */
void hm_use_reserved(void *base, const void *asked, size_t size, DWORD type, DWORD protect, bool shared);

/* A standalone collector was loaded: nothing that the runtime's own module reserves is the collector's. */
void hm_use_standalone(void);

/* The runtime has started: what a 64-bit one's own module reserves from now on is not the collector's, which has its range
 * for good.  Large pages, of which none of this can be read, leave it without one. */
void hm_use_started(void);

/* Called for each commit before it is made, which settles what a new reservation is for;
 * true: the address is in the heap. */
bool hm_use_commit(void *address, size_t size, DWORD protect);

/* Is the address in the heap?  Settles nothing. */
bool hm_use_is_heap(const void *address);

/* The region that begins in the page of the address is about to be released: forgets it; the token puts a range of the heap
 * back if the release fails. */
size_t hm_use_forget(const void *address);
void hm_use_restore(size_t token);

/* Heap ranges now, their reserved bytes, and reservations for which there was no room (they count as not heap). */
void hm_use_heap_figures(uint64_t *ranges, uint64_t *bytes, uint64_t *dropped);

#endif
