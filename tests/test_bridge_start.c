/*
 * What the bridge makes of a runtime's start: one that never comes is not waited for by looking, one whose heap was not
 * recognised is told, and what is reserved after it is nobody's heap.  Each case is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include "support/bridge_child.h"
#include "support/bridge_fake.h"
#include "support/bridge_host.h"

enum { GOOD = 7, QUIET_MS = 500, WAIT_MS = 5000 };

#define KB64 ((SIZE_T)0x10000)

static struct fake_runtime *fake;
static struct bridge_host host;
static struct bridge_call calls[64];
static HANDLE told_event;
static hostmem_bridge_event told;
static DWORD told_thread;
static int complaints;

static void expect(BOOL good, const char *what, long found)
{
    if (good)
        return;
    ++complaints;
    fprintf(stderr, "  %s: 0x%lx\n", what, (unsigned long)found);
}

static void HOSTMEM_CALL on_event(const hostmem_bridge_event *event, void *context)
{
    told = *event;
    told_thread = GetCurrentThreadId();
    expect(context == &host, "context", 0);
    SetEvent(told_event);
}

static void runtime_bind(const wchar_t *file)
{
    hostmem_bridge_options options = {.size = sizeof options, .event = on_event, .context = &host};
    HMODULE module = LoadLibraryExW(bridge_beside(file), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);

    told_event = CreateEventW(NULL, FALSE, FALSE, NULL);
    fake = ((fake_runtime_get)(void *)GetProcAddress(module, "fake_runtime_state"))();
    fake->gc.present = TRUE;
    HRESULT hr = hostmem_bridge_bind(module, &host.control, &options);
    expect(hr == S_OK, "bind", hr);
}

static void never_starts(void)
{
    runtime_bind(L"fake_coreclr_10.dll");
    LONG before; /* when the bind's own questions have ended, however busy the machine is */
    unsigned waited = 0;
    do {
        before = fake->asked;
        Sleep(100);
        waited += 100;
    } while (fake->asked != before && waited < WAIT_MS);
    Sleep(QUIET_MS);
    expect(fake->asked == before, "asked whether it has started, in half a second", fake->asked - before);
    expect(fake->gc.delegates == 0, "called", fake->gc.delegates);
    expect(!(bridge_statistics().state & (HOSTMEM_BRIDGE_RUNNING | HOSTMEM_BRIDGE_HEAP_UNKNOWN)), "state",
           (long)bridge_statistics().state);

    /* it does after all: the first call of any kind shows it */
    fake->started = TRUE;
    MEMORY_BASIC_INFORMATION info;
    fake->calls.query(&info, &info, sizeof info);
    for (waited = 0; fake->gc.delegates == 0 && waited < WAIT_MS; waited += 20)
        Sleep(20);
    expect(fake->gc.delegates > 0, "nothing was called after the start", 0);
}

/* The heap of a collector that uses large pages is committed as it is reserved. */
static void large_pages(void)
{
    runtime_bind(L"fake_coreclr_10.dll");
    BYTE *heap = fake->calls.alloc(NULL, 64 * KB64, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    expect(heap && hostmem_bridge_is_heap(heap) == S_FALSE, "its heap", 0);
    fake->started = TRUE;
    BYTE *early = fake->calls.alloc(NULL, 4 * KB64, MEM_RESERVE, PAGE_READWRITE);
    BYTE *late = fake->calls.alloc(NULL, 4 * KB64, MEM_RESERVE, PAGE_READWRITE);
    expect(fake->calls.alloc(late, KB64, MEM_COMMIT, PAGE_READWRITE) != NULL, "a table", 0);
    expect(hostmem_bridge_is_heap(early) == S_FALSE, "a late reservation is taken for heap", 0);
    host.count = 0;
    expect(fake->calls.alloc(early, KB64, MEM_COMMIT, PAGE_READWRITE) != NULL, "a late reservation", 0);
    expect(calls[0].method == 'A' && calls[0].level == eProcessCritical, "it may be refused",
           (long)calls[0].level);

    expect(WaitForSingleObject(told_event, WAIT_MS) == WAIT_OBJECT_0, "nothing is told", 0);
    expect(told.kind == HOSTMEM_BRIDGE_EVENT_HEAP_UNKNOWN && told.size == sizeof told, "kind",
           (long)told.kind);
    expect(told_thread != GetCurrentThreadId(), "thread", (long)told_thread);
    expect(bridge_statistics().state & HOSTMEM_BRIDGE_HEAP_UNKNOWN, "state", (long)bridge_statistics().state);
}

/* The usual start: nothing to tell, and what comes late is no heap either. */
static void usual_start(void)
{
    runtime_bind(L"fake_coreclr_10.dll");
    BYTE *heap = fake->calls.alloc(NULL, 64 * KB64, MEM_RESERVE, PAGE_READWRITE);
    BYTE *tables = fake->calls.alloc(NULL, 4 * KB64, MEM_RESERVE, PAGE_READWRITE);
    fake->calls.alloc(tables, KB64, MEM_COMMIT, PAGE_READWRITE);
    fake->calls.alloc(heap, 8192, MEM_COMMIT, PAGE_READWRITE);
    fake->started = TRUE;
    expect(fake->calls.alloc(heap, KB64, MEM_COMMIT, PAGE_READWRITE) != NULL, "heap", 0);
    expect(hostmem_bridge_is_heap(heap) == S_OK, "the heap is not recognised", 0);
    expect(WaitForSingleObject(told_event, QUIET_MS) == WAIT_TIMEOUT, "something is told", (long)told.kind);
    expect(!(bridge_statistics().state & HOSTMEM_BRIDGE_HEAP_UNKNOWN), "state",
           (long)bridge_statistics().state);
}

/* It takes memory by a function that the bridge does not know, and so does its collector. */
static void incomplete(void)
{
    runtime_bind(L"fake_coreclr_more.dll");
    expect(WaitForSingleObject(told_event, 0) == WAIT_OBJECT_0, "nothing is told", 0);
    expect(told.kind == HOSTMEM_BRIDGE_EVENT_INCOMPLETE &&
               told.module == GetModuleHandleW(L"fake_coreclr_more.dll"),
           "kind", (long)told.kind);
    expect(told.missing && !strcmp(told.missing, "VirtualAllocEx VirtualQueryEx"), "names", 0);
    HMODULE collector =
        fake->calls.load(bridge_beside(L"fake_gc_more.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    expect(collector && WaitForSingleObject(told_event, 0) == WAIT_OBJECT_0,
           "nothing is told of the collector", 0);
    expect(told.module == collector, "module", 0);
    expect(bridge_statistics().unknown[HOSTMEM_BRIDGE_COLLECTOR] != NULL, "names", 0);
    expect(bridge_statistics().state & HOSTMEM_BRIDGE_INCOMPLETE, "state", (long)bridge_statistics().state);
}

static void HOSTMEM_CALL on_later_event(const hostmem_bridge_event *event, void *context)
{
    told = *event;
    expect(context == calls, "context of the later bind", 0);
    SetEvent(told_event);
}

/* The manager stays the first one's; events are for whoever bound last. */
static void bound_twice(void)
{
    const hostmem_bridge_options later = {.size = sizeof later, .event = on_later_event, .context = calls};

    runtime_bind(L"fake_coreclr_10.dll");
    HRESULT hr = hostmem_bridge_bind(bridge_statistics().runtime, &host.control, &later);
    expect(hr == S_OK, "bound once more", hr);
    told_thread = 0;
    fake->started = TRUE;
    fake->calls.alloc(NULL, KB64, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    expect(WaitForSingleObject(told_event, WAIT_MS) == WAIT_OBJECT_0, "nothing is told", 0);
    expect(told_thread == 0, "the earlier bind's callback is called", 0);
}

static void (*const cases[])(void) = {never_starts, large_pages, usual_start, incomplete, bound_twice};

static void run(unsigned number)
{
    wchar_t line[8];
    swprintf(line, sizeof line / sizeof *line, L"%u", number);
    assert_int_equal(bridge_child(line, 60000), GOOD);
}

static void a_runtime_that_never_starts(void **state)
{
    (void)state;
    run(0);
}

static void a_heap_that_is_not_recognised(void **state)
{
    (void)state;
    run(1);
}

static void a_heap_that_is(void **state)
{
    (void)state;
    run(2);
}

static void unknown_functions(void **state)
{
    (void)state;
    run(3);
}

static void another_bind(void **state)
{
    (void)state;
    run(4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(another_bind), cmocka_unit_test(unknown_functions),
                                       cmocka_unit_test(a_runtime_that_never_starts),
                                       cmocka_unit_test(a_heap_that_is_not_recognised),
                                       cmocka_unit_test(a_heap_that_is)};
    int count;
    wchar_t **arguments = CommandLineToArgvW(GetCommandLineW(), &count);

    if (count != 2)
        return cmocka_run_group_tests(tests, NULL, NULL);
    bridge_host_init(&host);
    host.calls = calls;
    host.capacity = sizeof calls / sizeof *calls;
    cases[_wtoi(arguments[1])]();
    fflush(stderr);
    return complaints ? 1 : GOOD;
}
