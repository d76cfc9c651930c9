/*
 * Which memory is the garbage collector's heap.
 *
 * Refused heap is an OutOfMemoryException; refused anything else ends the process.  The runtime does not say
 * which is which, so it is read from the order of the calls of the module that contains the collector.
 */
#ifndef HOSTMEM_BRIDGE_CRITICALITY_H
#define HOSTMEM_BRIDGE_CRITICALITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A new reservation that may be the collector's.  shared: it comes from the runtime's own module, where
 * others reserve too; false: from a standalone collector.
 */
void hm_criticality_reserved(const void *base, size_t size, bool shared);

/* A standalone collector was loaded: nothing that the runtime's own module reserves is heap. */
void hm_criticality_standalone(void);

/* Called for each commit before it is made, which settles a new reservation;
 * true: the address is in the heap. */
bool hm_criticality_commit(const void *address, size_t size);

/* The same question without settling anything. */
bool hm_criticality_is_heap(const void *address);

/* A region is about to be released: forgets it; the token puts it back if the release fails. */
size_t hm_criticality_forget(const void *base);
void hm_criticality_restore(size_t token);

/* Heap ranges now, their reserved bytes,
 * and reservations for which there was no room (they count as not heap). */
void hm_criticality_figures(uint64_t *ranges, uint64_t *bytes, uint64_t *dropped);

#endif
