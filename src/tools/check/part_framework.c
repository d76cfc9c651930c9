/*
 * part_framework.c - a .NET Framework CLR under the manager: does it do what the contract (docs/clr-contract.md) says?
 *
 * The CLR is driven as a host does, call by call, and after each it is looked at what has come: to the recorder in front
 * of the manager, to the manager's statistics, and back from the C# program.
 */
#include "tools/check/check.h"

#include <stdio.h>
#include <wchar.h>

#include <hostmem/verify.h>

#include "tools/check/recorder.h"
#include "tools/check/rows.h"
#include "tools/framework_host.h"

enum { HELD_MIB = 16, ROOM_MIB = 24, FILL_MIB = 256, PATIENCE_MS = 12000 };

static const struct row_text rows[] = {
    {"loaded", "the CLR is loaded by CLRCreateInstance"},
    {"null", "SetHostControl(NULL) is E_INVALIDARG (contract 3.1)"},
    {"control", "SetHostControl takes our control, on the caller's thread (3.1)"},
    {"first", "IHostMemoryManager is what it is asked for first (3.1)"},
    {"malloc", "CreateMalloc(MALLOC_THREADSAFE) comes at once, and once (3.1)"},
    {"callback", "then RegisterMemoryNotificationCallback, of an object with constant counts (3.1)"},
    {"second", "a second SetHostControl asks for no memory manager again (3.1)"},
    {"start", "Start succeeds, and begins with allocations that are eProcessCritical (3.2)"},
    {"late", "SetHostControl after Start is refused (3.1, 5)"},
    {"runs", "a C# method runs, in memory of the manager"},
    {"heap", "what it allocates is taken from the manager, at eTaskCritical (3.2)"},
    {"calls", "calls by method and level"},
    {"kinds", "VirtualAlloc by flags, protection, level; \"at\": at an address (3.2, 4)"},
    {"sizes", "commits of sizes that are not whole pages (4)"},
    {"foreign", "VirtualQuery and VirtualProtect of memory that is not the host's (3.4)"},
    {"views", "file views, with their size and without (3.6)"},
    {"answers", "no call failed but those that a limit refused"},
    {"refusal", "a refused heap is an OutOfMemoryException, and the CLR lives on (4)"},
    {"low", "Low makes it collect, though nobody allocates (3.8)"},
    {"verify", "the accounting agrees with Windows"},
    {"stop", "Stop succeeds; no manager was released (3.1)"},
    {0},
};

static hostmem_manager *manager;
static ICLRRuntimeHost *host;
static wchar_t assembly[CHECK_PATH];

static hostmem_statistics statistics(void)
{
    hostmem_statistics now = {.size = sizeof now};

    hostmem_get_statistics(manager, &now);
    return now;
}

/* What the C# program says; below 0: it could not, or says so. */
static int ask(const wchar_t *command)
{
    DWORD answer = 0;
    HRESULT hr =
        ICLRRuntimeHost_ExecuteInDefaultAppDomain(host, assembly, L"Hostmem.Check", L"Run", command, &answer);

    return hr == S_OK ? (int)answer : (int)hr;
}

static bool is_installed(const wchar_t *version)
{
    const wchar_t *key = version[1] == L'4' ? L"SOFTWARE\\Microsoft\\NET Framework Setup\\NDP\\v4\\Full"
                                            : L"SOFTWARE\\Microsoft\\NET Framework Setup\\NDP\\v2.0.50727";
    DWORD value = 0, bytes = sizeof value;

    return RegGetValueW(HKEY_LOCAL_MACHINE, key, L"Install", RRF_RT_REG_DWORD, NULL, &value, &bytes) ==
               ERROR_SUCCESS &&
           value != 0;
}

static DWORD release_number(void)
{
    DWORD value = 0, bytes = sizeof value;

    RegGetValueW(HKEY_LOCAL_MACHINE, L"SOFTWARE\\Microsoft\\NET Framework Setup\\NDP\\v4\\Full", L"Release",
                 RRF_RT_REG_DWORD, NULL, &value, &bytes);
    return value;
}

static bool load(const struct check *check)
{
    HRESULT hr = framework_host_get(*check->mscoree ? check->mscoree : NULL, check->argument, false, &host);

    if (hr == S_OK) {
        if (*check->mscoree)
            row_figure("loaded", "a stand-in, by --mscoree: what follows says nothing of .NET Framework");
        else
            row_figure("loaded", "%ls, release %lu", check->argument, release_number());
        return true;
    }
    if (*check->mscoree || is_installed(check->argument))
        row_fail("loaded", "it is there, and CLRCreateInstance or what follows says 0x%08lx",
                 (unsigned long)hr);
    row_skip(ROW_THE_REST,
             wine_version() ? "Wine has no .NET Framework" : "this .NET Framework is not installed");
    return false;
}

static void check_control(IHostControl *control)
{
    struct row row = row_begin("null");
    HRESULT hr = ICLRRuntimeHost_SetHostControl(host, NULL);

    row_expect(&row, hr == E_INVALIDARG, "0x%08lx", (unsigned long)hr);
    row_end(&row, " ");

    hr = ICLRRuntimeHost_SetHostControl(host, control);
    row = row_begin("control");
    row_expect(&row, hr == S_OK, "0x%08lx", (unsigned long)hr);
    row_expect(&row, !recorder.other_thread, "something comes on another thread");
    row_end(&row, "%u references to it", atomic_load(&recorder.control_references) - 1);

    char order[ROW_TEXT] = "";
    for (unsigned i = 0; i < RECORDED_EVENTS; i++)
        if (recorder.asked[i])
            text_add(order, sizeof order, "%s", recorder.asked[i]);
    row = row_begin("first");
    row_expect(&row, recorder_first(ASKED_FOR_MEMORY) == 0, "asked for: %s", *order ? order : "nothing");
    row_expect(&row, recorder_count(ASKED_FOR_MEMORY) == 1, "asked for more than once: %s", order);
    row_end(&row, "%s", order);

    row = row_begin("malloc");
    row_expect(&row, recorder_first(CREATED_MALLOC) == 1, "as event number %d",
               recorder_first(CREATED_MALLOC));
    row_expect(&row, recorder_count(CREATED_MALLOC) == 1, "%u times", recorder_count(CREATED_MALLOC));
    row_expect(&row, recorder.malloc_flags == MALLOC_THREADSAFE, "with flags 0x%lx", recorder.malloc_flags);
    row_end(&row, " ");

    row = row_begin("callback");
    row_expect(&row, recorder_first(REGISTERED_CALLBACK) == 2, "as event number %d",
               recorder_first(REGISTERED_CALLBACK));
    if (recorder.callback) {
        ULONG more = ICLRMemoryNotificationCallback_AddRef(recorder.callback);
        ULONG less = ICLRMemoryNotificationCallback_Release(recorder.callback);
        row_expect(&row, more == 1 && less == 1, "AddRef says %lu, Release %lu", more, less);
    }
    row_end(&row, " ");

    hr = ICLRRuntimeHost_SetHostControl(host, control);
    row = row_begin("second");
    row_expect(&row, recorder_count(ASKED_FOR_MEMORY) == 1 && recorder_count(CREATED_MALLOC) == 1,
               "asked %u times, CreateMalloc %u times", recorder_count(ASKED_FOR_MEMORY),
               recorder_count(CREATED_MALLOC));
    row_end(&row, "it says 0x%08lx", (unsigned long)hr);
}

static uint64_t allocations(const hostmem_statistics *now, unsigned level)
{
    return now->calls[HOSTMEM_VIRTUAL_ALLOC][level].calls + now->calls[HOSTMEM_MALLOC_ALLOC][level].calls;
}

static bool check_start(IHostControl *control)
{
    struct row row = row_begin("start");
    HRESULT hr = ICLRRuntimeHost_Start(host);
    const hostmem_statistics now = statistics();
    const uint64_t lower = allocations(&now, eTaskCritical) + allocations(&now, eAppDomainCritical);

    row_expect(&row, hr == S_OK, "0x%08lx", (unsigned long)hr);
    row_expect(&row, atomic_load(&recorder.first_level) == eProcessCritical + 1u,
               "the first VirtualAlloc is of level %d", (int)atomic_load(&recorder.first_level) - 1);
    row_end(&row, "%llu eProcessCritical when it returns, %llu at other levels",
            (unsigned long long)allocations(&now, eProcessCritical), (unsigned long long)lower);
    if (hr != S_OK)
        return false;
    hostmem_clr_started(manager);

    hr = ICLRRuntimeHost_SetHostControl(host, control);
    row = row_begin("late");
    row_expect(&row, FAILED(hr), "it says 0x%08lx", (unsigned long)hr);
    row_end(&row, "0x%08lx", (unsigned long)hr);
    return true;
}

static bool check_program(void)
{
    struct row row = row_begin("runs");
    int answer = ask(L"echo 42");
    const hostmem_statistics before = statistics();

    row_expect(&row, answer == 42, "it says 0x%08x", (unsigned)answer);
    row_expect(&row, before.committed.now > 0 && before.regions > 0,
               "nothing is committed in memory of the manager");
    row_end(&row, "%.1f MiB committed in %llu regions, %.1f MiB in %llu blocks",
            mebibytes(before.committed.now), (unsigned long long)before.regions, mebibytes(before.heap.now),
            (unsigned long long)before.blocks);
    if (answer != 42)
        return false;

    wchar_t command[32];
    swprintf(command, ARRAYSIZE(command), L"hold %u", (unsigned)HELD_MIB);
    row = row_begin("heap");
    answer = ask(command);
    const hostmem_statistics after = statistics();
    row_expect(&row, answer == HELD_MIB, "it holds %d MiB", answer);
    row_expect(&row, after.committed.now >= before.committed.now + (HELD_MIB - 1) * MIB,
               "%d MiB are held, and %.1f more committed", answer,
               mebibytes(after.committed.now - before.committed.now));
    row_expect(&row, allocations(&after, eTaskCritical) > allocations(&before, eTaskCritical),
               "none of it is eTaskCritical");
    row_end(&row, "%d MiB held, %.1f more committed, %.1f MiB taken for the collector's heap", answer,
            mebibytes(after.committed.now - before.committed.now),
            mebibytes(after.committed_by_use[HOSTMEM_USE_GC_HEAP].now));
    return true;
}

/* A row of its own for each would be as long as the rest. */
static void tell_calls(void)
{
    static const char *const names[HOSTMEM_METHOD_COUNT] = {
        "CreateMalloc",  "VirtualAlloc", "VirtualFree", "VirtualQuery", "VirtualProtect",
        "GetMemoryLoad", "Register",     "Needs",       "Acquired",     "Released",
        "Alloc",         "DebugAlloc",   "Free"};
    const hostmem_statistics now = statistics();
    char text[ROW_TEXT] = "", kinds[ROW_TEXT];

    for (unsigned i = 0; i < HOSTMEM_METHOD_COUNT; i++) {
        const hostmem_calls *calls = now.calls[i];
        if (i == HOSTMEM_VIRTUAL_ALLOC || i == HOSTMEM_MALLOC_ALLOC || i == HOSTMEM_MALLOC_DEBUG_ALLOC)
            text_add(text, sizeof text, "%s %llu/%llu/%llu", names[i], (unsigned long long)calls[0].calls,
                     (unsigned long long)calls[1].calls, (unsigned long long)calls[2].calls);
        else
            text_add(text, sizeof text, "%s %llu", names[i],
                     (unsigned long long)calls[HOSTMEM_LEVEL_NONE].calls);
    }
    row_figure("calls", "%s (task/domain/process)", text);
    recorder_describe_kinds(kinds, sizeof kinds);
    row_figure("kinds", "%s", kinds);
    row_figure("sizes", "%u", atomic_load(&recorder.odd_sizes));
    row_figure("foreign", "VirtualQuery %u, VirtualProtect %u", atomic_load(&recorder.foreign_queries),
               atomic_load(&recorder.foreign_protects));
    row_figure("views",
               "acquired: with size %u, without %u; needed: at a base %u, anywhere %u; %llu now, %.1f MiB",
               atomic_load(&recorder.views_sized), atomic_load(&recorder.views_unsized),
               atomic_load(&recorder.needs_with_base), atomic_load(&recorder.needs_anywhere),
               (unsigned long long)now.views, mebibytes(now.mapped.now));
}

static void check_answers(void)
{
    const hostmem_statistics now = statistics();
    struct row row = row_begin("answers");
    char text[ROW_TEXT] = "";

    /* At an address that somebody else has taken, Windows refuses, and the CLR looks on; frees of what was there before
     * the host are refused (3.10); Needs says no. */
    static const struct {
        unsigned method;
        const char *name;
    } methods[] = {{HOSTMEM_CREATE_MALLOC, "CreateMalloc"},
                   {HOSTMEM_VIRTUAL_PROTECT, "VirtualProtect"},
                   {HOSTMEM_GET_MEMORY_LOAD, "GetMemoryLoad"},
                   {HOSTMEM_MALLOC_ALLOC, "Alloc"},
                   {HOSTMEM_VIRTUAL_ALLOC, "VirtualAlloc"}};
    uint64_t refused_by_windows = 0;
    for (unsigned i = 0; i < ARRAYSIZE(methods); i++)
        for (unsigned level = 0; level < HOSTMEM_LEVEL_COUNT; level++) {
            const uint64_t failures = now.calls[methods[i].method][level].failures;
            if (failures && methods[i].method == HOSTMEM_VIRTUAL_ALLOC)
                refused_by_windows += failures;
            else if (failures)
                text_add(text, sizeof text, "%s %llu", methods[i].name, (unsigned long long)failures);
        }
    row_expect(&row, !*text, "%s", text);
    row_expect(&row, now.refusals == 0, "%llu refusals without a limit", (unsigned long long)now.refusals);
    row_expect(&row, now.overrun.count == 0, "%llu overruns", (unsigned long long)now.overrun.count);
    row_end(&row, "%llu of VirtualAlloc by Windows, %llu foreign frees",
            (unsigned long long)refused_by_windows, (unsigned long long)now.foreign_frees);
}

static void check_refusal(void)
{
    struct row row = row_begin("refusal");
    hostmem_limits limits = {.size = sizeof limits,
                             .limit = HOSTMEM_UNLIMITED,
                             .task_limit = statistics().charged.now + ROOM_MIB * MIB,
                             .soft = HOSTMEM_UNLIMITED};
    wchar_t command[32];

    swprintf(command, ARRAYSIZE(command), L"fill %u", (unsigned)FILL_MIB);
    HRESULT hr = hostmem_set_limits(manager, &limits);
    int fit = ask(command);
    const hostmem_statistics now = statistics();
    limits.task_limit = 0;
    hostmem_set_limits(manager, &limits);
    int after = ask(L"hold 1");
    row_expect(&row, hr == S_OK, "hostmem_set_limits: 0x%08lx", (unsigned long)hr);
    row_expect(&row, fit >= 0 && fit < FILL_MIB, "with room for %u MiB it says that %d fit", ROOM_MIB, fit);
    row_expect(&row, now.refused[HOSTMEM_REASON_TASK_LIMIT] > 0, "nothing was refused");
    row_expect(&row, after == 1, "afterwards it says %d", after);
    row_end(&row, "%d MiB fit where there was room for %u, %llu refusals", fit, ROOM_MIB,
            (unsigned long long)now.refused[HOSTMEM_REASON_TASK_LIMIT]);
}

static void check_low(void)
{
    struct row row = row_begin("low");
    const ULONGLONG start = GetTickCount64();
    int before = ask(L"collections"), after = before;

    HRESULT hr = hostmem_force_pressure(manager, eMemoryAvailableLow);
    while (after == before && GetTickCount64() - start < PATIENCE_MS) {
        Sleep(100);
        after = ask(L"collections");
    }
    const ULONGLONG took = GetTickCount64() - start;
    hostmem_force_pressure(manager, eMemoryAvailableNeutral);
    hostmem_force_pressure(manager, 0);
    row_expect(&row, hr == S_OK, "hostmem_force_pressure: 0x%08lx", (unsigned long)hr);
    row_expect(&row, statistics().notifications[eMemoryAvailableLow] > 0, "it was not notified");
    row_expect(&row, after > before, "no collection within %u s", PATIENCE_MS / 1000);
    row_end(&row, "after %llu ms, notified %llu times", (unsigned long long)took,
            (unsigned long long)statistics().notifications[eMemoryAvailableLow]);
}

static void check_end(void)
{
    struct row row = row_begin("verify");
    hostmem_verify_report report = {.size = sizeof report};
    HRESULT hr = hostmem_verify(manager, &report);

    row_expect(&row, hr == S_OK, "0x%08lx, finding %lu", (unsigned long)hr, (unsigned long)report.finding);
    row_end(&row, "%llu regions, %llu pages, %llu blocks", (unsigned long long)report.regions,
            (unsigned long long)report.pages, (unsigned long long)report.blocks);

    row = row_begin("stop");
    const unsigned references = atomic_load(&recorder.control_references);
    hr = ICLRRuntimeHost_Stop(host);
    row_expect(&row, hr == S_OK, "0x%08lx", (unsigned long)hr);
    row_expect(&row, recorder_count(RELEASED_MANAGER) == 0, "the manager was released %u times",
               recorder_count(RELEASED_MANAGER));
    row_end(&row, "references to the control: %u before, %u after", references,
            atomic_load(&recorder.control_references));
}

static void run(const struct check *check)
{
    IHostMemoryManager *memory = NULL;

    if (!assembly_is_there()) {
        row_skip(ROW_THE_REST, "this program was built without its C# assembly");
        return;
    }
    swprintf(assembly, CHECK_PATH, L"%ls\\" CHECK_ASSEMBLY L".dll", check->folder);
    if (!load(check))
        return;
    if (hostmem_create(NULL, &manager) != S_OK || hostmem_get_memory_manager(manager, &memory) != S_OK) {
        row_fail(ROW_THE_REST, "no manager can be made");
        return;
    }
    IHostControl *control = recorder_begin(manager, memory);
    check_control(control);
    if (!check_start(control) || !check_program())
        return;
    tell_calls();
    check_answers();
    check_refusal();
    check_low();
    check_end();
}

const struct part part_framework = {"framework%s", ".NET Framework %s", run, rows, 0};
