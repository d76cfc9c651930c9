/*
 * part_manager.c - the manager's calls beside Windows' own, on this machine
 *
 * Each step is made twice, through the manager and raw, in memory of the same kind; what Windows says of the two
 * afterwards has to be the same, and so has the error.
 */
#include "tools/check/check.h"

#include <string.h>

#include <hostmem/verify.h>

#include "tools/check/rows.h"

enum { PAGE = 4096, GRANULE = 65536, ALL = 64 * PAGE };

static const struct row_text rows[] = {
    {"exact", "VirtualAlloc, VirtualFree and VirtualProtect do and answer what Windows' own do"},
    {"fresh", "new pages are zero, and reservations begin at a multiple of 64 KiB"},
    {"watch", "GetWriteWatch, ResetWriteWatch and VirtualUnlock work on memory of the manager"},
    {"foreign", "what is not the manager's is not freed: stack, image, raw memory, memory freed before"},
    {"query", "VirtualQuery and VirtualProtect serve memory of anybody"},
    {"heap", "IHostMalloc: alignment, zeros, Free(NULL), foreign blocks"},
    {"load", "GetMemoryLoad says what Windows says"},
    {"views", "reported views are counted, with their size and without"},
    {"verify", "the accounting agrees with Windows, and nothing is left"},
    {"shutdown", "after hostmem_shutdown new memory is refused, all else is served"},
    {0},
};

static hostmem_manager *manager;
static IHostMemoryManager *memory;

/* Errors for which E_OUTOFMEMORY is the answer. */
static HRESULT answer_to(DWORD error)
{
    static const DWORD out_of_memory[] = {8, 14, 1450, 1453, 1454, 1455, 1816};

    for (unsigned i = 0; i < ARRAYSIZE(out_of_memory); i++)
        if (error == out_of_memory[i])
            return E_OUTOFMEMORY;
    return HRESULT_FROM_WIN32(error);
}

#define NO_BASE (~0u)
enum step_kind { ALLOC, FREE, PROTECT };

struct step {
    enum step_kind kind;
    unsigned
        offset; /* from the base of the region; NO_BASE: the address is NULL, and the result the new base */
    unsigned size;
    DWORD type, protect;
};

/* As the contract has them (3.2, 3.3, 4), and some that Windows refuses. */
static const struct step steps[] = {
    {ALLOC, NO_BASE, ALL, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE},
    {ALLOC, 0, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE},
    {ALLOC, PAGE, 16 * PAGE, MEM_COMMIT, PAGE_READWRITE},
    {ALLOC, 20 * PAGE + 100, 5000, MEM_COMMIT, PAGE_READWRITE},
    {ALLOC, 2 * PAGE, 2 * PAGE, MEM_RESET, PAGE_READWRITE},
    {PROTECT, 3 * PAGE, 1, 0, PAGE_READONLY},
    {PROTECT, 40 * PAGE, PAGE, 0, PAGE_READONLY},
    {ALLOC, 4 * PAGE, PAGE, MEM_COMMIT, PAGE_READONLY},
    {FREE, 8 * PAGE, 32 * PAGE, MEM_DECOMMIT, 0},
    {FREE, PAGE, 0, MEM_RELEASE, 0},
    {FREE, 0, ALL, MEM_RELEASE, 0},
    {FREE, 0, 0, MEM_RELEASE | MEM_DECOMMIT, 0},
    {ALLOC, 60 * PAGE, 8 * PAGE, MEM_COMMIT, PAGE_READWRITE},
    {FREE, 0, 0, MEM_DECOMMIT, 0},
    {FREE, 0, 0, MEM_RELEASE, 0},
    {ALLOC, NO_BASE, ALL, MEM_RESERVE | MEM_TOP_DOWN, PAGE_EXECUTE_READWRITE},
    {ALLOC, 0, PAGE, MEM_COMMIT, PAGE_EXECUTE_READ},
    {FREE, 0, 0, MEM_RELEASE, 0},
    {ALLOC, NO_BASE, ALL, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE},
    {PROTECT, 2 * PAGE, 3 * PAGE, 0, PAGE_READWRITE | PAGE_GUARD},
    {PROTECT, 0, PAGE, 0, 0x1234},
    {FREE, 0, 0, MEM_RELEASE, 0},
    {ALLOC, NO_BASE, 3 * GRANULE, MEM_COMMIT, PAGE_READWRITE},
    {FREE, 0, 0, MEM_RELEASE, 0},
    {ALLOC, NO_BASE, ALL, MEM_RESERVE, PAGE_NOACCESS},
    {ALLOC, 5 * PAGE, PAGE, MEM_COMMIT, PAGE_READWRITE},
    {FREE, 0, 0, MEM_RELEASE, 0},
    {ALLOC, NO_BASE, 0, MEM_RESERVE, PAGE_READWRITE},
    {ALLOC, NO_BASE, ALL, MEM_RESERVE, 0x1234},
    {ALLOC, NO_BASE, ALL, 0, PAGE_READWRITE},
    {ALLOC, NO_BASE, 2 << 20, MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES, PAGE_READWRITE},
};

/* What a step comes to. */
struct outcome {
    HRESULT result;
    DWORD error; /* of a failure */
    DWORD old_protection;
    void *at;
};

static struct outcome step_managed(const struct step *step, char *at)
{
    struct outcome outcome = {0};

    if (step->kind == ALLOC)
        outcome.result = IHostMemoryManager_VirtualAlloc(memory, at, step->size, step->type, step->protect,
                                                         eTaskCritical, &outcome.at);
    else if (step->kind == FREE)
        outcome.result = IHostMemoryManager_VirtualFree(memory, at, step->size, step->type);
    else
        outcome.result =
            IHostMemoryManager_VirtualProtect(memory, at, step->size, step->protect, &outcome.old_protection);
    outcome.error = outcome.result == S_OK ? 0 : GetLastError();
    return outcome;
}

static struct outcome step_raw(const struct step *step, char *at)
{
    struct outcome outcome = {0};
    BOOL good;

    if (step->kind == ALLOC) {
        outcome.at = VirtualAlloc(at, step->size, step->type, step->protect);
        good = outcome.at != NULL;
    } else if (step->kind == FREE) {
        good = VirtualFree(at, step->size, step->type);
    } else {
        good = VirtualProtect(at, step->size, step->protect, &outcome.old_protection);
    }
    outcome.error = good ? 0 : GetLastError();
    outcome.result = good ? S_OK : answer_to(outcome.error);
    return outcome;
}

/* The same state, page by page, relative to the base? */
static bool are_alike(struct row *row, unsigned number, const char *managed, const char *raw, unsigned size)
{
    for (unsigned offset = 0; managed && offset < size; offset += PAGE) {
        MEMORY_BASIC_INFORMATION a, b;
        VirtualQuery(managed + offset, &a, sizeof a);
        VirtualQuery(raw + offset, &b, sizeof b);
        if (!row_expect(row,
                        a.State == b.State && a.Protect == b.Protect &&
                            a.AllocationProtect == b.AllocationProtect && a.Type == b.Type &&
                            (char *)a.AllocationBase - managed == (char *)b.AllocationBase - raw,
                        "after step %u, page %u: state 0x%lx protection 0x%lx/0x%lx, raw 0x%lx 0x%lx/0x%lx",
                        number, offset / PAGE, a.State, a.Protect, a.AllocationProtect, b.State, b.Protect,
                        b.AllocationProtect))
            return false;
    }
    return true;
}

static void check_exact(void)
{
    struct row row = row_begin("exact");
    char *managed = NULL, *raw = NULL;
    unsigned refused = 0, size = 0;

    for (unsigned i = 0; i < ARRAYSIZE(steps) && !row.failed; i++) {
        const bool anywhere = steps[i].offset == NO_BASE;
        const struct outcome a = step_managed(&steps[i], anywhere ? NULL : managed + steps[i].offset);
        const struct outcome b = step_raw(&steps[i], anywhere ? NULL : raw + steps[i].offset);
        refused += b.result != S_OK;
        row_expect(&row, a.result == b.result && a.error == b.error,
                   "step %u: 0x%08lx, error %lu; raw 0x%08lx, error %lu", i, (unsigned long)a.result, a.error,
                   (unsigned long)b.result, b.error);
        row_expect(&row, a.old_protection == b.old_protection, "step %u: old protection 0x%lx, raw 0x%lx", i,
                   a.old_protection, b.old_protection);
        if (!anywhere)
            row_expect(&row, (a.at ? (char *)a.at - managed : 0) == (b.at ? (char *)b.at - raw : 0),
                       "step %u: another address", i);
        if (anywhere) {
            managed = a.at;
            raw = b.at;
            size = steps[i].size;
        } else if (steps[i].kind == FREE && steps[i].type == MEM_RELEASE && a.result == S_OK) {
            managed = raw = NULL;
        }
        are_alike(&row, i, managed, raw, size);
    }
    if (managed) { /* large pages, where this user may have them */
        IHostMemoryManager_VirtualFree(memory, managed, 0, MEM_RELEASE);
        VirtualFree(raw, 0, MEM_RELEASE);
    }
    row_end(&row, "%u steps, %u of them refused by Windows", (unsigned)ARRAYSIZE(steps), refused);
}

static char *take(DWORD type, SIZE_T size, DWORD protect)
{
    void *at = NULL;
    return IHostMemoryManager_VirtualAlloc(memory, NULL, size, type, protect, eTaskCritical, &at) == S_OK
               ? at
               : NULL;
}

static HRESULT give(void *at)
{
    return IHostMemoryManager_VirtualFree(memory, at, 0, MEM_RELEASE);
}

static void check_fresh(void)
{
    struct row row = row_begin("fresh");
    unsigned looked_at = 0;

    for (unsigned i = 0; i < 64 && !row.failed; i++) {
        char *at = take(MEM_RESERVE | MEM_COMMIT, GRANULE, PAGE_READWRITE);
        row_expect(&row, at != NULL, "no memory");
        if (at == NULL)
            break;
        row_expect(&row, (uintptr_t)at % GRANULE == 0, "a base that is no multiple of 64 KiB");
        for (unsigned k = 0; k < GRANULE; k++)
            row_expect(&row, at[k] == 0, "byte %u of a new region is %d", k, at[k]);
        memset(at, 0xA5, GRANULE); /* whoever is given these pages next gets them clean */
        looked_at += GRANULE;
        row_expect(&row, give(at) == S_OK, "a region is not released");
    }
    row_end(&row, "%u bytes", looked_at);
}

static void check_watch(void)
{
    struct row row = row_begin("watch");
    void *written[64];
    ULONG_PTR count = ARRAYSIZE(written);
    DWORD granularity = 0;

    char *at = take(MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH, ALL, PAGE_READWRITE);
    row_expect(&row, at != NULL, "no memory with MEM_WRITE_WATCH");
    if (at != NULL) {
        at[3 * PAGE] = 1;
        at[7 * PAGE + 5] = 1;
        UINT failed = GetWriteWatch(WRITE_WATCH_FLAG_RESET, at, ALL, written, &count, &granularity);
        row_expect(&row,
                   failed == 0 && count == 2 && written[0] == at + 3 * PAGE && written[1] == at + 7 * PAGE,
                   "GetWriteWatch: %u, %llu pages", failed, (unsigned long long)count);
        at[PAGE] = 1;
        failed = ResetWriteWatch(at, ALL);
        count = ARRAYSIZE(written);
        UINT again = GetWriteWatch(0, at, ALL, written, &count, &granularity);
        row_expect(&row, failed == 0 && again == 0 && count == 0, "ResetWriteWatch: %u, %llu pages left",
                   failed, (unsigned long long)count);
        VirtualUnlock(
            at,
            PAGE); /* as the collector does after MEM_RESET; that it is not locked is an error of its own */
        row_expect(&row, give(at) == S_OK, "the region is not released");
    }
    row_end(&row, "2 written pages found, and forgotten");
}

/* VirtualFree is refused as it should, and Windows has the memory as before. */
static void expect_kept(struct row *row, const char *what, void *at)
{
    MEMORY_BASIC_INFORMATION before, after;

    VirtualQuery(at, &before, sizeof before);
    SetLastError(12345);
    HRESULT released = give(at);
    DWORD error = GetLastError();
    HRESULT decommitted = IHostMemoryManager_VirtualFree(memory, at, PAGE, MEM_DECOMMIT);
    VirtualQuery(at, &after, sizeof after);
    row_expect(row, released == HOST_E_INVALIDOPERATION && decommitted == HOST_E_INVALIDOPERATION,
               "%s: 0x%08lx from MEM_RELEASE, 0x%08lx from MEM_DECOMMIT", what, (unsigned long)released,
               (unsigned long)decommitted);
    row_expect(row, error == 12345, "%s: the last error has become %lu", what, error);
    row_expect(row, before.State == after.State && before.Protect == after.Protect, "%s: it has been touched",
               what);
}

static void check_foreign(void)
{
    struct row row = row_begin("foreign");
    char on_stack[16];

    expect_kept(&row, "stack", on_stack);
    expect_kept(&row, "image", GetModuleHandleW(NULL));
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    expect_kept(&row, "raw memory", raw);
    VirtualFree(raw, 0, MEM_RELEASE);
    char *own = take(MEM_RESERVE, GRANULE, PAGE_READWRITE);
    row_expect(&row, give(own) == S_OK, "its own memory is not released");
    row_expect(&row, give(own) == HOST_E_INVALIDOPERATION, "memory freed before is freed again");
    row_end(&row, "7 calls refused, nothing touched");
}

static void check_query(void)
{
    struct row row = row_begin("query");
    SYSTEM_INFO system;

    GetSystemInfo(&system);
    const void *const places[] = {&row, (void *)GetModuleHandleW(L"ntdll.dll"), (void *)(uintptr_t)0x10000,
                                  NULL, (char *)system.lpMaximumApplicationAddress + 0x7FFFFFF};
    for (unsigned i = 0; i < ARRAYSIZE(places); i++) {
        MEMORY_BASIC_INFORMATION before = {0}, there = {0};
        SIZE_T written = 12345, length = VirtualQuery(places[i], &before, sizeof before);
        HRESULT hr = IHostMemoryManager_VirtualQuery(memory, (void *)(uintptr_t)places[i], &there,
                                                     sizeof there, &written);
        /* Not the size: a stack grows. */
        row_expect(&row,
                   (hr == S_OK) == (length != 0) && written == length &&
                       there.BaseAddress == before.BaseAddress && there.State == before.State &&
                       there.Protect == before.Protect,
                   "place %u: 0x%08lx, %llu bytes, state 0x%lx instead of 0x%lx", i, (unsigned long)hr,
                   (unsigned long long)written, there.State, before.State);
    }
    MEMORY_BASIC_INFORMATION found;
    DWORD old = 0;
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    HRESULT hr = IHostMemoryManager_VirtualProtect(memory, raw, 1, PAGE_READWRITE | PAGE_GUARD, &old);
    VirtualQuery(raw, &found, sizeof found);
    row_expect(&row, hr == S_OK && old == PAGE_READWRITE && found.Protect == (PAGE_READWRITE | PAGE_GUARD),
               "VirtualProtect: 0x%08lx, now 0x%lx", (unsigned long)hr, found.Protect);
    VirtualFree(raw, 0, MEM_RELEASE);
    row_end(&row, "stack, image, free memory, beyond the end");
}

static void check_heap(void)
{
    struct row row = row_begin("heap");
    IHostMalloc *heap = NULL;
    char on_stack[16];

    HRESULT hr = IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap);
    if (row_expect(&row, hr == S_OK && heap, "CreateMalloc: 0x%08lx", (unsigned long)hr)) {
        for (unsigned size = 1; size < 100000 && !row.failed; size = size * 3 + 1) {
            unsigned char *block = NULL;
            hr = IHostMalloc_Alloc(heap, size, eTaskCritical, (void **)&block);
            if (!row_expect(&row, hr == S_OK && block, "Alloc of %u: 0x%08lx", size, (unsigned long)hr))
                break;
            row_expect(&row, (uintptr_t)block % (2 * sizeof(void *)) == 0, "a block of %u is not aligned",
                       size);
            for (unsigned i = 0; i < size; i++)
                row_expect(&row, block[i] == 0, "byte %u of a block of %u is not zero", i, size);
            memset(block, 0xA5, size);
            row_expect(&row, IHostMalloc_Free(heap, block) == S_OK, "a block of %u is not freed", size);
        }
        row_expect(&row, IHostMalloc_Free(heap, NULL) == S_OK, "Free(NULL) is refused");
        row_expect(&row, IHostMalloc_Free(heap, on_stack) == HOST_E_INVALIDOPERATION,
                   "a foreign block is freed");
        IHostMalloc_Release(heap);
    }
    row_end(&row, "1 to 88,573 bytes");
}

static void check_load(void)
{
    struct row row = row_begin("load");
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION job = {0};
    DWORD load = 0;
    SIZE_T available = 0;

    QueryInformationJobObject(NULL, JobObjectExtendedLimitInformation, &job, sizeof job, NULL);
    HRESULT hr = IHostMemoryManager_GetMemoryLoad(memory, &load, &available);
    GlobalMemoryStatusEx(&status);
    const uint64_t real = status.ullAvailPhys < SIZE_MAX ? status.ullAvailPhys : SIZE_MAX;
    const uint64_t off = available > real ? available - real : real - available;
    /* Others take and give memory meanwhile; a job's limit is part job's matter. */
    row_expect(&row, hr == S_OK, "0x%08lx", (unsigned long)hr);
    if (!job.JobMemoryLimit && !job.ProcessMemoryLimit) {
        row_expect(&row, off < status.ullTotalPhys / 10, "%.0f MiB available, Windows says %.0f",
                   mebibytes(available), mebibytes(real));
        row_expect(&row, load + 10 >= status.dwMemoryLoad && load <= status.dwMemoryLoad + 10,
                   "load %lu, Windows says %lu", load, status.dwMemoryLoad);
    }
    row_end(&row, "load %lu %%, %.0f MiB available", load, mebibytes(available));
}

static hostmem_statistics statistics(void)
{
    hostmem_statistics now = {.size = sizeof now};

    hostmem_get_statistics(manager, &now);
    return now;
}

static void check_views(void)
{
    struct row row = row_begin("views");
    HANDLE mapping = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 4 * GRANULE, NULL);
    char *whole = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    char *part = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, GRANULE);

    IHostMemoryManager_AcquiredVirtualAddressSpace(memory, whole, 0);
    IHostMemoryManager_AcquiredVirtualAddressSpace(memory, part, GRANULE);
    hostmem_statistics with = statistics();
    row_expect(&row, with.views == 2 && with.mapped.now == 5 * GRANULE, "%llu views of %llu bytes",
               (unsigned long long)with.views, (unsigned long long)with.mapped.now);
    expect_kept(&row, "view", whole);
    UnmapViewOfFile(whole);
    IHostMemoryManager_ReleasedVirtualAddressSpace(memory, whole);
    UnmapViewOfFile(part);
    IHostMemoryManager_ReleasedVirtualAddressSpace(memory, part);
    HRESULT unknown = IHostMemoryManager_ReleasedVirtualAddressSpace(memory, part);
    HRESULT needs = IHostMemoryManager_NeedsVirtualAddressSpace(memory, NULL, 0);
    row_expect(&row, unknown == S_OK && needs == E_OUTOFMEMORY,
               "Released of an unknown view 0x%08lx, Needs 0x%08lx", (unsigned long)unknown,
               (unsigned long)needs);
    row_expect(&row, statistics().views == 0, "views are left");
    CloseHandle(mapping);
    row_end(&row, "2 views, 320 KiB");
}

static void check_verify(void)
{
    struct row row = row_begin("verify");
    hostmem_verify_report report = {.size = sizeof report};
    char *kept = take(MEM_RESERVE | MEM_COMMIT, ALL, PAGE_READWRITE);

    HRESULT hr = hostmem_verify(manager, &report);
    row_expect(&row, hr == S_OK && report.pages == ALL / PAGE, "0x%08lx, finding %lu, %llu pages",
               (unsigned long)hr, (unsigned long)report.finding, (unsigned long long)report.pages);
    row_expect(&row, statistics().committed.now == ALL, "%llu bytes committed",
               (unsigned long long)statistics().committed.now);
    give(kept);
    const hostmem_statistics left = statistics();
    row_expect(
        &row, left.regions == 0 && left.reserved.now == 0 && left.committed.now == 0 && left.charged.now == 0,
        "%llu regions, %llu bytes are left", (unsigned long long)left.regions,
        (unsigned long long)left.charged.now);
    row_end(&row, "%llu pages compared", (unsigned long long)report.pages);
}

static void check_shutdown(void)
{
    struct row row = row_begin("shutdown");
    MEMORY_BASIC_INFORMATION found;
    SIZE_T written;
    void *at = NULL;
    IHostMalloc *heap = NULL;
    char *kept = take(MEM_RESERVE | MEM_COMMIT, ALL, PAGE_READWRITE);

    row_expect(&row, hostmem_shutdown(manager) == S_OK, "hostmem_shutdown");
    HRESULT alloc = IHostMemoryManager_VirtualAlloc(memory, NULL, ALL, MEM_RESERVE, PAGE_READWRITE,
                                                    eProcessCritical, &at);
    HRESULT create = IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap);
    row_expect(&row, alloc == HOST_E_CLRNOTAVAILABLE && create == HOST_E_CLRNOTAVAILABLE && !at && !heap,
               "VirtualAlloc 0x%08lx, CreateMalloc 0x%08lx", (unsigned long)alloc, (unsigned long)create);
    row_expect(&row, IHostMemoryManager_VirtualQuery(memory, kept, &found, sizeof found, &written) == S_OK,
               "VirtualQuery is refused");
    row_expect(&row, give(kept) == S_OK, "VirtualFree is refused");
    row_end(&row, "HOST_E_CLRNOTAVAILABLE");
}

static void run(const struct check *check)
{
    (void)check;
    if (hostmem_create(NULL, &manager) != S_OK || hostmem_get_memory_manager(manager, &memory) != S_OK) {
        row_fail(ROW_THE_REST, "no manager can be made");
        return;
    }
    check_exact();
    check_fresh();
    check_watch();
    check_foreign();
    check_query();
    check_heap();
    check_load();
    check_views();
    check_verify();
    check_shutdown();
    IHostMemoryManager_Release(memory);
    hostmem_release(manager);
}

const struct part part_manager = {"manager", "The manager's calls beside Windows' own", run, rows, 0};
