/*
 * Limits that only ever lower, on real runtimes: test_bridge_limits FOLDER [net8|net9|net10|net11], where
 * FOLDER/<framework>/memory/ is a published program.  After each change of the host's limits the program fills its heap, and says how much fitted and what it was
 * told; that is what is said to be in force.
 *
 * A runtime starts once in a process, so each case is a child process of this program.  Wine knows no limits of jobs: there
 * the process is in one by a hook at coreclr.dll's imports, in place before the bridge comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include <cmocka.h>

#include <hostmem/bridge.h>

#include "support/bridge_child.h"
#include "support/bridge_host.h"
#include "support/verified.h"

#define MIB ((int64_t)1 << 20)

enum { GOOD = 77, PATIENCE_MS = 15000, CHILD_MS = 120000, STEPS = 5, CAP = 400, NOT_ONE = -1 };
enum { NOBODY = HOSTMEM_BRIDGE_OF_NOBODY, HOST, PROGRAM, JOB };

/* In MiB; NOT_ONE: there is no such limit. */
struct step {
    int limit;       /* of the host; 0: there are no more steps */
    int least, most; /* so much may fit */
    int in_force;    /* of the collector */
    unsigned owner;  /* and whose it is */
    int pending;     /* 0: as NOT_ONE */
    BOOL beyond;
};

struct scene {
    const wchar_t *name;
    const wchar_t *settings[2][2]; /* names and values in the environment */
    BOOL heap_limit;               /* the host's limits are of the heap */
    BOOL in_job;                   /* of 100 MB */
    BOOL fixed;                    /* the collector takes no limit */
    unsigned oldest;               /* version of .NET */
    struct step steps[STEPS];
};

#define CLRGC                                                                                                \
    {                                                                                                        \
        L"DOTNET_GCName", L"clrgc.dll"                                                                       \
    }

/* Under Wine .NET 8's threads die when memory gets short, and the next collection that is asked for ends the process, or
 * hangs: SuspendThread fails with error 5.  There nothing is changed after memory was short. */
enum { FROM_9 = 9, ANY = 8 };

static const struct scene scenes[] = {
    {L"regions",
     {{0}},
     FALSE,
     FALSE,
     FALSE,
     FROM_9,
     {{100, 75, 100, 100, HOST, 0, FALSE},
      {60, 40, 60, 60, HOST, 0, FALSE},
      {300, 200, 300, 300, HOST, 0, FALSE},
      {NOT_ONE, CAP, CAP, NOT_ONE, NOBODY, 0, TRUE}}},
    {L"regions, raised",
     {{0}},
     TRUE,
     FALSE,
     FALSE,
     FROM_9,
     {{60, 40, 60, 60, HOST, 0, FALSE},
      {100, 75, 100, 100, HOST, 0, FALSE},
      {400, 150, 300, 400, HOST, 0, TRUE}}},
    {L"server",
     {{L"DOTNET_gcServer", L"1"}},
     TRUE,
     FALSE,
     FALSE,
     FROM_9,
     {{100, 60, 100, 100, HOST, 0, FALSE},
      {60, 30, 60, 60, HOST, 0, FALSE},
      {200, 120, 200, 200, HOST, 0, FALSE}}},
    {L"clrgcexp.dll",
     {{L"DOTNET_GCName", L"clrgcexp.dll"}},
     TRUE,
     FALSE,
     FALSE,
     FROM_9,
     {{100, 75, 100, 100, HOST, 0, FALSE}, {60, 40, 60, 60, HOST, 0, FALSE}}},
    {L"own limit",
     {{L"DOTNET_GCHeapHardLimit", L"6400000"}},
     FALSE,
     FALSE,
     FALSE,
     FROM_9,
     {{400, 75, 100, 100, PROGRAM, 0, FALSE},
      {60, 40, 60, 60, HOST, 0, FALSE},
      {NOT_ONE, 75, 100, 100, PROGRAM, 0, FALSE}}},
    {L"own half",
     {{L"DOTNET_GCHeapHardLimitPercent", L"32"}},
     FALSE,
     FALSE,
     FALSE,
     FROM_9,
     {{200, 75, 100, 100, PROGRAM, 0, FALSE}, {120, 40, 60, 60, PROGRAM, 0, FALSE}}},
    {L"in a job",
     {{0}},
     FALSE,
     TRUE,
     FALSE,
     FROM_9,
     {{400, 55, 75, 75, JOB, 0, FALSE},
      {60, 40, 60, 60, HOST, 0, FALSE},
      {NOT_ONE, 55, 75, 75, JOB, 0, FALSE}}},
    {L"clrgc.dll",
     {CLRGC},
     FALSE,
     FALSE,
     TRUE,
     FROM_9,
     {{100, 75, 100, 100, HOST, 0, FALSE},
      {60, 35, 60, 100, HOST, 60, FALSE},
      {300, 75, 100, 100, HOST, 0, TRUE},
      {NOT_ONE, 75, 100, 100, HOST, 0, TRUE}}},
    {L"clrgc.dll in a job",
     {CLRGC},
     TRUE,
     TRUE,
     TRUE,
     FROM_9,
     {{400, 55, 75, 75, JOB, 0, FALSE}, {NOT_ONE, 55, 75, 75, JOB, 0, FALSE}}},
    {L"clrgc.dll, own limit",
     {CLRGC, {L"DOTNET_GCHeapHardLimit", L"3200000"}},
     FALSE,
     FALSE,
     TRUE,
     FROM_9,
     {{400, 35, 50, 50, PROGRAM, 0, FALSE}, {NOT_ONE, 35, 50, 50, PROGRAM, 0, FALSE}}},
    {L"in a job, once", {{0}}, FALSE, TRUE, FALSE, ANY, {{400, 55, 75, 75, JOB, 0, FALSE}}},
    {L"clrgc.dll in a job, once", {CLRGC}, TRUE, TRUE, TRUE, ANY, {{400, 55, 75, 75, JOB, 0, FALSE}}},
};

/* The child. */

static const struct scene *scene;
static hostmem_manager *manager;
static unsigned turns, complaints;

static void expect(BOOL good, const char *what, int64_t a, int64_t b)
{
    if (good)
        return;
    ++complaints;
    fprintf(stderr, "  wrong in turn %u: %s (%lld, %lld)\n", turns, what, (long long)a, (long long)b);
}

static hostmem_limits limits_of(const struct step *step)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = HOSTMEM_UNLIMITED, .margin = 64 * MIB};

    if (step->limit != NOT_ONE && scene->heap_limit)
        limits.heap_limit = (uint64_t)step->limit * MIB;
    else if (step->limit != NOT_ONE)
        limits.limit = (uint64_t)step->limit * MIB;
    return limits;
}

static uint64_t bytes_of(int megabytes)
{
    return megabytes == NOT_ONE || megabytes == 0 ? HOSTMEM_UNLIMITED : (uint64_t)megabytes * MIB;
}

static BOOL is_in_force(const struct step *step)
{
    const hostmem_bridge_collector_limit limit = bridge_statistics().collector_limit;

    return limit.known && limit.hard_limit == bytes_of(step->in_force) &&
           limit.pending == bytes_of(step->pending);
}

/* What its thread does to that end has been done. */
static void wait_for_limit(const struct step *step)
{
    ULONGLONG end = GetTickCount64() + PATIENCE_MS;

    while (!is_in_force(step) && GetTickCount64() < end)
        Sleep(10);
    Sleep(400); /* it may be in force from before, and the machine not be read again yet */
}

static void check(const struct step *step, int fit, int64_t available, int64_t high)
{
    const hostmem_bridge_collector_limit limit = bridge_statistics().collector_limit;

    fprintf(stderr, "  host %d: %d MiB fit, available %lld, high %lld\n", step->limit, fit,
            (long long)available, (long long)high);
    expect(fit >= step->least && fit <= step->most, "what fits", fit, step->most);
    expect(limit.known == 1 && limit.fixed == (uint32_t)scene->fixed, "fixed", limit.known, limit.fixed);
    expect(limit.hard_limit == bytes_of(step->in_force), "in force", (int64_t)limit.hard_limit,
           step->in_force);
    expect(limit.owner == step->owner, "whose", limit.owner, step->owner);
    expect(limit.pending == bytes_of(step->pending), "pending", (int64_t)limit.pending, step->pending);
    expect((int64_t)limit.available == available, "available", (int64_t)limit.available, available);
    expect(step->in_force == NOT_ONE || available == step->in_force * MIB, "what the program sees", available,
           step->in_force);
    expect(llabs((int64_t)limit.high_load - high) <= 100, "the high-load mark", (int64_t)limit.high_load,
           high);
    expect(limit.beyond_start == (uint32_t)step->beyond, "beyond what it can take", limit.beyond_start,
           step->beyond);
}

/* Called by the C# program. */
__declspec(dllexport) int WINAPI memory_turn(int fit, int64_t available, int64_t high)
{
    const struct step *next = &scene->steps[turns + 1];

    check(next - 1, fit, available, high);
    if (++turns == STEPS || next->limit == 0)
        return 1;
    hostmem_limits limits = limits_of(next);
    HRESULT hr = hostmem_set_limits(manager, &limits);
    expect(hr == S_OK, "hostmem_set_limits", hr, 0);
    wait_for_limit(next);
    return 0;
}

static BOOL WINAPI in_job(HANDLE process, HANDLE job, PBOOL result)
{
    (void)process, (void)job;
    *result = TRUE;
    return TRUE;
}

static BOOL WINAPI job_limits(HANDLE job, JOBOBJECTINFOCLASS kind, LPVOID buffer, DWORD size, LPDWORD written)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {
        .BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_JOB_MEMORY, .JobMemoryLimit = 100 * MIB};

    if (job || kind != JobObjectExtendedLimitInformation || size < sizeof limits) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return FALSE;
    }
    *(JOBOBJECT_EXTENDED_LIMIT_INFORMATION *)buffer = limits;
    if (written)
        *written = sizeof limits;
    return TRUE;
}

static void put_in_job(const wchar_t *folder, const wchar_t *name)
{
    wchar_t path[BRIDGE_PATH];

    swprintf(path, BRIDGE_PATH, L"%ls\\%ls", folder, name);
    HMODULE module = LoadLibraryExW(path, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    expect(module && bridge_hook(module, "IsProcessInJob", (void *)in_job) &&
               bridge_hook(module, "QueryInformationJobObject", (void *)job_limits),
           "a module that is hooked", 0, 0);
}

static int child(const wchar_t *folder, const struct scene *chosen)
{
    static const wchar_t *const arguments[] = {L"turns", L"soh", L"400", NULL};
    hostmem_options options = {.size = sizeof options};
    IHostControl *control = NULL;

    scene = chosen;
    for (unsigned i = 0; i < 2 && scene->settings[i][0]; ++i)
        SetEnvironmentVariableW(scene->settings[i][0], scene->settings[i][1]);
    hostmem_limits limits = limits_of(&scene->steps[0]);
    options.limits = &limits;
    HRESULT hr = hostmem_create(&options, &manager);
    if (hr == S_OK)
        hr = hostmem_create_host_control(manager, NULL, &control);
    expect(hr == S_OK, "hostmem_create", hr, 0);
    if (scene->in_job) {
        put_in_job(folder, L"coreclr.dll");
        put_in_job(folder, L"clrgc.dll");
    }
    int result = bridge_run(folder, L"memory", arguments, control, NULL);
    expect(result == 0, "the program's result", result, 0);
    expect(turns > 0 && (turns == STEPS || scene->steps[turns].limit == 0), "all turns", turns, 0);
    expect(verified_in_use(manager), "the accounting", 0, 0);
    fflush(NULL);
    return complaints ? 1 : GOOD;
}

/* The parent. */

static wchar_t clr_folder[BRIDGE_PATH];

static void run_scenes(unsigned version)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < sizeof scenes / sizeof *scenes; ++i) {
        wchar_t line[BRIDGE_PATH];
        if (version < scenes[i].oldest)
            continue;
        print_message(".NET %u, %ls\n", version, scenes[i].name);
        fflush(NULL);
        swprintf(line, BRIDGE_PATH, L"child \"%ls\\net%u.0\\memory\" %u", clr_folder, version, i);
        DWORD code = bridge_child(line, CHILD_MS);
        if (code != GOOD)
            print_error(".NET %u, %ls: the child ended with %lu\n", version, scenes[i].name, code);
        failed += code != GOOD;
    }
    assert_int_equal(failed, 0);
}

int main(int argc, char **argv)
{
    int count;
    wchar_t **arguments = CommandLineToArgvW(GetCommandLineW(), &count);

    if (count == 4 && !wcscmp(arguments[1], L"child"))
        return child(arguments[2], &scenes[_wtoi(arguments[3])]);
    if (count < 2 || count > 3 || !GetFullPathNameW(arguments[1], BRIDGE_PATH, clr_folder, NULL)) {
        fprintf(stderr, "usage: test_bridge_limits FOLDER [net8|net9|net10|net11]\n");
        return 2;
    }
    SetEnvironmentVariableW(L"DOTNET_EnableWriteXorExecute", L"0");
    return bridge_run_versions(run_scenes, argc == 3 ? argv[2] : NULL);
}
