/*
 * The bridge on real runtimes: test_bridge_runtime FOLDER [long], where FOLDER/<framework>/heap/ is a published
 * program.  On x86, which may be emulated, `long` are those flavours that are not run without it.
 *
 * A runtime starts once in a process, so each case is a child process of this program.  The child plays a
 * host with somebody else's memory manager, or with hostmem's behind it, runs the C# program `heap`, and checks from
 * inside what the bridge says of the collector's heap against the collector itself: addresses of objects, and the
 * number of bytes that it says it has committed, which must be the number of committed bytes that Windows finds in
 * what the bridge calls heap, and that hostmem's manager has in regions of that use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>

#include "support/bridge_child.h"
#include "support/bridge_host.h"

enum { GOOD = 77, PROGRAM_RESULT = 42, CALLS = 400000, PATH = 1024 };

#ifdef _WIN64
static const BOOL on_x86 = FALSE;
enum { CHILD_MS = 120000, LEAST_CALLS = 200 };
#else
static const BOOL on_x86 = TRUE;
enum { CHILD_MS = 300000, LEAST_CALLS = 150 };
#endif

/* The child. */

static struct bridge_host host;
static hostmem_manager *manager; /* behind it; NULL: none */
static unsigned complaints;
static unsigned shown;
static BOOL server, segments;

static void expect(BOOL good, const char *what, uint64_t a, uint64_t b)
{
    if (good)
        return;
    ++complaints;
    fprintf(stderr, "  wrong: %s (0x%llx, 0x%llx)\n", what, (unsigned long long)a, (unsigned long long)b);
}

static BOOL is_heap(const void *address)
{
    return hostmem_bridge_is_heap(address) == S_OK;
}

static uint64_t heap_committed(void)
{
    MEMORY_BASIC_INFORMATION info;
    uint64_t bytes = 0;

    for (const BYTE *at = NULL; VirtualQuery(at, &info, sizeof info);
         at = (const BYTE *)info.BaseAddress + info.RegionSize)
        if (info.State == MEM_COMMIT && is_heap(info.BaseAddress))
            bytes += info.RegionSize;
    return bytes;
}

static hostmem_statistics figures(void)
{
    hostmem_statistics result = {.size = sizeof result};

    hostmem_get_statistics(manager, &result);
    return result;
}

/* Within one region; or where there are segments, within the header of one. */
static void check_heap_use(uint64_t by_use, uint64_t said)
{
    const uint64_t unit = segments ? 0x2000 : 0x400000;

    fprintf(stderr, "  in regions that are heap: %llu by the manager\n", (unsigned long long)by_use);
    expect(by_use <= said + unit && by_use + unit >= said, "committed in regions that are heap", by_use,
           said);
}

static HRESULT HOSTMEM_CALL add_use(const hostmem_region *region, void *sums)
{
    if (region->use < HOSTMEM_USE_COUNT)
        ((uint64_t *)sums)[region->use] += region->committed;
    return S_OK;
}

/* The regions add up to what is accounted by use, and that to what is committed.  The collector's threads give memory
 * back when they like, hence more than one look. */
static void check_uses(BOOL views)
{
    hostmem_statistics statistics;
    uint64_t sums[HOSTMEM_USE_COUNT], all = 0;
    BOOL equal = FALSE;

    for (unsigned look = 0; look < 20 && !equal; ++look) {
        memset(sums, 0, sizeof sums);
        all = 0;
        statistics = figures();
        hostmem_walk_regions(manager, add_use, sums);
        equal = TRUE;
        for (unsigned use = 0; use < HOSTMEM_USE_COUNT; ++use)
            if (use != HOSTMEM_USE_VIEW) {
                equal &= sums[use] == statistics.committed_by_use[use].now;
                all += sums[use];
            }
        equal &= all == statistics.committed.now;
    }
    expect(equal, "the regions by use", all, statistics.committed.now);
    expect(sums[HOSTMEM_USE_GC_TABLES] != 0, "tables", 0, 0);
    expect((sums[HOSTMEM_USE_CODE] != 0) == !views, "code", sums[HOSTMEM_USE_CODE], 0);
    expect((sums[HOSTMEM_USE_LOADER] != 0) == !views, "loader", sums[HOSTMEM_USE_LOADER], 0);
    expect((statistics.committed_by_use[HOSTMEM_USE_VIEW].now != 0) == views, "views", views, 0);
}

/* Called by the C# program; see there. */
__declspec(dllexport) void WINAPI heap_shown(int kind, void *value)
{
    uint64_t committed, said = (size_t)value;

    shown |= 1u << kind;
    switch (kind) {
    case 0:
    case 1:
    case 2:
    case 3:
        expect(is_heap(value), "an object is not in the heap", kind, said);
        break;
    case 4:
        expect(!is_heap(value), "a literal is in the heap", kind, said);
        break;
    case 5:
        if (manager)
            check_heap_use(figures().committed_by_use[HOSTMEM_USE_GC_HEAP].now, said);
        /* To the byte, but that another thread may have grown its part by one step of 64 KiB since, and that
         * the server collectors give memory back at leisure.  Tables would be at least 124 KiB more. */
        committed = heap_committed();
        fprintf(stderr, "  heap committed: %llu by the collector, %llu by Windows\n",
                (unsigned long long)said, (unsigned long long)committed);
        expect(committed <= said + 0x10000, "more is called heap than the collector has", said, committed);
        expect(committed + (server ? said / 8 : 0x10000) >= said, "less is called heap than it has", said,
               committed);
        break;
    }
}

/* A call was eTaskCritical if and only if it was about heap, from the first such call on. */
static void check_levels(void)
{
    unsigned count = host.count < CALLS ? host.count : CALLS;
    BOOL running = FALSE;

    expect(host.count < CALLS, "the log is full", host.count, CALLS);
    expect(count > 2 && host.calls[0].method == 'G' && host.calls[1].method == 'C' &&
               host.calls[2].method == 'R',
           "order of the first calls", 0, 0);
    for (unsigned i = 0; i < count; ++i) {
        struct bridge_call *call = &host.calls[i];
        if (call->method == 'U' && (call->use == HOSTMEM_USE_GC_HEAP || call->use == HOSTMEM_USE_GC_TABLES))
            expect(!call->late, "the use of a region comes after its first commit", call->use, i);
        if (call->method != 'A')
            continue;
        expect(call->level == eTaskCritical || call->level == eProcessCritical, "level", i, call->level);
        if (call->level == eTaskCritical)
            running = TRUE;
        if (running) /* addresses are used again, so what they are was asked at the time */
            expect((call->level == eTaskCritical) == call->heap, "level", i, (size_t)call->address);
    }
    expect(running, "no heap commit after the start", 0, 0);
}

static void check_statistics(BOOL collector)
{
    hostmem_bridge_statistics statistics = {.size = sizeof statistics};
    uint64_t of_manager = 0, of_bridge = 0;

    hostmem_bridge_get_statistics(&statistics);
    for (unsigned i = 0; i < host.count && i < CALLS; ++i)
        of_manager += host.calls[i].method == 'A';
    for (unsigned m = 0; m < HOSTMEM_BRIDGE_MODULE_COUNT; ++m)
        of_bridge += statistics.calls[m][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].calls +
                     statistics.calls[m][HOSTMEM_BRIDGE_VIRTUAL_ALLOC_EX_NUMA].calls;
    fprintf(
        stderr, "  calls: %llu of coreclr, %llu of a collector; %llu heap ranges, %llu MB\n",
        (unsigned long long)statistics.calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].calls,
        (unsigned long long)statistics.calls[HOSTMEM_BRIDGE_COLLECTOR][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].calls,
        (unsigned long long)statistics.heap_ranges, (unsigned long long)statistics.heap_reserved >> 20);
    expect(of_manager == of_bridge, "calls counted", of_manager, of_bridge);
    expect(statistics.calls[HOSTMEM_BRIDGE_RUNTIME][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].calls >= LEAST_CALLS,
           "calls that came from coreclr", of_bridge, LEAST_CALLS);
    expect((statistics.state & HOSTMEM_BRIDGE_RUNNING) != 0, "the runtime runs", statistics.state, 0);
    expect(((statistics.state & HOSTMEM_BRIDGE_STANDALONE_GC) != 0) == collector, "standalone collector",
           statistics.state, collector);
    expect(!collector ||
               statistics.calls[HOSTMEM_BRIDGE_COLLECTOR][HOSTMEM_BRIDGE_VIRTUAL_ALLOC].calls >= LEAST_CALLS,
           "calls that came from the collector", 0, 0);
    expect(statistics.heap_unknown == 0 && statistics.foreign_frees == 0, "unknown heap or foreign frees",
           statistics.heap_unknown, statistics.foreign_frees);
    expect(statistics.runtime_version >> 48 >= 8, "version", statistics.runtime_version, 0);
}

typedef int(__cdecl *main_function)(int, const wchar_t **, const wchar_t *, const wchar_t *, const wchar_t *);
typedef int(__cdecl *initialize_function)(int, const wchar_t **, const void *, void **);
typedef int(__cdecl *property_function)(void *, const wchar_t *, const wchar_t **);
typedef int(__cdecl *run_function)(void *);

/* hostfxr_main_startupinfo: the folder of coreclr.dll is known beforehand. */
static int run_at_once(HMODULE fxr, const wchar_t *folder, const wchar_t *argument)
{
    wchar_t coreclr[PATH], program[PATH], executable[PATH];
    const wchar_t *arguments[] = {executable, argument};
    main_function run = (main_function)(void *)GetProcAddress(fxr, "hostfxr_main_startupinfo");

    swprintf(coreclr, PATH, L"%ls\\coreclr.dll", folder);
    swprintf(program, PATH, L"%ls\\heap.dll", folder);
    swprintf(executable, PATH, L"%ls\\heap.exe", folder);
    HRESULT hr = hostmem_bridge_load(coreclr, &host.control, NULL, NULL);
    expect(hr == S_OK, "hostmem_bridge_load", hr, 0);
    return run(2, arguments, executable, folder, program);
}

/* hostfxr_initialize, the path from the runtime's properties, run: decision 13.  By ICLRRuntimeHost this
 * time. */
static int run_in_steps(HMODULE fxr, const wchar_t *folder, const wchar_t *argument)
{
    struct {
        size_t size;
        const wchar_t *host_path, *dotnet_root;
    } parameters = {sizeof parameters, NULL, folder};
    initialize_function initialize =
        (initialize_function)(void *)GetProcAddress(fxr, "hostfxr_initialize_for_dotnet_command_line");
    property_function property =
        (property_function)(void *)GetProcAddress(fxr, "hostfxr_get_runtime_property_value");
    run_function run = (run_function)(void *)GetProcAddress(fxr, "hostfxr_run_app");
    wchar_t program[PATH], coreclr[PATH], executable[PATH];
    const wchar_t *arguments[] = {program, argument}, *assemblies = L"";
    ICLRRuntimeHost4 *runtime = NULL;
    void *context = NULL;

    swprintf(program, PATH, L"%ls\\heap.dll", folder);
    swprintf(executable, PATH, L"%ls\\heap.exe", folder);
    parameters.host_path = executable;
    int result = initialize(2, arguments, &parameters, &context);
    expect(result == 0, "hostfxr_initialize_for_dotnet_command_line", result, 0);
    result = property(context, L"TRUSTED_PLATFORM_ASSEMBLIES", &assemblies);
    expect(result == 0, "hostfxr_get_runtime_property_value", result, 0);
    HRESULT hr = hostmem_bridge_find(assemblies, coreclr, PATH);
    expect(hr == S_OK, "hostmem_bridge_find", hr, 0);
    HMODULE module = LoadLibraryExW(coreclr, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    hr = hostmem_bridge_get_runtime_host(module, NULL, &IID_ICLRRuntimeHost4, (void **)&runtime);
    expect(hr == S_OK, "hostmem_bridge_get_runtime_host", hr, 0);
    if (hr != S_OK)
        return -1;
    hr = runtime->lpVtbl->GetCLRControl(runtime, NULL);
    expect(hr == E_NOTIMPL, "GetCLRControl", hr, 0);
    hr = runtime->lpVtbl->SetHostControl(runtime, &host.control);
    expect(hr == S_OK, "SetHostControl", hr, 0);
    result = run(context);
    hr = runtime->lpVtbl->SetHostControl(runtime, &host.control);
    expect(hr == E_ACCESSDENIED, "SetHostControl after the start", hr, 0);
    runtime->lpVtbl->Release(runtime);
    return result;
}

static int child(const wchar_t *folder, BOOL in_steps, BOOL foreign, const wchar_t *argument)
{
    wchar_t path[PATH], value[64];
    IHostMemoryManager *memory = NULL;
    BOOL collector = GetEnvironmentVariableW(L"DOTNET_GCName", value, 64) != 0;

    segments = on_x86 || (collector && !wcscmp(value, L"clrgc.dll"));
    server = GetEnvironmentVariableW(L"DOTNET_gcServer", value, 64) && !wcscmp(value, L"1");
    bridge_host_init(&host);
    if (!foreign) {
        hostmem_create(NULL, &manager);
        hostmem_get_memory_manager(manager, &memory);
        expect(bridge_host_chain(&host, memory), "the manager takes the use of a region", 0, 0);
    }
    host.classify = is_heap;
    host.capacity = CALLS;
    host.calls = VirtualAlloc(NULL, CALLS * sizeof *host.calls, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    swprintf(path, PATH, L"%ls\\hostfxr.dll", folder);
    HMODULE fxr = LoadLibraryExW(path, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    expect(fxr != NULL, "hostfxr.dll", GetLastError(), 0);
    if (!fxr || !host.calls)
        return 1;
    int result = (in_steps ? run_in_steps : run_at_once)(fxr, folder, argument);
    expect(result == PROGRAM_RESULT, "result of the program", result, PROGRAM_RESULT);
    expect(shown == 0x3f, "what the program has shown", shown, 0x3f);
    check_levels();
    check_statistics(collector);
    if (manager)
        check_uses(GetEnvironmentVariableW(L"DOTNET_EnableWriteXorExecute", value, 64) &&
                   !wcscmp(value, L"1"));
    fflush(NULL);
    return complaints ? 1 : GOOD;
}

/* The parent. */

struct flavour {
    const char *name;
    const wchar_t *settings; /* NAME=VALUE;... */
    const wchar_t *argument; /* megabytes of the C# program */
    BOOL in_steps;
    unsigned oldest; /* runtime that has it */
    BOOL foreign;    /* somebody else's manager alone, which does not take the use of a region */
    enum { NOT_X86, ALSO_X86, LONG_X86, ONLY_X86 } x86; /* emulated, W^X hangs, raw as well */
};

static BOOL long_ones;
static wchar_t clr_folder[PATH];
static wchar_t own_path[PATH];

static const struct flavour flavours[] = {
    {"workstation", L"", L"96", FALSE, 8, FALSE, ALSO_X86},
    {"workstation, hostfxr in steps", L"", L"96", TRUE, 8, TRUE, LONG_X86},
    {"workstation, not concurrent", L"DOTNET_gcConcurrent=0", L"96", FALSE, 8, FALSE, ALSO_X86},
    {"workstation, small generation 0", L"DOTNET_GCgen0size=100000", L"48", FALSE, 8, FALSE, LONG_X86},
    {"workstation, small segments", L"DOTNET_GCSegmentSize=400000", L"160", FALSE, 8, FALSE, ONLY_X86},
    {"workstation, hard limit", L"DOTNET_GCHeapHardLimit=20000000", L"96", FALSE, 8, FALSE, NOT_X86},
    {"workstation, W^X", L"DOTNET_EnableWriteXorExecute=1", L"48", FALSE, 8, FALSE, NOT_X86},
    {"server", L"DOTNET_gcServer=1", L"96", TRUE, 8, FALSE, ALSO_X86},
    {"clrgc.dll", L"DOTNET_GCName=clrgc.dll", L"96", TRUE, 8, FALSE, ALSO_X86},
    {"clrgc.dll, small segments", L"DOTNET_GCName=clrgc.dll;DOTNET_GCSegmentSize=400000", L"160", FALSE, 8,
     FALSE, LONG_X86},
    {"clrgc.dll, hard limit", L"DOTNET_GCName=clrgc.dll;DOTNET_GCHeapHardLimit=20000000", L"96", FALSE, 8,
     TRUE, NOT_X86},
    {"clrgc.dll, server", L"DOTNET_GCName=clrgc.dll;DOTNET_gcServer=1", L"96", FALSE, 8, FALSE, LONG_X86},
    {"clrgcexp.dll", L"DOTNET_GCName=clrgcexp.dll", L"96", FALSE, 9, FALSE, NOT_X86},
    {"clrgcexp.dll, server", L"DOTNET_GCName=clrgcexp.dll;DOTNET_gcServer=1", L"96", FALSE, 9, FALSE,
     NOT_X86},
};

static BOOL is_wanted(const struct flavour *flavour, unsigned version)
{
    if (version < flavour->oldest)
        return FALSE;
    if (!on_x86)
        return flavour->x86 != ONLY_X86;
    return long_ones ? flavour->x86 == LONG_X86 : flavour->x86 == ALSO_X86 || flavour->x86 == ONLY_X86;
}

/* Sets or, with set FALSE, removes the variables of a flavour. */
static void settings(const wchar_t *list, BOOL set)
{
    wchar_t name[256];

    while (*list) {
        size_t length = wcscspn(list, L";"), equals = wcscspn(list, L"=");
        wmemcpy(name, list, length);
        name[length] = 0;
        name[equals] = 0;
        SetEnvironmentVariableW(name, set ? name + equals + 1 : NULL);
        list += length + (list[length] == L';');
    }
}

static void run_flavours(unsigned version)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < sizeof flavours / sizeof *flavours; ++i) {
        const struct flavour *flavour = &flavours[i];
        wchar_t line[4 * PATH];
        STARTUPINFOW start = {.cb = sizeof start};
        PROCESS_INFORMATION process;
        DWORD code = 0;

        if (!is_wanted(flavour, version))
            continue;
        print_message(".NET %u, %s\n", version, flavour->name);
        fflush(NULL);
        swprintf(line, sizeof line / sizeof *line,
                 L"\"%ls\" child \"%ls\\" BRIDGE_FRAMEWORK L"\\heap\" %d %d %ls", own_path, clr_folder,
                 version, flavour->in_steps, flavour->foreign, flavour->argument);
        SetEnvironmentVariableW(L"DOTNET_EnableWriteXorExecute", L"0");
        settings(flavour->settings, TRUE);
        BOOL made = CreateProcessW(own_path, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &process);
        DWORD error = made ? 0 : GetLastError();
        settings(flavour->settings, FALSE);
        assert_int_equal(error, 0);
        if (WaitForSingleObject(process.hProcess, CHILD_MS) != WAIT_OBJECT_0)
            TerminateProcess(process.hProcess, 2);
        GetExitCodeProcess(process.hProcess, &code);
        CloseHandle(process.hProcess);
        CloseHandle(process.hThread);
        if (code != GOOD) {
            ++failed;
            print_error(".NET %u, %s: the child ended with %lu\n", version, flavour->name, code);
        }
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    int count;
    wchar_t **arguments = CommandLineToArgvW(GetCommandLineW(), &count);

    if (count == 6 && !wcscmp(arguments[1], L"child"))
        return child(arguments[2], arguments[3][0] == L'1', arguments[4][0] == L'1', arguments[5]);
    long_ones = count == 3 && !wcscmp(arguments[2], L"long");
    if (count != 2 + long_ones || !GetFullPathNameW(arguments[1], PATH, clr_folder, NULL)) {
        fprintf(stderr, "usage: test_bridge_runtime FOLDER [long]\n");
        return 2;
    }
    GetModuleFileNameW(NULL, own_path, PATH);
    return bridge_run_versions(run_flavours, NULL);
}
