/*
 * verify.h - the self-check of the accounting
 *
 * For a host's own tests, for its support, and for whoever wants to know whether a manager can still be trusted after
 * something else in the process went wrong.
 */
#ifndef HOSTMEM_VERIFY_H
#define HOSTMEM_VERIFY_H

#include <hostmem/hostmem.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What hostmem_verify found. */
typedef enum hostmem_finding {
    HOSTMEM_FINDING_NONE,
    /* At an address. */
    HOSTMEM_FINDING_RECORD, /* a record describes no possible region; found: its number */
    HOSTMEM_FINDING_ENTRY,  /* a region's address does not lead to its record: record numbers, 0 for none */
    HOSTMEM_FINDING_STRAY,  /* an address leads to a record (found: its number) that does not stand for it */
    HOSTMEM_FINDING_GONE, /* the region is not Windows' allocation there, or not all of it; bytes that fit */
    HOSTMEM_FINDING_PAGE, /* a page; expected: 1 if Windows has it committed; found: 1 if it is noted so */
    HOSTMEM_FINDING_BITS, /* the notes on a region's pages lie elsewhere, or say something of pages beyond it */
    HOSTMEM_FINDING_BLOCK, /* an IHostMalloc block is noted where there is no memory */
    /* Of no address; records that are neither in use nor free, or both: how many were ever made, and how
     * many are accounted for. */
    HOSTMEM_FINDING_ITEMS,
    /* Of no address; what the parts sum up to, and the figure of hostmem_statistics. */
    HOSTMEM_FINDING_REGIONS,
    HOSTMEM_FINDING_VIEWS,
    HOSTMEM_FINDING_BLOCKS,
    HOSTMEM_FINDING_RESERVED,
    HOSTMEM_FINDING_MAPPED,
    HOSTMEM_FINDING_HEAP,
    HOSTMEM_FINDING_CHARGED,
    HOSTMEM_FINDING_USE,          /* committed for one use */
    HOSTMEM_FINDING_HEAP_CHARGED, /* against heap_limit */
    HOSTMEM_FINDING_SHARED,       /* the shared budget holds less (found) than this manager's part of it */
    /* At an address. */
    HOSTMEM_FINDING_COMMITTED /* of a region; bytes of the pages that are noted as committed, and the region's sum */
} hostmem_finding;

typedef struct hostmem_verify_report {
    uint32_t size;    /* sizeof(hostmem_verify_report) */
    uint32_t finding; /* hostmem_finding: the first one */
    void *address;    /* where; NULL: it is of no address */
    uint64_t expected, found;
    uint64_t regions; /* looked at, each: */
    uint64_t views;
    uint64_t blocks;
    uint64_t pages;     /* compared with VirtualQuery */
    uint64_t skipped;   /* regions in which other threads were at work, and not judged therefore */
    uint32_t disturbed; /* not 0: calls came in between; only regions were judged, by themselves */
    uint32_t flags;     /* 0 */
} hostmem_verify_report;

/*
 * hostmem_verify - does the accounting agree with itself and with Windows?
 *
 *   manager   the manager.
 *   report    size set by the caller; receives what was looked at, and the first difference.  May be NULL.
 *
 * Every region's record, every entry of the ownership table, each page of owned regions against VirtualQuery, and the
 * number of those that are committed; every block of an IHostMalloc; the sums against hostmem_statistics and the budgets.
 * It changes nothing and repairs nothing. The time it takes grows with all of that; most of it is VirtualQuery's.
 *
 * Takes no lock but those of IHostMalloc heaps; a heap without MALLOC_THREADSAFE must not be in use by another thread
 * meanwhile.  Other calls may go on: what they disturb is not judged, and a difference counts only if three further looks,
 * over some 0.4 s, find the very same.  So a verdict on a manager that nobody uses is exact; on one in use
 * S_FALSE is wrong only if a call stood still in the middle for that long, or was ended there with its thread.  As with
 * hostmem_walk_blocks, the last reference to an IHostMalloc may be given back in here.
 *
 * Returns S_OK: nothing differs; S_FALSE: something does (memory that was freed by raw VirtualFree behind the
 * manager's back, or a corruption of the accounting); E_POINTER: manager is NULL; E_INVALIDARG: report has a size that this
 * version does not know.
 */
HRESULT HOSTMEM_CALL hostmem_verify(hostmem_manager *manager, hostmem_verify_report *report);

#ifdef __cplusplus
}
#endif

#endif
