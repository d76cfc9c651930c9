/*
 * part_dotnet.c - an installed .NET under the manager, by the bridge
 *
 * Three processes for each version: one by hostmem_bridge_watch with the runtime as it is installed; one by
 * hostmem_bridge_bind with the standalone collector; one in a job object.
 */
#include "tools/check/check.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <hostmem/bridge.h>
#include <hostmem/verify.h>

#include "bridge/runtime.h"
#include "tools/check/component.h"
#include "tools/check/rows.h"

enum { HEAP_MIB = 64, LOWERED_MIB = 40, FILL_MIB = 200, PATIENCE_MS = 10000, JOB_MIB = 256 };

static const struct row_text rows[] = {
    {"bound", "its coreclr.dll comes by hostmem_bridge_watch, is bound, and starts"},
    {"functions", "no function that takes memory is left to Windows"},
    {"runs", "a C# method runs, in memory of the manager"},
    {"calls", "calls over the bridge"},
    {"heap", "the collector's heap is recognised"},
    {"told", "the collector has the host's limit as its own hard limit"},
    {"low", "Low makes it collect, though nobody allocates"},
    {"limit", "a limit of the heap is an OutOfMemoryException in time, and the program lives on"},
    {"lowered", "a limit that is lowered while it runs is kept"},
    {"verify", "the accounting agrees with Windows"},
    {0},
};

static const struct row_text clrgc_rows[] = {
    {"imports", "who is in coreclr.dll's import table before the bind"},
    {"bound", "coreclr.dll is bound by hostmem_bridge_bind, and its collector clrgc.dll as it is loaded"},
    {"runs", "a C# method runs, in memory of the manager"},
    {"limit", "a limit of the heap is an OutOfMemoryException in time, and the program lives on"},
    {"verify", "the accounting agrees with Windows"},
    {0},
};

static const struct row_text job_rows[] = {
    {"limit", "the collector's hard limit is three quarters of the job's, and hostmem says so"},
    {"kept", "the program runs into it as an OutOfMemoryException"},
    {0},
};

static hostmem_manager *manager;
static IHostControl *control;
static HRESULT not_bound;

static hostmem_statistics statistics(void)
{
    hostmem_statistics now = {.size = sizeof now};

    hostmem_get_statistics(manager, &now);
    return now;
}

static hostmem_bridge_statistics bridge(void)
{
    hostmem_bridge_statistics now = {.size = sizeof now};

    hostmem_bridge_get_statistics(&now);
    return now;
}

static void HOSTMEM_CALL on_event(const hostmem_bridge_event *event, void *context)
{
    (void)context;
    if (event->kind == HOSTMEM_BRIDGE_EVENT_NOT_BOUND)
        not_bound = event->result;
}

static const hostmem_bridge_options options = {.size = sizeof options, .event = on_event};

static bool prepare(unsigned heap_mib)
{
    const hostmem_limits limits = {.size = sizeof limits,
                                   .limit = HOSTMEM_UNLIMITED,
                                   .heap_limit = heap_mib ? heap_mib * MIB : HOSTMEM_UNLIMITED};
    const hostmem_options manager_options = {.size = sizeof manager_options, .limits = &limits};

    if (!assembly_is_there()) {
        row_skip(ROW_THE_REST, "this program was built without its C# assembly");
        return false;
    }
    if (hostmem_create(&manager_options, &manager) == S_OK &&
        hostmem_create_host_control(manager, NULL, &control) == S_OK)
        return true;
    row_fail(ROW_THE_REST, "no manager can be made");
    return false;
}

/* Tells the row "bound", and "functions" where there is one. */
static bool start(const struct check *check, HMODULE fxr, uint32_t wanted)
{
    struct row row = row_begin("bound");
    const char *why = "";

    int status = component_start(fxr, check, &why);
    const hostmem_bridge_statistics now = bridge();
    row_expect(&row, not_bound == S_OK, "the bind says 0x%08lx, %s", (unsigned long)not_bound,
               now.missing ? now.missing : "");
    row_expect(&row, status == 0, "%s: 0x%08x", why, (unsigned)status);
    row_expect(&row, (now.state & wanted) == wanted, "state 0x%lx", (unsigned long)now.state);
    row_expect(&row, runtime_major(now.runtime_version) == wcstoul(check->argument, NULL, 10),
               "it is version %u", runtime_major(now.runtime_version));
    row_end(&row, "file version %u.%u.%u.%u", (unsigned)(now.runtime_version >> 48),
            (unsigned)(now.runtime_version >> 32 & 0xFFFF), (unsigned)(now.runtime_version >> 16 & 0xFFFF),
            (unsigned)(now.runtime_version & 0xFFFF));
    return !row.failed;
}

static void check_functions(void)
{
    struct row row = row_begin("functions");
    const hostmem_bridge_statistics now = bridge();
    const char *unknown = now.unknown[HOSTMEM_BRIDGE_RUNTIME];

    row_expect(&row, !(now.state & HOSTMEM_BRIDGE_INCOMPLETE), "%s", unknown ? unknown : "?");
    row_end(&row, "unknown to hostmem: %s", unknown ? unknown : "none");
}

static void check_runs(void)
{
    struct row row = row_begin("runs");
    int answer = component_ask(L"echo 42");
    const hostmem_statistics now = statistics();

    row_expect(&row, answer == 42, "it says %d", answer);
    row_expect(&row, now.committed.now + now.view_committed.now > MIB, "only %.2f MiB are committed",
               mebibytes(now.committed.now + now.view_committed.now));
    row_expect(&row, now.refusals == 0 && now.overrun.count == 0, "%llu refusals, %llu overruns",
               (unsigned long long)now.refusals, (unsigned long long)now.overrun.count);
    row_end(&row, "%.1f MiB committed in %llu regions, views %.1f MiB with %.1f committed",
            mebibytes(now.committed.now), (unsigned long long)now.regions, mebibytes(now.mapped.now),
            mebibytes(now.view_committed.now));
}

static void tell_calls(void)
{
    static const char *const names[] = {
        "VirtualAlloc", "ExNuma",      "VirtualFree",   "VirtualProtect", "VirtualQuery",  "MapView",
        "MapViewEx",    "UnmapView",   "LoadLibraryEx", "MemoryStatus",   "ProcessMemory", "InJob",
        "JobLimits",    "LowMemory",   "Malloc",        "Calloc",         "Realloc",       "Free",
        "HeapAlloc",    "HeapReAlloc", "HeapFree"};
    _Static_assert(ARRAYSIZE(names) == HOSTMEM_BRIDGE_FUNCTION_COUNT, "each function has a name");
    const hostmem_bridge_statistics now = bridge();
    char text[ROW_TEXT] = "";

    for (unsigned i = 0; i < HOSTMEM_BRIDGE_FUNCTION_COUNT; i++)
        text_add(text, sizeof text, "%s %llu", names[i],
                 (unsigned long long)now.calls[HOSTMEM_BRIDGE_RUNTIME][i].calls);
    text_add(text, sizeof text, "foreign frees %llu, of placeholders %llu",
             (unsigned long long)now.foreign_frees, (unsigned long long)now.placeholder_frees);
    row_figure("calls", "%s", text);
}

static void check_heap(void)
{
    struct row row = row_begin("heap");
    const hostmem_bridge_statistics now = bridge();
    const void *object = component_object();

    row_expect(&row, now.heap_ranges > 0 && !(now.state & HOSTMEM_BRIDGE_HEAP_UNKNOWN), "no range is");
    row_expect(&row, object && hostmem_bridge_is_heap(object) == S_OK, "an object lies outside of it");
    row_expect(&row, hostmem_bridge_is_heap(&row) == S_FALSE, "a stack is taken for heap");
    row_end(&row, "%llu ranges, %.0f MiB of address space, %.1f MiB committed",
            (unsigned long long)now.heap_ranges, mebibytes(now.heap_reserved),
            mebibytes(statistics().committed_by_use[HOSTMEM_USE_GC_HEAP].now));
}

static bool is_in_force(uint64_t limit)
{
    const hostmem_bridge_collector_limit now = bridge().collector_limit;
    return now.known && now.hard_limit == limit;
}

static bool limit_comes(uint64_t limit)
{
    for (unsigned waited = 0; waited < PATIENCE_MS && !is_in_force(limit); waited += 50)
        Sleep(50);
    return is_in_force(limit);
}

static void check_told(void)
{
    struct row row = row_begin("told");

    if (sizeof(void *) == 4) {
        row_skip("told", "32-bit collectors take no limit from the bridge");
        return;
    }
    row_expect(&row, limit_comes(HEAP_MIB * MIB) && bridge().collector_limit.owner == HOSTMEM_BRIDGE_OF_HOST,
               "known %lu, hard limit %.1f MiB, owner %lu", (unsigned long)bridge().collector_limit.known,
               mebibytes(bridge().collector_limit.hard_limit), (unsigned long)bridge().collector_limit.owner);
    row_end(&row, "%.0f MiB; available %.0f, high load at %.0f",
            mebibytes(bridge().collector_limit.hard_limit), mebibytes(bridge().collector_limit.available),
            mebibytes(bridge().collector_limit.high_load));
}

static void check_low(void)
{
    struct row row = row_begin("low");
    const ULONGLONG begin = GetTickCount64();
    uint64_t before[3] = {0}, after[3] = {0};

    HRESULT hr = hostmem_bridge_get_collections(before);
    hostmem_force_pressure(manager, eMemoryAvailableLow);
    while (hr == S_OK && after[0] <= before[0] && GetTickCount64() - begin < PATIENCE_MS) {
        Sleep(50);
        hr = hostmem_bridge_get_collections(after);
    }
    const ULONGLONG took = GetTickCount64() - begin;
    hostmem_force_pressure(manager, eMemoryAvailableNeutral);
    row_expect(&row, hr == S_OK, "hostmem_bridge_get_collections: 0x%08lx", (unsigned long)hr);
    row_expect(&row, bridge().notifications[eMemoryAvailableLow] > 0, "not notified of Low");
    row_expect(&row, after[0] > before[0], "no collection within %u s", PATIENCE_MS / 1000);
    row_end(&row, "after %llu ms", (unsigned long long)took);
    hostmem_force_pressure(manager, 0);
}

/* It fills its heap, and is asked for something again.  Where it has been full before, the collector may hold memory back
 * for a while: then `least` is what has to fit. */
static void check_fill(const char *id, int least, unsigned limit_mib)
{
    struct row row = row_begin(id);
    wchar_t command[32];

    swprintf(command, ARRAYSIZE(command), L"fill %u", (unsigned)FILL_MIB);
    int fit = component_ask(command), after = component_ask(L"echo 7");
    const hostmem_statistics now = statistics();
    const uint64_t peak = now.committed_by_use[HOSTMEM_USE_GC_HEAP].peak;
    row_expect(&row, fit >= least && fit <= (int)limit_mib, "%d MiB fit in %u", fit, limit_mib);
    row_expect(&row, peak <= HEAP_MIB * MIB, "the heap had %.1f MiB of %u at its peak", mebibytes(peak),
               HEAP_MIB);
    row_expect(&row, after == 7, "afterwards it says %d", after);
    row_end(&row, "%d of %u MiB fit, heap at peak %.1f MiB, %llu refusals", fit, limit_mib, mebibytes(peak),
            (unsigned long long)now.refusals);
}

/* Under Wine threads of .NET 8 die when memory gets short, and the next change of anything hangs or ends it; raw as well. */
static bool has_died(const struct check *check, const char *id)
{
    if (!wine_version() || wcstoul(check->argument, NULL, 10) != 8)
        return false;
    row_skip(id, "under Wine threads of .NET 8 die when memory gets short");
    return true;
}

static void check_lowered(const struct check *check)
{
    const hostmem_limits limits = {
        .size = sizeof limits, .limit = HOSTMEM_UNLIMITED, .heap_limit = LOWERED_MIB * MIB};

    if (has_died(check, "lowered"))
        return;
    HRESULT hr = hostmem_set_limits(manager, &limits);
    if (sizeof(void *) == 8 && (hr != S_OK || !limit_comes(LOWERED_MIB * MIB))) {
        row_fail("lowered", "the collector's limit is %.1f MiB, pending %.1f",
                 mebibytes(bridge().collector_limit.hard_limit), mebibytes(bridge().collector_limit.pending));
        return;
    }
    check_fill("lowered", 1, LOWERED_MIB);
}

static void check_verify(void)
{
    struct row row = row_begin("verify");
    hostmem_verify_report report = {.size = sizeof report};
    HRESULT hr = hostmem_verify(manager, &report);

    row_expect(&row, hr == S_OK, "0x%08lx, finding %lu", (unsigned long)hr, (unsigned long)report.finding);
    row_end(&row, "%llu regions, %llu pages", (unsigned long long)report.regions,
            (unsigned long long)report.pages);
}

static HMODULE load(void)
{
    const char *why = "";
    HMODULE fxr = component_load(&why);

    if (!fxr)
        row_fail(ROW_THE_REST, "%s: error %lu", why, GetLastError());
    return fxr;
}

static void run(const struct check *check)
{
    HMODULE fxr = prepare(HEAP_MIB) ? load() : NULL;
    if (!fxr)
        return;
    HRESULT hr = hostmem_bridge_watch(fxr, control, &options);
    if (hr != S_OK) {
        row_fail("bound", "hostmem_bridge_watch: 0x%08lx", (unsigned long)hr);
        return;
    }
    if (!start(check, fxr, HOSTMEM_BRIDGE_BOUND | HOSTMEM_BRIDGE_RUNNING | HOSTMEM_BRIDGE_WATCHING))
        return;
    check_functions();
    check_runs();
    tell_calls();
    check_heap();
    check_told();
    check_low();
    check_fill("limit", HEAP_MIB / 2, HEAP_MIB);
    check_lowered(check);
    check_verify();
}

/* Slots that lead to none of Windows' modules: somebody was there before us. */
static void tell_imports(HMODULE module)
{
    const BYTE *base = (const BYTE *)module;
    const IMAGE_NT_HEADERS *headers = (const void *)(base + ((const IMAGE_DOS_HEADER *)base)->e_lfanew);
    const IMAGE_IMPORT_DESCRIPTOR *dll =
        (const void *)(base +
                       headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT].VirtualAddress);
    wchar_t windows[CHECK_PATH], path[CHECK_PATH];
    UINT length = GetWindowsDirectoryW(windows, CHECK_PATH);
    char text[ROW_TEXT] = "";
    unsigned count = 0;

    for (; dll->FirstThunk; dll++) {
        const IMAGE_THUNK_DATA *name = (const void *)(base + dll->OriginalFirstThunk);
        void *const *slot = (const void *)(base + dll->FirstThunk);
        for (; dll->OriginalFirstThunk && name->u1.AddressOfData; name++, slot++, count++) {
            HMODULE target = NULL;
            if (IMAGE_SNAP_BY_ORDINAL(name->u1.Ordinal))
                continue;
            if (GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                                       GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                                   *slot, &target) &&
                GetModuleFileNameW(target, path, CHECK_PATH) && _wcsnicmp(path, windows, length) == 0)
                continue;
            const wchar_t *file = target ? wcsrchr(path, L'\\') : NULL;
            text_add(text, sizeof text, "%s by %ls",
                     (const char *)((const IMAGE_IMPORT_BY_NAME *)(base + name->u1.AddressOfData))->Name,
                     file ? file + 1 : L"no module");
        }
    }
    row_figure("imports", "%u imports; of others than Windows: %s", count, *text ? text : "none");
}

static void run_clrgc(const struct check *check)
{
    wchar_t path[CHECK_PATH];

    if (!component_file(check->argument, L"clrgc.dll", path)) {
        row_skip(ROW_THE_REST, "this .NET has no clrgc.dll");
        return;
    }
    HMODULE fxr = prepare(HEAP_MIB) ? load() : NULL;
    if (!fxr || !component_file(check->argument, L"coreclr.dll", path))
        return;
    SetEnvironmentVariableW(L"DOTNET_GCName", L"clrgc.dll");
    HMODULE runtime =
        LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (!runtime) {
        row_fail(ROW_THE_REST, "coreclr.dll is not loaded: error %lu", GetLastError());
        return;
    }
    tell_imports(runtime);
    not_bound = hostmem_bridge_bind(runtime, control, &options);
    if (!start(check, fxr, HOSTMEM_BRIDGE_BOUND | HOSTMEM_BRIDGE_RUNNING | HOSTMEM_BRIDGE_STANDALONE_GC))
        return;
    check_runs();
    check_fill("limit", HEAP_MIB / 2, HEAP_MIB);
    check_verify();
}

static void run_in_job(const struct check *check)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION job = {0};
    struct row row = row_begin("limit"), kept = row_begin("kept");
    const char *why = "";

    BOOL known = QueryInformationJobObject(NULL, JobObjectExtendedLimitInformation, &job, sizeof job, NULL);
    if (wine_version() && (!known || job.JobMemoryLimit == 0)) {
        row_skip(ROW_THE_REST, "Wine takes a limit of a job and ignores it");
        return;
    }
    if (sizeof(void *) == 4) {
        row_skip(ROW_THE_REST, "32-bit collectors make no hard limit of a job");
        return;
    }
    HMODULE fxr = prepare(0) ? load() : NULL;
    if (!fxr)
        return;
    HRESULT hr = hostmem_bridge_watch(fxr, control, &options);
    int status = hr == S_OK ? component_start(fxr, check, &why) : 0;
    if (hr != S_OK || status != 0) {
        row_fail(ROW_THE_REST, "watch 0x%08lx, %s 0x%08x", (unsigned long)hr, why, (unsigned)status);
        return;
    }
    const uint64_t expected = JOB_MIB * MIB / 4 * 3;
    row_expect(&row, limit_comes(expected) && bridge().collector_limit.owner == HOSTMEM_BRIDGE_OF_JOB,
               "hard limit %.1f MiB, not %.1f; owner %lu", mebibytes(bridge().collector_limit.hard_limit),
               mebibytes(expected), (unsigned long)bridge().collector_limit.owner);
    row_end(&row, "%.0f of %u MiB", mebibytes(bridge().collector_limit.hard_limit), JOB_MIB);
    int fit = component_ask(L"fill 400"), after = component_ask(L"echo 7");
    row_expect(&kept, fit > 0 && (uint64_t)fit * MIB <= expected && after == 7,
               "%d MiB fit, afterwards it says %d", fit, after);
    row_end(&kept, "%d MiB fit", fit);
}

const struct part part_dotnet = {"net%s", ".NET %s", run, rows, 0};
const struct part part_dotnet_clrgc = {"net%s-clrgc", ".NET %s with clrgc.dll", run_clrgc, clrgc_rows, 0};
const struct part part_dotnet_job = {"net%s-job", ".NET %s in a job object", run_in_job, job_rows,
                                     JOB_MIB *MIB};
