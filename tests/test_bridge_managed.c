/*
 * What the bridge calls inside a runtime, by version: an internal method with the arguments that the version has, and
 * none on a version that nobody has looked at.  A bind is for good, so each version is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <hostmem/hostmem.h>

#include "support/bridge_child.h"
#include "support/bridge_fake.h"
#include "support/bridge_host.h"

enum { GOOD = 7, WAIT_MS = 3000, QUIET_MS = 1200, OLDEST = 2, BLOCKING_COMPACTING_AGGRESSIVE = 26 };

static struct fake_runtime *fake;
static hostmem_manager *manager;
static int complaints;

static void expect(BOOL good, const char *what, long found)
{
    if (good)
        return;
    ++complaints;
    fprintf(stderr, "  %s: %ld\n", what, found);
}

static BOOL comes(volatile LONG *counter, LONG to)
{
    for (unsigned waited = 0; *counter < to && waited < WAIT_MS; waited += 20)
        Sleep(20);
    return *counter >= to;
}

static void limit_set(uint64_t limit)
{
    hostmem_limits limits = {.size = sizeof limits, .limit = limit, .soft = limit / 2};
    hostmem_set_limits(manager, &limits);
}

/* A runtime that has started under a limit, and is low of memory. */
static void start_low(unsigned version, const wchar_t *gone, const wchar_t *gone_too)
{
    IHostControl *control = NULL;
    wchar_t name[32];

    swprintf(name, sizeof name / sizeof *name, L"fake_coreclr_%u.dll", version);
    HMODULE module = LoadLibraryExW(bridge_beside(name), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    fake = ((fake_runtime_get)(void *)GetProcAddress(module, "fake_runtime_state"))();
    fake->gc.present = TRUE;
    fake->gc.gone[0] = gone;
    fake->gc.gone[1] = gone_too;
    hostmem_create(NULL, &manager);
    limit_set(64 << 20);
    hostmem_create_host_control(manager, NULL, &control);
    HRESULT hr = hostmem_bridge_bind(module, control, NULL);
    expect(hr == S_OK, "bind", hr);
    fake->started = TRUE;

    limit_set(32 << 20);
    void *memory = fake->calls.alloc(NULL, 24 << 20, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); /* Low */
    expect(memory != NULL, "memory", 0);
}

static int child(unsigned version)
{
    const BOOL known = version >= 8 && version <= 11;

    start_low(version, NULL, NULL);
    if (known) {
        expect(comes(&fake->gc.refreshes, 1), "refreshes", fake->gc.refreshes);
        expect(comes(&fake->gc.collects, 1), "collections", fake->gc.collects);
        size_t before = fake->gc.refresh_stack;
        expect(fake->gc.collect_generation == OLDEST, "generation", fake->gc.collect_generation);
        expect(fake->gc.collect_mode == BLOCKING_COMPACTING_AGGRESSIVE, "mode", fake->gc.collect_mode);
        expect(version < 10 || fake->gc.collect_low == FALSE, "low memory", fake->gc.collect_low);
        LONG refreshes = fake->gc.refreshes;
        limit_set(40 << 20);
        expect(comes(&fake->gc.refreshes, refreshes + 1), "refreshes after the collection",
               fake->gc.refreshes);
        expect(fake->gc.refresh_stack == before, "the stack has moved by",
               (long)(fake->gc.refresh_stack - before));
    } else {
        Sleep(QUIET_MS);
        expect(fake->gc.internals == 0, "internal methods looked up", fake->gc.internals);
        expect(fake->gc.refreshes == 0, "refreshes", fake->gc.refreshes);
        expect(fake->gc.collects == 0, "collections", fake->gc.collects);
    }
    uint64_t counts[3];
    fake->gc.collections[1] = 5;
    expect(hostmem_bridge_get_collections(counts) == S_OK && counts[1] == 5, "collections counted",
           (long)counts[1]);
    fflush(stderr);
    return complaints ? 1 : GOOD;
}

/* A program that was trimmed has what it uses.  One that leaves no-GC regions, and does not say whether it is in one, is left
 * alone; one that never does is not. */
static int trimmed(BOOL has_regions)
{
    start_low(10, L"get_LatencyMode", has_regions ? NULL : L"EndNoGCRegion");
    expect(comes(&fake->gc.refreshes, 1), "refreshes", fake->gc.refreshes);
    if (has_regions)
        Sleep(QUIET_MS);
    else
        expect(comes(&fake->gc.collects, 1), "collections", fake->gc.collects);
    expect(fake->gc.collects == !has_regions, "collections", fake->gc.collects);
    expect(fake->gc.wrong == 0, "wrong calls", fake->gc.wrong);
    fflush(stderr);
    return complaints ? 1 : GOOD;
}

static void run(unsigned version)
{
    wchar_t line[16];
    swprintf(line, sizeof line / sizeof *line, L"%u", version);
    assert_int_equal(bridge_child(line, 30000), GOOD);
}

static void trimmed_programs(void **state)
{
    (void)state;
    assert_int_equal(bridge_child(L"trimmed 1", 30000), GOOD);
    assert_int_equal(bridge_child(L"trimmed 0", 30000), GOOD);
}

static void known_versions(void **state)
{
    (void)state;
    for (unsigned version = 8; version <= 11; ++version)
        run(version);
}

static void unknown_versions(void **state)
{
    (void)state;
    run(7);
    run(12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_versions),
        cmocka_unit_test(unknown_versions),
        cmocka_unit_test(trimmed_programs),
    };
    int count;
    wchar_t **arguments = CommandLineToArgvW(GetCommandLineW(), &count);

    if (count == 3)
        return trimmed(_wtoi(arguments[2]));
    if (count == 2)
        return child((unsigned)_wtoi(arguments[1]));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
