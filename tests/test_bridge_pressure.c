/*
 * Pressure and changing limits on real runtimes: test_bridge_pressure FOLDER, where FOLDER/<framework>/idle/ is a
 * published program.
 *
 * A runtime starts once in a process, so each case is a child process of this program.  The child is a host with
 * hostmem's own manager; a second thread of it says what the memory situation is, while the C# program runs, and looks
 * at what comes of it.
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

#include "support/bridge_child.h"
#include "support/verified.h"

#define MIB ((int64_t)1 << 20)

enum { GOOD = 77, PROGRAM_RESULT = 42 };

/* What takes longer than this does not come any more; how soon it comes is another question. */
enum { PATIENCE_MS = 10000 };

/* The child. */

static hostmem_manager *manager;
static unsigned complaints;

/* What the C# program shows; see there. */
enum { GARBAGE, AVAILABLE, HELD, REFUSED, KINDS };
static _Atomic int64_t shown[KINDS];
static _Atomic int ends; /* what idle_shown answers */

/* Set when a child has been told to end. */
static const wchar_t end_event[] = L"hostmem_test_bridge_pressure_end";

static void expect(BOOL good, const char *what, int64_t a, int64_t b)
{
    if (good)
        return;
    ++complaints;
    fprintf(stderr, "  wrong: %s (%lld, %lld)\n", what, (long long)a, (long long)b);
}

/* What the accounting says of a program that went wrong. */
static void print_statistics(void)
{
    hostmem_statistics statistics = {.size = sizeof statistics};

    hostmem_get_statistics(manager, &statistics);
    fprintf(stderr, "  reserved %llu, charged %llu, refusals %llu, overruns %llu, retries %llu; failed:",
            (unsigned long long)statistics.reserved.now, (unsigned long long)statistics.charged.now,
            (unsigned long long)statistics.refusals, (unsigned long long)statistics.overrun.count,
            (unsigned long long)statistics.os_retries);
    for (unsigned method = 0; method < HOSTMEM_METHOD_COUNT; ++method) {
        uint64_t failures = 0;
        for (unsigned level = 0; level < HOSTMEM_LEVEL_COUNT; ++level)
            failures += statistics.calls[method][level].failures;
        fprintf(stderr, " %llu", (unsigned long long)failures);
    }
    fprintf(stderr, "\n");
}

/* Called by the C# program. */
__declspec(dllexport) int WINAPI idle_shown(int kind, int64_t value)
{
    shown[kind] = value;
    while (kind == GARBAGE && !ends)
        Sleep(10);
    if (ends)
        SetEvent(CreateEventW(NULL, TRUE, FALSE, end_event));
    return ends;
}

static hostmem_statistics statistics(void)
{
    hostmem_statistics result = {.size = sizeof result};

    hostmem_get_statistics(manager, &result);
    return result;
}

static int64_t committed(void)
{
    return (int64_t)statistics().committed.now;
}

/* Committed bytes that Windows finds in what the bridge calls heap. */
static int64_t heap_committed(void)
{
    MEMORY_BASIC_INFORMATION info;
    int64_t bytes = 0;

    for (const BYTE *at = NULL; VirtualQuery(at, &info, sizeof info);
         at = (const BYTE *)info.BaseAddress + info.RegionSize)
        if (info.State == MEM_COMMIT && hostmem_bridge_is_heap(info.BaseAddress) == S_OK)
            bytes += (int64_t)info.RegionSize;
    return bytes;
}

static int64_t collections(void)
{
    uint64_t counts[3];
    HRESULT hr = hostmem_bridge_get_collections(counts);

    expect(hr == S_OK, "hostmem_bridge_get_collections", hr, 0);
    expect(counts[0] >= counts[1] && counts[1] >= counts[2],
           "a collection counts for the younger generations", (int64_t)counts[0], (int64_t)counts[2]);
    return (int64_t)counts[0];
}

static void set_limit(int64_t limit)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = (uint64_t)limit, .margin = 64 * MIB};
    HRESULT hr = hostmem_set_limits(manager, &limits);

    expect(hr == S_OK, "hostmem_set_limits", hr, limit);
}

static void force(EMemoryAvailable level)
{
    HRESULT hr = hostmem_force_pressure(manager, level);

    expect(hr == S_OK, "hostmem_force_pressure", hr, level);
}

/* Waits; evaluates to the milliseconds that it took, and complains if it did not come. */
static DWORD wait_for(BOOL (*condition)(int64_t), int64_t argument, const char *what)
{
    ULONGLONG start = GetTickCount64();

    while (!condition(argument) && GetTickCount64() - start < PATIENCE_MS)
        Sleep(5);
    DWORD took = (DWORD)(GetTickCount64() - start);
    fprintf(stderr, "  %s: %lu ms\n", what, took);
    expect(condition(argument), what, argument, committed());
    return took;
}

static BOOL garbage_is_made(int64_t bytes)
{
    return shown[GARBAGE] == bytes;
}

static BOOL has_collected(int64_t count)
{
    return collections() > count;
}

static BOOL neutral_was_told(int64_t times)
{
    return (int64_t)statistics().notifications[eMemoryAvailableNeutral] >= times;
}

static BOOL holds(int64_t bytes)
{
    return shown[HELD] >= bytes;
}

static BOOL committed_is_above(int64_t bytes)
{
    return committed() > bytes;
}

static BOOL charged_is_below(int64_t bytes)
{
    return (int64_t)statistics().charged.now < bytes;
}

static BOOL available_is(int64_t bytes)
{
    return shown[AVAILABLE] == bytes;
}

/* An idle program gives its garbage back after Low, and is left alone after Neutral. */
static void watch_garbage(void)
{
    wait_for(garbage_is_made, 64 * MIB, "garbage made");
    int64_t before = committed(), count = collections();
    expect(before > 64 * MIB && heap_committed() > 64 * MIB, "the garbage is still there", before, 64 * MIB);

    force(eMemoryAvailableLow);
    wait_for(has_collected, count, "Low makes it collect");
    wait_for(charged_is_below, 48 * MIB, "Low makes it give its garbage back");
    fprintf(stderr, "  committed %lld, before Low %lld\n", (long long)committed(), (long long)before);
    expect(statistics().notifications[eMemoryAvailableLow] <= 3, "Low is repeated every 8 s",
           (int64_t)statistics().notifications[eMemoryAvailableLow], 3);

    int64_t told = (int64_t)statistics().notifications[eMemoryAvailableNeutral];
    force(eMemoryAvailableNeutral);
    wait_for(neutral_was_told, told + 1, "Neutral");
    ULONGLONG quiet = GetTickCount64(), end = quiet + PATIENCE_MS;
    count = collections();
    while (GetTickCount64() - quiet < 3000 && GetTickCount64() < end) {
        Sleep(50);
        if (collections() == count)
            continue;
        /* one that was under way at Neutral comes to its end; more would be one after the other */
        expect(GetTickCount64() - quiet < 500, "left alone after Neutral", collections(), count);
        count = collections();
        quiet = GetTickCount64();
    }
    expect(GetTickCount64() - quiet >= 3000, "left alone after Neutral", collections(), count);
}

/* A limit lowered makes a busy program give memory back, raised it lets it grow again. */
static void watch_cache(void)
{
    const int64_t first = 400 * MIB, low = 100 * MIB, high = 600 * MIB;

    wait_for(available_is, first, "the first limit is known");
    wait_for(holds, first / 2, "half of the first limit is held");
    int64_t before = committed();
    expect(before > first / 2, "committed", before, first / 2);

    set_limit(low);
    DWORD took = wait_for(charged_is_below, low + 1, "committed falls under the new limit");
    expect(took <= 2000, "within two seconds", took, 2000);
    wait_for(available_is, low, "the new limit is known");
    for (ULONGLONG end = GetTickCount64() + 1000; GetTickCount64() < end; Sleep(5)) {
        int64_t charged = (int64_t)statistics().charged.now;
        expect(charged <= low + 8 * MIB, "it stays there", charged, low);
    }
    expect(shown[HELD] >= low / 4, "it still holds a good part of the limit", shown[HELD], low / 4);

    set_limit(high);
    wait_for(available_is, high, "the higher limit is known");
    wait_for(holds, high / 2, "half of the higher limit is held");
    wait_for(committed_is_above, before, "it has grown above what it was before");
    fprintf(stderr, "  refused %llu, OutOfMemoryException %lld\n", (unsigned long long)statistics().refusals,
            (long long)shown[REFUSED]);
}

/* All at once, until the process has gone. */
static void harass(void)
{
    uint64_t counts[3];

    while (hostmem_bridge_get_collections(counts) != S_OK)
        Sleep(1);
    for (unsigned i = 0;; ++i) {
        set_limit(i % 2 ? 64 * MIB : 400 * MIB);
        hostmem_bridge_get_collections(counts);
        if (i == 40)
            ends = 1;
        Sleep(10);
    }
}

struct way {
    const wchar_t *name;
    const wchar_t *arguments[4]; /* of the C# program, and a NULL */
    void (*watch)(void);
    /* Under Wine .NET 8's threads die when a limit falls far below what is in use, and the next collection ends the
     * process: SuspendThread fails with error 5. */
    unsigned oldest;
};

static const struct way ways[] = {
    {L"garbage", {L"garbage", L"64"}, watch_garbage, 8},
    {L"cache", {L"cache", L"300"}, watch_cache, 9},
    {L"return", {L"cache", L"100", L"return"}, harass, 9},
    {L"exit", {L"cache", L"100", L"exit"}, harass, 9},
};

static DWORD WINAPI watch_thread(void *context)
{
    const struct way *way = context;

    way->watch();
    ends = 1;
    return 0;
}

static int child(const wchar_t *folder, const struct way *way)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = 400 * MIB, .margin = 64 * MIB};
    hostmem_options options = {.size = sizeof options, .limits = &limits};
    IHostControl *control = NULL;

    HRESULT hr = hostmem_create(&options, &manager);
    if (hr == S_OK)
        hr = hostmem_create_host_control(manager, NULL, &control);
    expect(hr == S_OK, "hostmem_create", hr, 0);
    HANDLE thread = CreateThread(NULL, 0, watch_thread, (void *)way, 0, NULL);
    int result = bridge_run(folder, L"idle", way->arguments, control, NULL);
    expect(result == PROGRAM_RESULT, "result of the program", result, PROGRAM_RESULT);
    if (result != PROGRAM_RESULT)
        print_statistics();
    if (way->watch != harass)
        expect(WaitForSingleObject(thread, PATIENCE_MS) == WAIT_OBJECT_0, "the watcher's end", 0, 0);
    expect(verified_in_use(manager), "the accounting", 0, 0);
    fflush(NULL);
    return complaints ? 1 : GOOD;
}

/* The parent. */

static wchar_t clr_folder[BRIDGE_PATH];

/*
 * Under Wine a process hangs whose collector has suspended the thread that ends the process, for that ends the one which
 * would resume it: of twenty programs that end while another thread allocates one does, raw as well.  So two of three may
 * hang, of all children so many.
 */
enum { TRIES = 3, HANGS = 4, END_MS = 40000 };

static unsigned hangs;

static bool hangs_at_its_end(DWORD code, HANDLE end)
{
    return code == BRIDGE_CHILD_HANGS && WaitForSingleObject(end, 0) == WAIT_OBJECT_0 &&
           GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != NULL && ++hangs <= HANGS;
}

static unsigned run_way(unsigned version, const struct way *way)
{
    wchar_t line[BRIDGE_PATH];
    DWORD code = 0, expected = wcscmp(way->name, L"exit") ? GOOD : PROGRAM_RESULT;
    const bool may_hang = way->watch == harass;
    HANDLE end = CreateEventW(NULL, TRUE, FALSE, end_event);

    print_message(".NET %u, %ls\n", version, way->name);
    fflush(NULL);
    swprintf(line, BRIDGE_PATH, L"child \"%ls\\net%u.0\\idle\" %d", clr_folder, version, (int)(way - ways));
    for (unsigned i = 1;; i++) {
        ResetEvent(end);
        code = bridge_child(line, may_hang ? END_MS : 120000);
        if (!may_hang || i == TRIES || !hangs_at_its_end(code, end))
            break;
        print_message("  hangs at its end; once more\n");
    }
    CloseHandle(end);
    if (code != expected)
        print_error(".NET %u, %ls: the child ended with %lu\n", version, way->name, code);
    return code != expected;
}

static void run_ways(unsigned version)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < sizeof ways / sizeof *ways; ++i) {
        if (version < ways[i].oldest)
            continue;
        failed += run_way(version, &ways[i]);
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    int count;
    wchar_t **arguments = CommandLineToArgvW(GetCommandLineW(), &count);

    if (count == 4 && !wcscmp(arguments[1], L"child"))
        return child(arguments[2], &ways[_wtoi(arguments[3])]);
    if (count != 2 || !GetFullPathNameW(arguments[1], BRIDGE_PATH, clr_folder, NULL)) {
        fprintf(stderr, "usage: test_bridge_pressure FOLDER\n");
        return 2;
    }
    SetEnvironmentVariableW(L"DOTNET_EnableWriteXorExecute", L"0");
    return bridge_run_versions(run_ways, NULL);
}
