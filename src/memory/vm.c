/*
 * vm.c - reserve, commit, decommit, release
 *
 * A reserve: charge, VirtualAlloc, publish, settle.  The order of a commit and of a release, and why, is in
 * docs/architecture.md.
 */
#include "memory/vm.h"

#include "memory/hresult.h"
#include "memory/os.h"
#include "memory/overlap.h"
#include "memory/patience.h"
#include "memory/pressure.h"
#include "memory/reconcile.h"

/* No user address lies beyond. */
#define ADDRESS_END (sizeof(void *) == 8 ? (uint64_t)1 << 47 : (uint64_t)1 << 32)

static uint64_t page_floor(uint64_t address)
{
    return address & ~(uint64_t)(PAGE_BYTES - 1);
}

static uint64_t page_ceil(uint64_t address)
{
    return page_floor(address + PAGE_BYTES - 1);
}

void hm_vm_init(struct vm *vm)
{
    hm_quota_init(&vm->quota, &vm->stock);
    hm_quota_watch(&vm->quota, hm_pressure_wake);
    hm_region_table_init(&vm->table, &vm->stats, &vm->quota);
}

void hm_vm_destroy(struct vm *vm)
{
    hm_region_table_destroy(&vm->table);
    hm_recorders_destroy(&vm->recorders);
}

/* Bytes committed in whole pages of [start, end), within the allocation that `start` lies in; another one ends the walk. */
static uint64_t query_committed(uint64_t start, uint64_t end)
{
    uint64_t committed = 0;
    struct page_run run = {.end = start};
    DWORD error = GetLastError();
    while (hm_reconcile_next_run(&run, end))
        committed += run.committed ? run.end - run.start : 0;
    SetLastError(error);
    return committed;
}

/* Does the request end within the held region?  Windows refuses what does not; Wine lets a decommit wrap. */
static bool fits(const struct region_hold *hold, uint64_t address, uint64_t size)
{
    return size <= geometry_end(hold->geometry) - address;
}

/* Drop the held region from the table if its memory has gone; true: this call has dropped it. */
static bool drop_if_gone(struct vm *vm, struct region_hold *hold)
{
    DWORD error = GetLastError();
    bool dropped = !hm_reconcile_still_there(hold) && hm_region_unpublish(&vm->table, hold);
    SetLastError(error);
    return dropped;
}

/* The same after a refusal: it was freed behind our back. */
static void drop_if_stale(struct vm *vm, struct region_hold *hold)
{
    if (drop_if_gone(vm, hold))
        stats_bump(&vm->stats.stale_regions);
}

/* What a call asks of Windows, and what it is charged for that. */
struct request {
    void *address;
    SIZE_T size;
    DWORD type;
    unsigned level;
    DWORD protect;
    struct charge pages;
    /* What became of it, for the trace. */
    uint64_t committed, region; /* bytes newly committed; base of the region that it made or is in */
    hostmem_use use;
    struct shortage shortage;
};

static HRESULT short_of_metadata(struct request *request, uint64_t bytes)
{
    request->shortage = shortage_of_metadata(bytes);
    return E_OUTOFMEMORY;
}

/* Pages and address space (NULL: none): both, or neither. */
static HRESULT charge(struct vm *vm, struct request *request, struct charge *space)
{
    if (space != NULL && !hm_quota_charge(&vm->quota, space))
        return hm_vm_refuse(vm, space, request->level, request->use);
    if (hm_quota_charge(&vm->quota, &request->pages))
        return S_OK;
    if (space != NULL)
        hm_quota_cancel(&vm->quota, space);
    return hm_vm_refuse(vm, &request->pages, request->level, request->use);
}

static void cancel(struct vm *vm, const struct request *request, const struct charge *space)
{
    hm_quota_cancel(&vm->quota, &request->pages);
    if (space != NULL)
        hm_quota_cancel(&vm->quota, space);
}

/* VirtualAlloc.  On failure nothing is charged any more. */
static HRESULT allocate(struct vm *vm, struct request *request, struct charge *space, void **memory)
{
    *memory = hm_os_virtual_alloc(request->address, request->size, request->type, request->protect);
    if (*memory != NULL)
        return S_OK;
    const DWORD error = GetLastError();
    cancel(vm, request, space);
    if (request->type & MEM_COMMIT)
        request->shortage.error = error;
    return hresult_from_win32(error);
}

/* Length of the region that such a reserve makes, from the granule on in which it begins, to the end of a page; 0: none, Windows
 * will refuse it. */
static uint64_t reserve_bytes(const void *address, SIZE_T size)
{
    uint64_t start = (uintptr_t)address >> GRANULE_SHIFT << GRANULE_SHIFT;
    uint64_t end = (uintptr_t)address + (uint64_t)size;
    bool possible = size != 0 && end > start && end <= ADDRESS_END;
    return possible ? page_ceil(end) - start : 0;
}

/*
 * What a CLR that calls through COM may want it for (contract 3.2): the collector reserves read-write memory, its heap in
 * segments of some MiB; loaders reserve without access.
 */
static hostmem_use guess_use(SIZE_T size, DWORD type, DWORD protect)
{
    const SIZE_T least_segment = (SIZE_T)4 << 20;
    const DWORD execute = PAGE_EXECUTE | PAGE_EXECUTE_READ | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY;
    if (protect & execute)
        return HOSTMEM_USE_CODE;
    if (type & MEM_COMMIT)
        return HOSTMEM_USE_OTHER;
    if (protect & PAGE_NOACCESS)
        return HOSTMEM_USE_LOADER;
    return (type & MEM_WRITE_WATCH) || size >= least_segment ? HOSTMEM_USE_GC_HEAP : HOSTMEM_USE_GC_TABLES;
}

static HRESULT reserve(struct vm *vm, struct request *request, void **memory)
{
    struct region_table *table = &vm->table;
    const bool commits = (request->type & MEM_COMMIT) != 0;
    struct region_origin origin = {.kind = HOSTMEM_REGION_PRIVATE,
                                   .committed = commits,
                                   .type = request->type,
                                   .protect = request->protect,
                                   .level = request->level,
                                   .use = guess_use(request->size, request->type, request->protect)};
    /* Address space is refused at any level alike. */
    struct charge space = {.bytes = reserve_bytes(request->address, request->size),
                           .level = BUDGET_TASK,
                           .kind = CHARGE_RESERVE};
    request->pages.bytes = commits ? space.bytes : 0;
    request->pages.kind = charge_kind_of(origin.use);
    request->use = origin.use;
    HRESULT result = charge(vm, request, &space);
    if (result != S_OK)
        return result;
    void *base;
    result = allocate(vm, request, &space, &base);
    if (result != S_OK)
        return result;
    origin.base = (uintptr_t)base;
    origin.pages = space.bytes >> PAGE_SHIFT;
    origin.time = hm_os_ticks();
    if (hm_region_publish(table, &origin) == 0) {
        hm_os_virtual_free(base, 0, MEM_RELEASE);
        cancel(vm, request, &space);
        if (origin.pages > REGION_MAX_PAGES) /* no record holds it, however often it is tried */
            return hm_vm_no_memory(vm, space.bytes, request->level, request->use);
        return short_of_metadata(request, space.bytes);
    }
    request->region = origin.base;
    request->committed = request->pages.bytes;
    hm_quota_settle(&vm->quota, &space, space.bytes);
    hm_vm_notify_overrun(vm, &request->pages, request->level, request->use,
                         hm_quota_settle(&vm->quota, &request->pages, request->committed));
    /* A call that still holds the region that was here before may have had its effect on this one
     * (reconcile_leave).  Without an address Windows would have to choose just that one at that moment: that is not
     * looked for, at a question to Windows for each reserve. */
    if (request->address != NULL)
        hm_reconcile_range(table, origin.base, origin.base + space.bytes);
    *memory = base;
    return S_OK;
}

static HRESULT commit_owned(struct vm *vm, struct request *request, struct region_hold *hold, void **memory)
{
    uint64_t first;
    uint64_t count = region_pages_within(hold, (uintptr_t)request->address, request->size, &first);
    request->pages.bytes = hm_region_uncommitted(hold, first, count);
    request->region = geometry_base(hold->geometry);
    request->use = region_use(hold->region);
    request->pages.kind = charge_kind_of(request->use);
    HRESULT result = charge(vm, request, NULL);
    if (result == S_OK && !hm_region_prepare_commit(&vm->table, hold, first, count)) {
        cancel(vm, request, NULL);
        result = short_of_metadata(request, request->pages.bytes);
    }
    if (result == S_OK) {
        overlap_begin(hold, first,
                      count); /* after prepare: a stripe that is made later would hide its versions */
        result = allocate(vm, request, NULL, memory);
    }
    if (result != S_OK) {
        if (result == HRESULT_FROM_WIN32(ERROR_INVALID_ADDRESS))
            drop_if_stale(vm, hold);
        hm_region_leave_unchanged(&vm->table, hold);
        return result;
    }
    const struct budget *overrun = hm_region_set_committed(&vm->table, hold, first, count, &request->pages);
    request->committed = request->pages.bytes;
    hm_vm_notify_overrun(vm, &request->pages, request->level, request->use, overrun);
    hm_reconcile_leave(&vm->table, hold, first, count, true);
    return S_OK;
}

/* What is committed in a view has to be granted: a runtime that is refused there ends the process. */
static void charge_view(struct vm *vm, uint64_t bytes, unsigned level)
{
    const struct charge all = {.bytes = bytes, .level = level, .kind = CHARGE_COMMIT, .overruns = ~0u};
    gauge_add(&vm->stats.by_use[HOSTMEM_USE_VIEW], bytes);
    atomic_fetch_add_explicit(&hm_views_committed, bytes, memory_order_relaxed);
    hm_vm_notify_overrun(vm, &all, level, HOSTMEM_USE_VIEW, hm_quota_settle(&vm->quota, &all, bytes));
}

/* MEM_COMMIT in memory that is not ours: Windows decides, and an account of its own says how much it was. */
static HRESULT commit_elsewhere(struct vm *vm, struct request *request, void **memory)
{
    uint64_t start = page_floor((uintptr_t)request->address);
    uint64_t end = page_ceil((uintptr_t)request->address + (uint64_t)request->size);
    bool in_view = hm_region_kind_at(&vm->table, start) == HOSTMEM_REGION_VIEW;
    uint64_t before = end > start ? query_committed(start, end) : 0;
    HRESULT result = allocate(vm, request, NULL, memory);
    if (result != S_OK)
        return result;
    uint64_t fresh = end - start - before; /* all of it is committed now */
    request->committed = fresh;
    request->use = in_view ? HOSTMEM_USE_VIEW : HOSTMEM_USE_OTHER;
    /* A region may have come to be here, or its release have been refused, since it was looked for. */
    if (hm_region_kind_at(&vm->table, start) == HOSTMEM_REGION_PRIVATE)
        hm_reconcile_range(&vm->table, start, end);
    else if (in_view)
        charge_view(vm, fresh, request->level);
    else
        atomic_fetch_add_explicit(&vm->stats.foreign_committed, fresh, memory_order_relaxed);
    return S_OK;
}

static HRESULT alloc(struct vm *vm, struct request *request, void **memory)
{
    const DWORD type = request->type;
    /* Without an address whatever Windows grants is new (Wine: MEM_RESET as well). */
    const bool reserves = request->address == NULL || (type & MEM_RESERVE);
    if ((reserves || (type & MEM_COMMIT)) && vm_is_closed(vm))
        return hm_vm_refuse_closed(vm, request->size, request->level);
    if (reserves)
        return reserve(vm, request, memory);
    if ((type & (MEM_COMMIT | MEM_RESET)) == MEM_COMMIT) {
        struct region_hold hold;
        if (region_enter_owned(&vm->table, (uintptr_t)request->address, &hold))
            return commit_owned(vm, request, &hold, memory);
        return commit_elsewhere(vm, request, memory);
    }
    /* MEM_RESET, MEM_RESET_UNDO, and what Windows will refuse (MEM_RESET with MEM_COMMIT, which Wine takes
     * for a reset): nothing to account for. */
    *memory = hm_os_virtual_alloc(request->address, request->size, type, request->protect);
    return *memory != NULL ? S_OK : hresult_from_last_error();
}

HRESULT hm_vm_alloc(struct vm *vm, void *address, SIZE_T size, DWORD type, DWORD protect, unsigned level,
                    void **memory)
{
    const struct request asked = {.address = address,
                                  .size = size,
                                  .type = type,
                                  .protect = protect,
                                  .level = level_or_none(level),
                                  .pages = {.level = level_or_none(level), .kind = CHARGE_COMMIT},
                                  .use = HOSTMEM_USE_OTHER};
    struct request request = asked;
    struct patience patience = patience_for(request.level, type & MEM_COMMIT ? size : 0);
    HRESULT result;
    *memory = NULL;
    while ((result = alloc(vm, &request, memory)) != S_OK &&
           hm_patience_again(&patience, &request.shortage, vm, request.level, request.use))
        request = asked; /* nothing has become of it */
    if (result == S_OK || result == HOST_E_CLRNOTAVAILABLE)
        patience_forget(&patience);
    RECORD(vm, TRACE_ALLOC, (uintptr_t)address, size, type, protect, request.level, request.use,
           (uint32_t)result, (uintptr_t)*memory, request.committed, request.region);
    return result;
}

/* What a free came to, for the trace. */
struct freed {
    uint64_t decommitted, released; /* bytes */
    uint64_t region;
    hostmem_use use;
};

static HRESULT release(struct vm *vm, struct region_hold *hold, void *address, struct freed *freed)
{
    if (!region_close(hold)) {
        /* Another thread is releasing it: for us it is freed already. */
        stats_bump(&vm->stats.double_frees);
        hm_region_leave_unchanged(&vm->table, hold);
        return HOST_E_INVALIDOPERATION;
    }
    released_note(&vm->released, geometry_base(hold->geometry));
    if (hm_os_virtual_free(address, 0, MEM_RELEASE)) {
        if (recording(&vm->recorders) != NULL)
            freed->decommitted = region_committed(hold) << PAGE_SHIFT;
        freed->released = geometry_pages(hold->geometry) << PAGE_SHIFT;
        hm_region_erase(&vm->table, hold);
        hm_region_leave_unchanged(&vm->table, hold);
        return S_OK;
    }
    DWORD error = GetLastError();
    if (!hm_reconcile_still_there(hold) || !hm_region_reopen(&vm->table, hold)) {
        stats_bump(&vm->stats.stale_regions);
        hm_region_erase(&vm->table, hold);
        hm_region_leave_unchanged(&vm->table, hold);
    } else {
        /* Calls that came meanwhile found no region and were passed on as foreign. */
        hm_region_leave(&vm->table, hold);
        hm_reconcile_range(&vm->table, geometry_base(hold->geometry), geometry_end(hold->geometry));
    }
    SetLastError(error);
    return hresult_from_win32(error);
}

/* Nobody's: was it ours, and has nobody the address now?  Few foreign pointers lie where a region can begin: the
 * others cost no search. */
static void note_double_free(struct vm *vm, const void *address)
{
    MEMORY_BASIC_INFORMATION info;
    const bool at_granule = (uintptr_t)address % ((uintptr_t)1 << GRANULE_SHIFT) == 0;
    if (!at_granule || !released_has(&vm->released, (uintptr_t)address))
        return;
    DWORD error = GetLastError();
    if (hm_os_virtual_query(address, &info, sizeof info) != 0 && info.State == MEM_FREE)
        stats_bump(&vm->stats.double_frees);
    SetLastError(error);
}

static HRESULT free_owned(struct vm *vm, void *address, SIZE_T size, DWORD type, struct freed *freed)
{
    struct region_hold hold;
    if (!region_enter_owned(&vm->table, (uintptr_t)address, &hold)) {
        if (type == MEM_RELEASE)
            note_double_free(vm, address);
        return HOST_E_INVALIDOPERATION;
    }
    freed->region = geometry_base(hold.geometry);
    freed->use = region_use(hold.region);
    bool at_base = page_floor((uintptr_t)address) == geometry_base(hold.geometry);
    if (type == MEM_RELEASE && size == 0 && at_base)
        return release(vm, &hold, address, freed);

    uint64_t first = 0;
    uint64_t count = geometry_pages(hold.geometry);
    if (size != 0)
        count = region_pages_within(&hold, (uintptr_t)address, size, &first);
    overlap_begin(&hold, first, count);
    if (!hm_os_virtual_free(address, size, type)) {
        /* A wrong request; the region is as it was.  Unless it went behind our back: then Windows' answer is
         * for somebody else's memory, or none. */
        HRESULT result = hresult_from_last_error();
        drop_if_stale(vm, &hold);
        hm_region_leave_unchanged(&vm->table, &hold);
        return result;
    }
    if (type == MEM_DECOMMIT && fits(&hold, (uintptr_t)address, size)) {
        freed->decommitted = hm_region_set_decommitted(&vm->table, &hold, first, count);
        hm_reconcile_leave(&vm->table, &hold, first, count, false);
        return S_OK;
    }
    /* A kind of free that we do not know, or a size that wraps: see what it has done.  If the memory has gone, then by this
     * very call: no stale region is counted. */
    drop_if_gone(vm, &hold);
    hm_region_leave(&vm->table, &hold);
    hm_reconcile_range(&vm->table, geometry_base(hold.geometry), UINT64_MAX);
    return S_OK;
}

HRESULT hm_vm_free(struct vm *vm, void *address, SIZE_T size, DWORD type)
{
    struct freed freed = {.use = HOSTMEM_USE_OTHER};
    const HRESULT result = free_owned(vm, address, size, type, &freed);
    RECORD(vm, TRACE_FREE, (uintptr_t)address, size, type, freed.use, (uint32_t)result, freed.decommitted,
           freed.released, freed.region);
    return result;
}

HRESULT hm_vm_protect(void *address, SIZE_T size, DWORD protect, DWORD *old)
{
    if (hm_os_virtual_protect(address, size, protect, old))
        return S_OK;
    HRESULT result = hresult_from_last_error();
    if (old != NULL && result != HRESULT_FROM_WIN32(ERROR_NOACCESS)) /* it may not be writable */
        *old = 0;
    return result;
}

HRESULT hm_vm_query(const void *address, void *buffer, SIZE_T length, SIZE_T *result)
{
    *result = hm_os_virtual_query(address, buffer, length);
    return *result != 0 ? S_OK : hresult_from_last_error();
}

unsigned hm_vm_region_figures(struct region_hold *hold, uint64_t figures[TRACE_VALUES])
{
    figures[0] = geometry_base(hold->geometry);
    figures[1] = geometry_pages(hold->geometry) << PAGE_SHIFT;
    figures[2] = region_committed(hold) << PAGE_SHIFT;
    figures[3] = region_use(hold->region);
    figures[4] = hold->region->allocation_type;
    return 5;
}

unsigned hm_vm_limits(const struct vm *vm, uint64_t figures[TRACE_VALUES])
{
    struct budget_limits commit;
    hm_budget_get(&vm->quota.commit, &commit);
    figures[0] = commit.limit;
    figures[1] = commit.task_limit;
    figures[2] = commit.margin;
    figures[3] = commit.soft;
    figures[4] = budget_ceiling(&vm->quota.heap, BUDGET_TASK);
    figures[5] = budget_soft(&vm->quota.process);
    return 6;
}

HRESULT hm_vm_set_use(struct vm *vm, void *address, hostmem_use use)
{
    struct recorder *recorder = recording(&vm->recorders);
    struct region_hold hold;
    if (!region_enter_owned(&vm->table, (uintptr_t)address, &hold))
        return HOST_E_INVALIDOPERATION;
    hm_region_set_use(&vm->table, &hold, use);
    if (recorder != NULL) {
        uint64_t figures[TRACE_VALUES];
        hm_record(recorder, TRACE_REGION, figures, hm_vm_region_figures(&hold, figures));
    }
    hm_region_leave_unchanged(&vm->table, &hold);
    return S_OK;
}
