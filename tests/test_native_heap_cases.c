/*
 * HOSTMEM_BRIDGE_HEAP: the end of a process, hostmem's own manager, and a bind without the flag.  A bind is for good, so
 * each case is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include <hostmem/verify.h>

#include "support/bridge_child.h"
#include "support/bridge_fake.h"
#include "support/bridge_host.h"

enum { GOOD = 7, WAIT_MS = 60000 };

#define MB ((size_t)1 << 20)

static HMODULE module;
static struct fake_calls *runtime;
static struct bridge_host host;
static int complaints;

static void expect(BOOL good, const char *what, long found)
{
    if (good)
        return;
    ++complaints;
    fprintf(stderr, "  %s: 0x%lx\n", what, (unsigned long)found);
}

static void runtime_load(void)
{
    module = LoadLibraryExW(bridge_beside(L"fake_coreclr_10.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    runtime = &((fake_runtime_get)(void *)GetProcAddress(module, "fake_runtime_state"))()->calls;
}

static void bind_to(IHostControl *control, uint32_t flags)
{
    const hostmem_bridge_options options = {.size = sizeof options, .flags = flags};
    HRESULT hr;

    runtime_load();
    hr = hostmem_bridge_bind(module, control, &options);
    expect(hr == S_OK, "bind", hr);
}

static char *old_block, *old_to_grow, *old_to_free;

/* All other threads have been killed, one of them perhaps in the host's heap. */
static void at_the_end(void)
{
    const unsigned before = host.count;
    char *block = runtime->malloc(100);

    memset(block, 1, 100);
    block = runtime->realloc(block, 1000);
    runtime->crt_free(block);
    block = runtime->heap_alloc(GetProcessHeap(), HEAP_ZERO_MEMORY, 100);
    expect(block && HeapSize(GetProcessHeap(), 0, block) == 100, "not from the process heap", 0);
    expect(runtime->heap_free(GetProcessHeap(), 0, block), "not freed", 0);
    runtime->crt_free(old_block);
    expect(runtime->heap_free(GetProcessHeap(), 0, old_to_free), "not freed", 0);
    block = runtime->realloc(old_to_grow, 1000);
    expect(block && !strcmp(block, "old"), "not what was in it", 0);
    runtime->crt_free(block);
    expect(host.count == before, "calls of the host", (long)(host.count - before));
    expect(host.blocks == 3, "blocks of the host", (long)host.blocks);
    fflush(stderr);
    TerminateProcess(GetCurrentProcess(), complaints ? 1 : GOOD);
}

static void process_ends(void)
{
    typedef void (*on_exit_function)(void (*)(void));
    HMODULE caller = LoadLibraryW(bridge_beside(L"on_exit.dll"));

    bridge_host_init(&host);
    bind_to(&host.control, HOSTMEM_BRIDGE_HEAP);
    old_block = runtime->malloc(100);
    old_to_free = runtime->heap_alloc(GetProcessHeap(), 0, 100);
    old_to_grow = runtime->malloc(100);
    strcpy(old_to_grow, "old");
    expect(host.blocks == 3, "blocks of the host", (long)host.blocks);
    ((on_exit_function)(void *)GetProcAddress(caller, "on_exit_call"))(at_the_end);
    ExitProcess(2);
}

/* As the CLR: S_OK without an object is a host that has no heap to give, and all right. */
static void without_the_flag(void)
{
    bridge_host_init(&host);
    host.null_malloc = TRUE;
    runtime_load();
    void *const before = *bridge_slot(module, "malloc"), *const heap_before =
                                                             *bridge_slot(module, "HeapAlloc");
    bind_to(&host.control, 0);
    expect(*bridge_slot(module, "malloc") == before, "malloc is redirected", 0);
    expect(*bridge_slot(module, "HeapAlloc") == heap_before, "HeapAlloc is redirected", 0);
    expect(!(bridge_statistics().state & HOSTMEM_BRIDGE_HEAP_REDIRECTED), "state",
           (long)bridge_statistics().state);
    const unsigned count = host.count;
    HMODULE jit = runtime->load(bridge_beside(L"fake_jit_sizes.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    expect(jit != NULL, "a compiler that is nobody's business is refused", (long)GetLastError());
    runtime->crt_free(runtime->malloc(100));
    expect(host.count == count, "calls of the host", (long)(host.count - count));

    /* and a later bind with it does not change that */
    bind_to(&host.control, HOSTMEM_BRIDGE_HEAP);
    expect(*bridge_slot(module, "malloc") == before, "malloc is redirected", 0);
}

static hostmem_statistics statistics_of(hostmem_manager *manager)
{
    hostmem_statistics statistics = {.size = sizeof statistics};
    HRESULT hr = hostmem_get_statistics(manager, &statistics);
    expect(hr == S_OK, "statistics", hr);
    return statistics;
}

/* Counted like other critical memory: the margin, then an overrun; and after a shutdown it is served. */
static void our_manager(void)
{
    const hostmem_limits limits = {.size = sizeof limits, .limit = MB, .margin = MB};
    const hostmem_options options = {.size = sizeof options, .limits = &limits};
    hostmem_manager *manager;
    IHostControl *control;

    hostmem_create(&options, &manager);
    hostmem_create_host_control(manager, NULL, &control);
    bind_to(control, HOSTMEM_BRIDGE_HEAP);
    char *block = runtime->malloc(1000);
    hostmem_statistics statistics = statistics_of(manager);
    expect(statistics.blocks == 1, "blocks", (long)statistics.blocks);
    expect(statistics.heap.now >= 1000 && statistics.heap.now < 1100, "bytes", (long)statistics.heap.now);
    char *in_margin = runtime->malloc(MB * 3 / 2);
    statistics = statistics_of(manager);
    expect(in_margin && statistics.overrun.count == 0, "overruns", (long)statistics.overrun.count);
    char *overrun = runtime->calloc(MB, 2);
    statistics = statistics_of(manager);
    expect(overrun && statistics.overrun.count == 1, "overruns", (long)statistics.overrun.count);
    expect(statistics.heap.now > MB * 7 / 2, "bytes", (long)statistics.heap.now);

    expect(hostmem_shutdown(manager) == S_OK, "shutdown", 0);
    block = runtime->realloc(block, 2000);
    expect(block != NULL, "nothing after a shutdown", 0);
    runtime->crt_free(block);
    runtime->crt_free(in_margin);
    runtime->crt_free(overrun);
    statistics = statistics_of(manager);
    expect(statistics.blocks == 0 && statistics.heap.now == 0, "bytes", (long)statistics.heap.now);
    HRESULT hr = hostmem_verify(manager, NULL);
    expect(hr == S_OK, "verify", hr);
}

static void (*const cases[])(void) = {process_ends, without_the_flag, our_manager};

static void run(unsigned number)
{
    wchar_t line[8];
    swprintf(line, sizeof line / sizeof *line, L"%u", number);
    assert_int_equal(bridge_child(line, WAIT_MS), GOOD);
}

static void nothing_of_the_host_while_a_process_ends(void **state)
{
    (void)state;
    run(0);
}

static void nothing_without_the_flag(void **state)
{
    (void)state;
    run(1);
}

static void a_manager_of_ours(void **state)
{
    (void)state;
    run(2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_of_the_host_while_a_process_ends),
                                       cmocka_unit_test(nothing_without_the_flag),
                                       cmocka_unit_test(a_manager_of_ours)};
    int count;
    wchar_t **arguments = CommandLineToArgvW(GetCommandLineW(), &count);

    if (count != 2)
        return cmocka_run_group_tests(tests, NULL, NULL);
    cases[_wtoi(arguments[1])]();
    fflush(stderr);
    return complaints ? 1 : GOOD;
}
