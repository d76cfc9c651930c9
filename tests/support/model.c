/*
 * model.c - one call on both sides, and what must be equal afterwards
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "support/free_space.h"
#include "support/model.h"
#include "support/verified.h"

enum { PAGE = 4096, GRANULE = 65536, SENTINEL = 12345, FOREIGN_BYTES = 16 * GRANULE };

#define POISON ((void *)(uintptr_t)0xA5A5A5A5u)

#define require(model, condition)                                                                            \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            fail_msg("%s: %s is false", (model)->text, #condition);                                          \
    } while (0)

/* Written from the documentation, not from the library. */
static HRESULT expected_result(DWORD error)
{
    static const DWORD exhausted[] = {8, 14, 1450, 1453, 1454, 1455, 1816};
    for (unsigned i = 0; i < sizeof exhausted / sizeof *exhausted; i++)
        if (error == exhausted[i])
            return E_OUTOFMEMORY;
    return (HRESULT)(0x80070000u | error);
}

/* Windows' word on an address; beyond user space: free. */
static MEMORY_BASIC_INFORMATION query(const void *address)
{
    MEMORY_BASIC_INFORMATION info;
    if (VirtualQuery(address, &info, sizeof info) == 0)
        info = (MEMORY_BASIC_INFORMATION){.State = MEM_FREE};
    return info;
}

/* Bytes of the allocation that begins at `base`, and of them committed. */
static uint64_t extent(const char *base, uint64_t *committed)
{
    uint64_t bytes = 0;
    *committed = 0;
    for (;;) {
        MEMORY_BASIC_INFORMATION info = query(base + bytes);
        if (info.State == MEM_FREE || info.AllocationBase != base)
            return bytes;
        if (info.State == MEM_COMMIT)
            *committed += info.RegionSize;
        bytes += info.RegionSize;
    }
}

static struct pair *pair_at(struct model *model, const char *ours)
{
    for (unsigned i = 0; i < MODEL_PAIRS; i++) {
        struct pair *pair = &model->pair[i];
        if (pair->base.ours != NULL && ours >= pair->base.ours &&
            (uint64_t)(ours - pair->base.ours) < pair->bytes)
            return pair;
    }
    return NULL;
}

static struct pair *pair_of_twin(struct model *model, const void *raw_base)
{
    for (unsigned i = 0; i < MODEL_PAIRS; i++)
        if (model->pair[i].base.raw == raw_base && model->pair[i].base.ours != NULL)
            return &model->pair[i];
    return NULL;
}

/* The same runs on both sides. */
static void check_picture(struct model *model, struct pair *pair)
{
    uint64_t at = 0, committed = 0;
    while (at < pair->bytes) {
        MEMORY_BASIC_INFORMATION a = query(pair->base.ours + at), b = query(pair->base.raw + at);
        require(model, a.AllocationBase == pair->base.ours && b.AllocationBase == pair->base.raw);
        require(model, a.BaseAddress == pair->base.ours + at);
        require(model, a.RegionSize == b.RegionSize);
        require(model, a.State == b.State && a.Type == b.Type);
        require(model, a.Protect == b.Protect && a.AllocationProtect == b.AllocationProtect);
        if (a.State == MEM_COMMIT)
            committed += a.RegionSize;
        at += a.RegionSize;
    }
    require(model, at == pair->bytes);
    model->committed += committed - pair->committed;
    pair->committed = committed;
}

struct search {
    const struct pair *pair;
    hostmem_region found;
};

static HRESULT HOSTMEM_CALL find_region(const hostmem_region *region, void *context)
{
    struct search *search = context;
    if (region->base != search->pair->base.ours)
        return S_OK;
    search->found = *region;
    return S_FALSE;
}

static void check_statistics_of(struct model *model, struct pair *pair)
{
    struct search search = {.pair = pair};
    HRESULT stopped = hostmem_walk_regions(model->manager, find_region, &search);
    require(model, stopped == S_FALSE);
    require(model, search.found.size == sizeof search.found && search.found.kind == HOSTMEM_REGION_PRIVATE);
    require(model, search.found.reserved == pair->bytes);
    require(model, search.found.committed == pair->committed);
}

static void check_totals(struct model *model)
{
    hostmem_statistics statistics = {.size = sizeof statistics};
    require(model, hostmem_get_statistics(model->manager, &statistics) == S_OK);
    require(model, statistics.reserved.now == model->reserved && statistics.reserved.peak >= model->reserved);
    require(model,
            statistics.committed.now == model->committed && statistics.committed.peak >= model->committed);
    require(model, statistics.regions == model->pairs);
    require(model, statistics.foreign_committed == model->foreign_committed);
    require(model, statistics.foreign_frees == model->foreign_frees);
    require(model,
            statistics.stale_regions == 0 && statistics.view_committed.now == 0 && statistics.heap.now == 0);
    require(model, statistics.views == 1 && statistics.mapped.now == GRANULE);
    require(model, statistics.charged.now == model->committed && statistics.charged.peak >= model->committed);
    require(model, statistics.charged.now ==
                       statistics.committed.now + statistics.view_committed.now + statistics.heap.now);
    require(model,
            statistics.overrun.count == model->overruns && statistics.overrun.bytes == model->overrun_bytes);
    require(model, memcmp(statistics.refused, model->refused, sizeof model->refused) == 0);
}

static unsigned char pattern(size_t at)
{
    return (unsigned char)(at * 31 + at / PAGE * 7 + 1);
}

static void check_bystander(struct model *model)
{
    for (size_t i = 0; i < MODEL_BYSTANDER_PAGES * PAGE; i++)
        if ((unsigned char)model->bystander[i] != pattern(i))
            fail_msg("%s: byte %u of the bystander changed", model->text, (unsigned)i);
    MEMORY_BASIC_INFORMATION info = query(model->bystander);
    require(model, info.State == MEM_COMMIT && info.Protect == PAGE_READWRITE);
    require(model, info.RegionSize == MODEL_BYSTANDER_PAGES * PAGE);
    require(model, model->view[0] == 'v' && model->view[GRANULE - 1] == 'w');
}

/* After every call: the region that it was about, and all sums. */
static void check_step(struct model *model, struct pair *touched)
{
    model->calls++;
    if (touched != NULL) {
        check_picture(model, touched);
        check_statistics_of(model, touched);
    }
    check_totals(model);
}

static void adopt(struct model *model, char *ours, char *raw)
{
    struct pair *slot = model->pair;
    while (slot->base.ours != NULL)
        slot++;
    uint64_t committed, twin_committed;
    require(model, slot < model->pair + MODEL_PAIRS);
    *slot = (struct pair){.base = {ours, raw}, .bytes = extent(ours, &committed), .committed = 0};
    require(model, slot->bytes == extent(raw, &twin_committed) && committed == twin_committed);
    model->reserved += slot->bytes;
    model->pairs++;
}

void model_limit(struct model *model, const hostmem_limits *limits)
{
    const hostmem_limits none = {.size = sizeof none, .limit = HOSTMEM_UNLIMITED};
    model->limits = limits != NULL ? *limits : none;
    require(model, hostmem_set_limits(model->manager, &model->limits) == S_OK);
}

/* Bytes of the region that a reserve would make: whole pages, from a multiple of 64 KiB; 0: there is none. */
static uint64_t reserve_bytes(const char *address, SIZE_T size)
{
    const uint64_t top = sizeof(void *) == 8 ? (uint64_t)1 << 47 : (uint64_t)1 << 32;
    uint64_t from = (uintptr_t)address, to = from + size;
    if (size == 0 || to < from || to > top)
        return 0;
    return (to + PAGE - 1) / PAGE * PAGE - from / GRANULE * GRANULE;
}

/* Bytes that a commit in a region would newly commit: what of its pages the twin does not have. */
static uint64_t commit_bytes(const struct pair *pair, uint64_t offset, SIZE_T size)
{
    uint64_t at = offset / PAGE * PAGE, end = pair->bytes, fresh = 0;
    if (size < pair->bytes - offset)
        end = (offset + size + PAGE - 1) / PAGE * PAGE;
    while (at < end) {
        MEMORY_BASIC_INFORMATION info = query(pair->base.raw + at);
        uint64_t run = info.RegionSize < end - at ? info.RegionSize : end - at;
        if (info.State != MEM_COMMIT)
            fresh += run;
        at += run;
    }
    return fresh;
}

/* Why the budget is going to refuse; -1: it is not.  *overrun: bytes of an overrun, if Windows grants it. */
static int predict(struct model *model, struct place at, SIZE_T size, DWORD type, unsigned level,
                   uint64_t *overrun)
{
    const hostmem_limits *limits = &model->limits;
    uint64_t reserved = 0, fresh = 0;
    struct pair *pair = pair_at(model, at.ours);
    *overrun = 0;
    if (limits->size == 0)
        return -1;
    if (at.ours == NULL || (type & MEM_RESERVE)) {
        reserved = reserve_bytes(at.ours, size);
        fresh = type & MEM_COMMIT ? reserved : 0;
    } else if (pair != NULL && (type & (MEM_COMMIT | MEM_RESET)) == MEM_COMMIT) {
        fresh = commit_bytes(pair, (uint64_t)(at.ours - pair->base.ours), size);
    }
    if (limits->reserve_limit != 0 && reserved != 0 && model->reserved + reserved > limits->reserve_limit)
        return HOSTMEM_REASON_RESERVE_LIMIT;
    uint64_t used = model->committed + fresh;
    if (fresh == 0 || limits->limit == HOSTMEM_UNLIMITED)
        return -1;
    if (level == eTaskCritical)
        return used > (limits->task_limit != 0 ? limits->task_limit : limits->limit)
                   ? HOSTMEM_REASON_TASK_LIMIT
                   : -1;
    if (level == eAppDomainCritical)
        return used > limits->limit ? HOSTMEM_REASON_LIMIT : -1;
    if (used <= limits->limit + limits->margin)
        return -1;
    if (limits->flags & HOSTMEM_LIMITS_STRICT)
        return HOSTMEM_REASON_MARGIN;
    *overrun = fresh;
    return -1;
}

/* Refused by the budget: in just this way, and nothing has changed. */
static bool check_refusal(struct model *model, struct place at, HRESULT result, DWORD error, const void *ours,
                          int reason)
{
    require(model, result == E_OUTOFMEMORY);
    require(model, error == ERROR_COMMITMENT_LIMIT);
    require(model, ours == NULL);
    model->refused[reason]++;
    check_step(model, pair_at(model, at.ours));
    return false;
}

bool model_alloc(struct model *model, struct place at, SIZE_T size, DWORD type, DWORD protect, unsigned level)
{
    snprintf(model->text, sizeof model->text, "call %u: VirtualAlloc(%p / %p, %#llx, %#lx, %#lx, %u)",
             (unsigned)model->calls, (void *)at.ours, (void *)at.raw, (unsigned long long)size, type, protect,
             level);
    bool foreign = at.ours >= model->foreign.ours && at.ours < model->foreign.ours + FOREIGN_BYTES;
    uint64_t before = 0, after = 0;
    if (foreign)
        extent(model->foreign.ours, &before);

    uint64_t overrun;
    int reason = predict(model, at, size, type, level, &overrun);
    void *ours = POISON;
    SetLastError(SENTINEL);
    HRESULT result = IHostMemoryManager_VirtualAlloc(model->memory, at.ours, size, type, protect,
                                                     (EMemoryCriticalLevel)level, &ours);
    DWORD error = GetLastError();
    if (reason >= 0)
        return check_refusal(model, at, result, error, ours, reason);
    SetLastError(SENTINEL);
    char *raw = VirtualAlloc(at.raw, size, type, protect);
    DWORD twin_error = GetLastError();

    require(model, error == twin_error);
    struct pair *touched = pair_at(model, at.ours);
    if (raw == NULL) {
        require(model, result == expected_result(twin_error));
        require(model, ours == NULL);
    } else {
        require(model, result == S_OK);
        model->overruns += overrun != 0;
        model->overrun_bytes += overrun;
        MEMORY_BASIC_INFORMATION a = query(ours), b = query(raw);
        require(model, (char *)ours - (char *)a.AllocationBase == raw - (char *)b.AllocationBase);
        if (!foreign && pair_of_twin(model, b.AllocationBase) == NULL)
            adopt(model, a.AllocationBase, b.AllocationBase);
        touched = pair_at(model, ours);
        require(model, foreign || touched != NULL);
    }
    if (foreign) {
        extent(model->foreign.ours, &after);
        model->foreign_committed += after - before;
    }
    check_step(model, touched);
    return raw != NULL;
}

/* Not ours: refused, and neither Windows nor the memory noticed. */
static void check_foreign_free(struct model *model, char *address, SIZE_T size, DWORD type)
{
    MEMORY_BASIC_INFORMATION before = query(address);
    SetLastError(SENTINEL);
    HRESULT result = IHostMemoryManager_VirtualFree(model->memory, address, size, type);
    require(model, GetLastError() == SENTINEL);
    require(model, result == HOST_E_INVALIDOPERATION);
    MEMORY_BASIC_INFORMATION after = query(address);
    require(model, before.State == after.State && before.AllocationBase == after.AllocationBase &&
                       before.RegionSize == after.RegionSize && before.Protect == after.Protect);
    model->foreign_frees++;
    check_bystander(model);
    check_step(model, NULL);
}

bool model_free(struct model *model, struct place at, SIZE_T size, DWORD type)
{
    snprintf(model->text, sizeof model->text, "call %u: VirtualFree(%p / %p, %#llx, %#lx)",
             (unsigned)model->calls, (void *)at.ours, (void *)at.raw, (unsigned long long)size, type);
    struct pair *touched = pair_at(model, at.ours);
    if (touched == NULL) {
        check_foreign_free(model, at.ours, size, type);
        return false;
    }
    SetLastError(SENTINEL);
    HRESULT result = IHostMemoryManager_VirtualFree(model->memory, at.ours, size, type);
    DWORD error = GetLastError();
    SetLastError(SENTINEL);
    bool freed = VirtualFree(at.raw, size, type);
    DWORD twin_error = GetLastError();

    require(model, error == twin_error);
    require(model, result == (freed ? S_OK : expected_result(twin_error)));
    uint64_t committed;
    if (freed && extent(touched->base.raw, &committed) == 0) {
        require(model, extent(touched->base.ours, &committed) == 0);
        require(model, hostmem_owns(model->manager, touched->base.ours) == S_FALSE);
        model->reserved -= touched->bytes;
        model->committed -= touched->committed;
        model->pairs--;
        *touched = (struct pair){.bytes = 0};
        touched = NULL;
    }
    check_step(model, touched);
    return freed;
}

bool model_protect(struct model *model, struct place at, SIZE_T size, DWORD protect, bool want_old)
{
    snprintf(model->text, sizeof model->text, "call %u: VirtualProtect(%p / %p, %#llx, %#lx, %d)",
             (unsigned)model->calls, (void *)at.ours, (void *)at.raw, (unsigned long long)size, protect,
             want_old);
    DWORD old = 0xA5A5, twin_old = 0xA5A5;
    SetLastError(SENTINEL);
    HRESULT result =
        IHostMemoryManager_VirtualProtect(model->memory, at.ours, size, protect, want_old ? &old : NULL);
    DWORD error = GetLastError();
    SetLastError(SENTINEL);
    bool done = VirtualProtect(at.raw, size, protect, want_old ? &twin_old : NULL);
    DWORD twin_error = GetLastError();

    require(model, error == twin_error);
    require(model, result == (done ? S_OK : expected_result(twin_error)));
    if (done)
        require(model, old == twin_old);
    check_step(model, pair_at(model, at.ours));
    return done;
}

bool model_query(struct model *model, char *address, SIZE_T length)
{
    snprintf(model->text, sizeof model->text, "call %u: VirtualQuery(%p, %u)", (unsigned)model->calls,
             (void *)address, (unsigned)length);
    MEMORY_BASIC_INFORMATION info, twin;
    memset(&info, 0xA5, sizeof info);
    memset(&twin, 0xA5, sizeof twin);
    SIZE_T written = 0xA5;
    SetLastError(SENTINEL);
    HRESULT result = IHostMemoryManager_VirtualQuery(model->memory, address, &info, length, &written);
    DWORD error = GetLastError();
    SetLastError(SENTINEL);
    SIZE_T twin_written = VirtualQuery(address, &twin, length);
    DWORD twin_error = GetLastError();

    require(model, error == twin_error && written == twin_written);
    require(model, result == (twin_written != 0 ? S_OK : expected_result(twin_error)));
    require(model, memcmp(&info, &twin, sizeof info) == 0);
    check_step(model, pair_at(model, address));
    return twin_written != 0;
}

struct totals {
    struct model *model;
    uint64_t regions, views, reserved, committed;
};

static HRESULT HOSTMEM_CALL add_region(const hostmem_region *region, void *context)
{
    struct totals *totals = context;
    struct model *model = totals->model;
    if (region->kind == HOSTMEM_REGION_VIEW) {
        require(model, region->base == model->view && region->committed == 0);
        totals->views++;
        return S_OK;
    }
    struct pair *pair = pair_at(model, region->base);
    require(model, pair != NULL && pair->base.ours == region->base);
    require(model, region->reserved == pair->bytes && region->committed == pair->committed);
    require(model, region->allocation_protect == query(region->base).AllocationProtect);
    totals->regions++;
    totals->reserved += region->reserved;
    totals->committed += region->committed;
    return S_OK;
}

void model_check_all(struct model *model)
{
    for (unsigned i = 0; i < MODEL_PAIRS; i++) {
        struct pair *pair = &model->pair[i];
        if (pair->base.ours == NULL)
            continue;
        check_picture(model, pair);
        require(model, hostmem_owns(model->manager, pair->base.ours) == S_OK);
        require(model, hostmem_owns(model->manager, pair->base.ours + pair->bytes - 1) == S_OK);
        require(model, hostmem_owns(model->manager, pair->base.raw) == S_FALSE);
        if (pair_at(model, pair->base.ours + pair->bytes) == NULL)
            require(model, hostmem_owns(model->manager, pair->base.ours + pair->bytes) == S_FALSE);
    }
    struct totals totals = {.model = model};
    require(model, hostmem_walk_regions(model->manager, add_region, &totals) == S_OK);
    require(model, totals.regions == model->pairs && totals.views == 1);
    require(model, totals.reserved == model->reserved && totals.committed == model->committed);
    check_totals(model);
    check_bystander(model);
}

static HRESULT HOSTMEM_CALL leaked(const hostmem_region *region, void *context)
{
    if (region->kind == HOSTMEM_REGION_PRIVATE)
        ++*(unsigned *)context;
    return S_OK;
}

static unsigned leaks;

void model_init(struct model *model)
{
    *model = (struct model){.text = "setup"};
    hostmem_options options = {.size = sizeof options, .leaked_region = leaked, .context = &leaks};
    require(model, hostmem_create(&options, &model->manager) == S_OK);
    require(model, hostmem_get_memory_manager(model->manager, &model->memory) == S_OK);
    model->window_bytes = sizeof(void *) == 8 ? 512 << 20 : 96 << 20;
    model->window.ours = free_space_find(2 * model->window_bytes);
    require(model, model->window.ours != NULL);
    model->window.raw = model->window.ours + model->window_bytes;
    model->foreign.ours = VirtualAlloc(NULL, FOREIGN_BYTES, MEM_RESERVE, PAGE_READWRITE);
    model->foreign.raw = VirtualAlloc(NULL, FOREIGN_BYTES, MEM_RESERVE, PAGE_READWRITE);
    model->bystander = VirtualAlloc(NULL, 2 * MODEL_BYSTANDER_PAGES * PAGE, MEM_RESERVE, PAGE_READWRITE);
    require(model, model->foreign.ours != NULL && model->foreign.raw != NULL && model->bystander != NULL);
    require(model, VirtualAlloc(model->bystander, MODEL_BYSTANDER_PAGES * PAGE, MEM_COMMIT, PAGE_READWRITE));
    for (size_t i = 0; i < MODEL_BYSTANDER_PAGES * PAGE; i++)
        model->bystander[i] = (char)pattern(i);
    HANDLE mapping = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, GRANULE, NULL);
    model->view = MapViewOfFile(mapping, FILE_MAP_WRITE, 0, 0, 0);
    require(model, model->view != NULL);
    CloseHandle(mapping);
    model->view[0] = 'v';
    model->view[GRANULE - 1] = 'w';
    require(model, IHostMemoryManager_AcquiredVirtualAddressSpace(model->memory, model->view, 0) == S_OK);
}

void model_finish(struct model *model)
{
    for (unsigned i = 0; i < MODEL_PAIRS; i++)
        if (model->pair[i].base.ours != NULL)
            require(model, model_free(model, model->pair[i].base, 0, MEM_RELEASE));
    model_check_all(model);
    require(model, model->reserved == 0 && model->committed == 0 && model->pairs == 0);
    UnmapViewOfFile(model->view);
    IHostMemoryManager_ReleasedVirtualAddressSpace(model->memory, model->view);
    VirtualFree(model->foreign.ours, 0, MEM_RELEASE);
    VirtualFree(model->foreign.raw, 0, MEM_RELEASE);
    VirtualFree(model->bystander, 0, MEM_RELEASE);
    require(model, verified(model->manager));
    require(model, IHostMemoryManager_Release(model->memory) == 1);
    hostmem_release(model->manager);
    require(model, leaks == 0);
}
