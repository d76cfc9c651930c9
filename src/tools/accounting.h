/*
 * accounting.h - the manager's figures and what Windows says of the same memory, both of one moment
 *
 * The program's other threads may still be at work when the process ends, so the figures are read, then
 * VirtualQuery is asked, then the figures are read again, until nothing has been called in between and all agree.
 */
#ifndef HOSTMEM_TOOLS_ACCOUNTING_H
#define HOSTMEM_TOOLS_ACCOUNTING_H

#include <stdbool.h>

#include <hostmem/verify.h>

struct accounting {
    hostmem_statistics statistics;
    const hostmem_region *regions; /* pages of our own, in order of their addresses */
    uint32_t region_count;
    bool complete; /* every region is in the list */
    bool quiet;    /* nothing was called while the figures were taken */

    /* Sums over the list: of owned regions, as the manager has them. */
    uint64_t reserved, committed, mapped;

    /* The same memory, page by page as VirtualQuery has it. */
    uint64_t query_reserved, query_committed;

    uint32_t finding; /* of hostmem_verify, HOSTMEM_FINDING_NONE where it was not asked */
    const void *finding_address;
};

/* Reads, at most so often as `looks` says: of a program that goes on with less patience.  The pages for the list stay until
 * they are freed. */
enum { ACCOUNTING_NOW = 5, ACCOUNTING_AT_END = 100 };
void accounting_read(struct accounting *accounting, hostmem_manager *manager, unsigned looks);
void accounting_free(struct accounting *accounting);

/* What hostmem_verify finds, unless blocks of an IHostMalloc live; after accounting_read. */
void accounting_verify(struct accounting *accounting, hostmem_manager *manager);

/* Has nobody called the manager since?  Then what was read of the process meanwhile belongs to the same moment. */
bool accounting_is_current(const struct accounting *accounting, hostmem_manager *manager);

/*
 * What Windows says is committed in owned regions now, and in those that are the collector's heap.  False: calls came
 * in between, so that the sum is of no one moment.
 */
bool accounting_sample(hostmem_manager *manager, uint64_t *committed, uint64_t *heap);

/* Do the statistics, the list and VirtualQuery have the same totals, and has hostmem_verify found nothing? */
bool accounting_agrees(const struct accounting *accounting);

#endif
