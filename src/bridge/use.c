/*
 * What each region of the runtime is for.
 *
 * Loaders reserve with PAGE_NOACCESS or at an address.  So does the JIT, whose first commit then is executable.
 * The collector reserves read-write memory anywhere: one granule is a handle table, and what of the rest is
 * heap is read from the order of calls that the collectors of .NET 8 to 11 keep, regions or segments,
 * workstation or server:
 *
 *     at the start   heap is reserved (one range, or all initial segments), then tables, on one thread and
 *                    with no commit in between; the first commit is in the tables
 *     later          only with segments: one is reserved and one or two pages are committed at its base; if
 *                    it lies outside what the tables cover, bigger tables are reserved, and committed in one
 *                    piece of many pages
 *
 * So a reservation stays "new" until something is committed in it, and then:
 *
 *     its thread has older new reservations         it is a table, and the older ones are heap
 *     it has none, one or two pages at the base     it is heap
 *     anything else                                 it is a table
 *
 * A standalone collector's module reserves nothing else.  The runtime's own module has others that look alike,
 * and less counts there:
 *
 *     64-bit   its collector has regions and takes one range for good: only the first line, once, and before
 *              the runtime has started
 *     x86      its collector has segments, the first of which begin with their headers as well: only the
 *              second line, at any time.  Apart from the collector the module reserves read-write memory for
 *              frozen objects alone, and begins with sixteen pages.  The tables are write-watched, those are
 *              not.  (Tables of less than two granules, of the smallest heaps, are not looked at.)
 *
 * What is not recognised is not heap, and so is never refused.
 *
 * The manager keeps the use with its region.  Kept here are the heap's ranges, from which the criticality of a
 * commit is derived, and the new reservations.  A range is one word, so that a reader needs no lock: granule
 * number of the base in the upper part, number of granules in the lower (64 KiB granules; no two allocations
 * share one).  A table is an array of words, 0 = free slot.  A new reservation is known to its own thread only,
 * so its slot is not contended for.
 */
#include <stdatomic.h>

#include "bridge/use.h"
#include "com/region_use.h"

#define GRANULE_SHIFT 16
#ifdef _WIN64
#    define SIZE_BITS 33 /* 47 bits of address are 31 bits of granule */
#else
#    define SIZE_BITS 16
#endif
#define SIZE_MASK (((size_t)1 << SIZE_BITS) - 1)

/* Reservations of one granule are handle tables and probes. */
#define SMALLEST ((size_t)2 << GRANULE_SHIFT)

/* A slot of the new reservations that is being filled. */
#define CLAIMED ((size_t)1)

/* What a segment's header is committed with. */
#define HEADER ((size_t)2 << 12)

enum { HEAP_SLOTS = 1024, NEW_SLOTS = 16 };

/* Has the collector of the runtime's own module segments?  Else regions. */
#define OWN_SEGMENTS (sizeof(void *) == 4)

struct new_range {
    _Atomic(size_t) range;
    DWORD thread;
    uint32_t number; /* order of arrival */
    bool shared;     /* made by a module that is not only a collector */
    bool watched;    /* by MEM_WRITE_WATCH */
};

/* Set before a call comes to a manager; NULL: that one does not take it. */
static IHostmemRegionUse *region_use;

static _Atomic(size_t) heap[HEAP_SLOTS];
static atomic_uint heap_used; /* slots from here on were never used */
static struct new_range fresh[NEW_SLOTS];
static atomic_uint fresh_count;
static atomic_uint fresh_number;
static atomic_uint dropped_count;
static atomic_bool sealed;     /* the runtime's module has its range */
static atomic_bool standalone; /* the runtime's module has no collector at work */

static size_t range_make(const void *base, size_t size)
{
    size_t granules = (size + ((size_t)1 << GRANULE_SHIFT) - 1) >> GRANULE_SHIFT;
    return ((size_t)base >> GRANULE_SHIFT) << SIZE_BITS | granules;
}

static bool range_contains(size_t range, const void *address)
{
    return ((size_t)address >> GRANULE_SHIFT) - (range >> SIZE_BITS) < (range & SIZE_MASK);
}

static void *range_base(size_t range)
{
    return (void *)(range >> SIZE_BITS << GRANULE_SHIFT);
}

/* Hosts were written whose QueryInterface gives the object itself, whatever it is asked for. */
static bool has_every_interface(IHostMemoryManager *manager)
{
    static const IID nobodys = {0};
    IUnknown *object = NULL;

    if (IHostMemoryManager_QueryInterface(manager, &nobodys, (void **)&object) != S_OK || !object)
        return false;
    IUnknown_Release(object);
    return true;
}

void hm_use_bind(IHostMemoryManager *manager)
{
    IHostmemRegionUse *object = NULL;

    if (!has_every_interface(manager) &&
        IHostMemoryManager_QueryInterface(manager, &iid_region_use, (void **)&object) == S_OK)
        region_use = object;
}

/* A manager that does not know the region, which is not to be, goes by criticality alone. */
static void set_use(void *address, uint32_t use)
{
    if (region_use)
        region_use->lpVtbl->SetUse(region_use, address, use);
}

/* False: there is no room. */
static bool heap_put(size_t range)
{
    for (unsigned i = 0; i < HEAP_SLOTS; ++i) {
        size_t free_slot = 0;
        if (!atomic_compare_exchange_strong_explicit(&heap[i], &free_slot, range, memory_order_release,
                                                     memory_order_relaxed))
            continue;
        unsigned used = atomic_load_explicit(&heap_used, memory_order_relaxed);
        while (used < i + 1 && !atomic_compare_exchange_weak_explicit(
                                   &heap_used, &used, i + 1, memory_order_release, memory_order_relaxed))
            ;
        return true;
    }
    atomic_fetch_add_explicit(&dropped_count, 1, memory_order_relaxed);
    return false;
}

static bool heap_add(size_t range)
{
    bool added = heap_put(range);

    set_use(range_base(range), added ? HOSTMEM_USE_GC_HEAP : HOSTMEM_USE_OTHER);
    return added;
}

/* Takes a free slot of the new reservations; the claim is a range that contains no usable address. */
static struct new_range *fresh_claim(void)
{
    for (unsigned i = 0; i < NEW_SLOTS; ++i) {
        size_t expected = 0;
        if (atomic_compare_exchange_strong_explicit(&fresh[i].range, &expected, CLAIMED, memory_order_acquire,
                                                    memory_order_relaxed))
            return &fresh[i];
    }
    return NULL;
}

/* Takes a new reservation out of the table; false: another thread has. */
static bool fresh_take(struct new_range *slot, size_t range)
{
    if (!atomic_compare_exchange_strong_explicit(&slot->range, &range, 0, memory_order_relaxed,
                                                 memory_order_relaxed))
        return false;
    atomic_fetch_sub_explicit(&fresh_count, 1, memory_order_relaxed);
    return true;
}

static bool is_sealed(void)
{
    return !OWN_SEGMENTS && atomic_load_explicit(&sealed, memory_order_relaxed);
}

/* A reservation such as the collector makes.  What it is for is settled by the first commit. */
static void collector_reserved(void *base, size_t size, DWORD type, bool shared)
{
    const bool collector = !shared || !atomic_load_explicit(&standalone, memory_order_relaxed);

    if (size < SMALLEST) {
        set_use(base, collector ? HOSTMEM_USE_GC_TABLES : HOSTMEM_USE_OTHER);
        return;
    }
    if (shared && (!collector || is_sealed())) {
        set_use(base, HOSTMEM_USE_OTHER);
        return;
    }
    struct new_range *slot = size >> GRANULE_SHIFT < SIZE_MASK ? fresh_claim() : NULL;
    if (!slot) {
        atomic_fetch_add_explicit(&dropped_count, 1, memory_order_relaxed);
        set_use(base, HOSTMEM_USE_OTHER);
        return;
    }
    slot->thread = GetCurrentThreadId();
    slot->number = atomic_fetch_add_explicit(&fresh_number, 1, memory_order_relaxed);
    slot->shared = shared;
    slot->watched = (type & MEM_WRITE_WATCH) != 0;
    atomic_fetch_add_explicit(&fresh_count, 1, memory_order_relaxed);
    atomic_store_explicit(&slot->range, range_make(base, size), memory_order_release);
}

static bool is_executable(DWORD protect)
{
    return (protect & (PAGE_EXECUTE | PAGE_EXECUTE_READ | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY)) !=
           0;
}

void hm_use_reserved(void *base, const void *asked, size_t size, DWORD type, DWORD protect, bool shared)
{
    if (is_executable(protect))
        set_use(base, HOSTMEM_USE_CODE);
    else if (protect == PAGE_NOACCESS || asked)
        set_use(base, HOSTMEM_USE_LOADER);
    else if (protect == PAGE_READWRITE && !(type & MEM_COMMIT))
        collector_reserved(base, size, type, shared);
    else
        set_use(base, HOSTMEM_USE_OTHER);
}

void hm_use_started(void)
{
    atomic_store_explicit(&sealed, true, memory_order_relaxed);
}

void hm_use_standalone(void)
{
    atomic_store_explicit(&standalone, true, memory_order_relaxed);
    for (unsigned i = 0; i < NEW_SLOTS; ++i) {
        size_t range = atomic_load_explicit(&fresh[i].range, memory_order_relaxed);
        if (range > CLAIMED && fresh_take(&fresh[i], range))
            set_use(range_base(range), HOSTMEM_USE_OTHER);
    }
    for (unsigned i = 0; i < HEAP_SLOTS; ++i) {
        size_t range = atomic_exchange_explicit(&heap[i], 0, memory_order_relaxed);
        if (range)
            set_use(range_base(range), HOSTMEM_USE_OTHER);
    }
}

bool hm_use_is_heap(const void *address)
{
    unsigned used = atomic_load_explicit(&heap_used, memory_order_acquire);
    for (unsigned i = 0; i < used; ++i)
        if (range_contains(atomic_load_explicit(&heap[i], memory_order_relaxed), address))
            return true;
    return false;
}

/* The older new reservations of a thread, one of whose is being committed: are heap if that is to be believed.
 * False: there are none. */
static bool fresh_settle_older(const struct new_range *than, bool believed)
{
    bool any = false;

    for (unsigned i = 0; i < NEW_SLOTS; ++i) {
        size_t older = atomic_load_explicit(&fresh[i].range, memory_order_acquire);
        if (older > CLAIMED && fresh[i].thread == than->thread && fresh[i].shared == than->shared &&
            (int32_t)(than->number - fresh[i].number) > 0 && fresh_take(&fresh[i], older)) {
            if (believed)
                heap_add(older);
            else
                set_use(range_base(older), HOSTMEM_USE_OTHER);
            any = true;
        }
    }
    return any;
}

/* The first commit in a new reservation: says what it is, and what the thread's older ones are. */
static bool fresh_settle(struct new_range *slot, size_t range, const void *address, size_t size)
{
    const struct new_range settled = {
        .thread = slot->thread, .number = slot->number, .shared = slot->shared, .watched = slot->watched};
    const bool by_order = !settled.shared || !OWN_SEGMENTS;
    const bool by_header = !settled.shared || OWN_SEGMENTS;
    const bool believed = !settled.shared || !is_sealed();

    if (!fresh_take(slot, range))
        return hm_use_is_heap(address);
    bool table = by_order && fresh_settle_older(&settled, believed);
    if (by_header && !table && address == range_base(range) && size <= HEADER)
        return heap_add(range);
    if (settled.shared && table)
        atomic_store_explicit(&sealed, true, memory_order_relaxed);
    table = !settled.shared || (by_order ? table && believed : settled.watched);
    set_use(range_base(range), table ? HOSTMEM_USE_GC_TABLES : HOSTMEM_USE_OTHER);
    return false;
}

/* Is the address in private memory of which nothing is committed yet? */
static bool is_untouched(const void *address)
{
    MEMORY_BASIC_INFORMATION info;

    if (!VirtualQuery(address, &info, sizeof info) || info.State != MEM_RESERVE || info.Type != MEM_PRIVATE)
        return false;
    const void *base = info.AllocationBase;
    for (const BYTE *at = base; VirtualQuery(at, &info, sizeof info) && info.AllocationBase == base;
         at += info.RegionSize)
        if (info.State != MEM_RESERVE)
            return false;
    return true;
}

bool hm_use_commit(void *address, size_t size, DWORD protect)
{
    if (atomic_load_explicit(&fresh_count, memory_order_relaxed))
        for (unsigned i = 0; i < NEW_SLOTS; ++i) {
            size_t range = atomic_load_explicit(&fresh[i].range, memory_order_acquire);
            if (range_contains(range, address))
                return fresh_settle(&fresh[i], range, address, size);
        }
    if (hm_use_is_heap(address))
        return true;
    if (region_use && is_executable(protect) && is_untouched(address))
        set_use(address, HOSTMEM_USE_CODE);
    return false;
}

size_t hm_use_forget(const void *address)
{
    const void *base = (const void *)((size_t)address & ~(size_t)0xFFF); /* as Windows takes it */

    if (atomic_load_explicit(&fresh_count, memory_order_relaxed))
        for (unsigned i = 0; i < NEW_SLOTS; ++i) {
            size_t range = atomic_load_explicit(&fresh[i].range, memory_order_acquire);
            if (range > CLAIMED && range_base(range) == base)
                fresh_take(&fresh[i], range);
        }
    unsigned used = atomic_load_explicit(&heap_used, memory_order_acquire);
    for (unsigned i = 0; i < used; ++i) {
        size_t range = atomic_load_explicit(&heap[i], memory_order_relaxed);
        if (range && range_base(range) == base) {
            atomic_store_explicit(&heap[i], 0, memory_order_relaxed);
            return range;
        }
    }
    return 0;
}

void hm_use_restore(size_t token)
{
    if (token)
        heap_put(token);
}

void hm_use_heap_figures(uint64_t *ranges, uint64_t *bytes, uint64_t *dropped)
{
    *ranges = *bytes = 0;
    for (unsigned i = 0; i < HEAP_SLOTS; ++i) {
        size_t range = atomic_load_explicit(&heap[i], memory_order_relaxed);
        *ranges += range != 0;
        *bytes += (uint64_t)(range & SIZE_MASK) << GRANULE_SHIFT;
    }
    *dropped = atomic_load_explicit(&dropped_count, memory_order_relaxed);
}
