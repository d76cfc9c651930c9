/*
 * Following the loader to coreclr.dll, with stand-ins for hostfxr.dll, hostpolicy.dll and coreclr.dll.
 *
 * A bind that succeeds is for good, so each case is a process of its own.
 */
#include <limits.h>
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

enum { GOOD = 7, MANY = 40 };

#define WIN32_HR(code) HRESULT_FROM_WIN32(code)

static struct bridge_host host;
static struct bridge_call calls[64];
static int complaints;

static BOOL expect(BOOL good, const char *what, long found)
{
    if (!good) {
        ++complaints;
        fprintf(stderr, "  %s: 0x%lx\n", what, (unsigned long)found);
    }
    return good;
}

static HMODULE plain_load(const wchar_t *name)
{
    HMODULE module = LoadLibraryExW(bridge_beside(name), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    expect(module != NULL, "a stand-in does not load", (long)GetLastError());
    return module;
}

/* The component loads another, as it would. */
static HMODULE component_load(HMODULE component, const wchar_t *name)
{
    typedef HMODULE (*load_function)(const wchar_t *, DWORD);
    load_function load = (load_function)(void *)GetProcAddress(component, "component_load");
    return load(bridge_beside(name), LOAD_WITH_ALTERED_SEARCH_PATH);
}

static struct fake_runtime *runtime_of(HMODULE module)
{
    return ((fake_runtime_get)(void *)GetProcAddress(module, "fake_runtime_state"))();
}

static uint32_t state_now(void)
{
    return bridge_statistics().state;
}

static void is_bound(HMODULE runtime)
{
    unsigned before = host.count;

    expect((state_now() & (HOSTMEM_BRIDGE_REDIRECTED | HOSTMEM_BRIDGE_BOUND)) ==
               (HOSTMEM_BRIDGE_REDIRECTED | HOSTMEM_BRIDGE_BOUND),
           "state", (long)state_now());
    expect(bridge_statistics().runtime == runtime, "another runtime is bound", 0);
    LPVOID memory = runtime_of(runtime)->calls.alloc(NULL, 4096, MEM_RESERVE, PAGE_NOACCESS);
    expect(host.count == before + 1, "calls that came to the manager", (long)(host.count - before));
    runtime_of(runtime)->calls.free(memory, 0, MEM_RELEASE);
}

static void follows_the_loader(void)
{
    HMODULE fxr = plain_load(L"fake_hostfxr.dll");
    HRESULT hr = hostmem_bridge_watch(fxr, &host.control, NULL);

    expect(hr == S_OK && state_now() == HOSTMEM_BRIDGE_WATCHING, "watch", hr);
    expect(hostmem_bridge_watch(fxr, &host.control, NULL) == S_OK, "watched twice", 0);
    SetLastError(0);
    expect(!component_load(fxr, L"no such.dll") && GetLastError() == ERROR_MOD_NOT_FOUND, "no such file",
           (long)GetLastError());
    HMODULE other = component_load(fxr, L"fake_gc.dll");
    expect(other != NULL && host.count == 0, "another library", (long)host.count);
    FreeLibrary(other);
    HMODULE policy = component_load(fxr, L"fake_hostpolicy.dll");
    expect(policy != NULL && host.count == 0, "hostpolicy", 0);
    HMODULE runtime = component_load(policy, L"fake_coreclr_11.dll");
    if (expect(runtime != NULL, "coreclr", (long)GetLastError()))
        is_bound(runtime);

    /* a second component finds it running */
    runtime_of(runtime)->started = TRUE;
    expect(component_load(policy, L"fake_coreclr_11.dll") == runtime, "the runtime once more",
           (long)GetLastError());
    HMODULE second = plain_load(L"fake_hostfxr_2.dll");
    hr = hostmem_bridge_watch(second, &host.control, NULL);
    expect(hr == S_OK, "a second component", hr);

    /* two runtimes in one process */
    expect(!component_load(policy, L"fake_coreclr_10.dll"), "a second runtime", 0);
    expect(GetLastError() == (DWORD)HOST_E_INVALIDOPERATION, "a second runtime's error",
           (long)GetLastError());
    expect(!GetModuleHandleW(L"fake_coreclr_10.dll"), "a second runtime stays loaded", 0);
}

static hostmem_bridge_event told;
static char told_missing[32];
static unsigned told_count;
static DWORD told_thread;

static void HOSTMEM_CALL on_event(const hostmem_bridge_event *event, void *context)
{
    told = *event;
    told_thread = GetCurrentThreadId();
    lstrcpynA(told_missing, event->missing ? event->missing : "", sizeof told_missing);
    told_count += context == &host;
}

/* A runtime that cannot be bound does not start, or is said to run without us. */
static void fails_the_load(void)
{
    hostmem_bridge_options options = {.size = sizeof options, .event = on_event, .context = &host};
    HMODULE fxr = plain_load(L"fake_hostfxr.dll");
    HMODULE second = plain_load(L"fake_hostfxr_2.dll");

    HRESULT hr = hostmem_bridge_watch(fxr, &host.control, &options);
    expect(hr == S_OK, "watch", hr);
    HMODULE policy = component_load(fxr, L"fake_hostpolicy.dll");
    SetLastError(0);
    HMODULE runtime = component_load(policy, L"fake_coreclr_gap.dll");
    expect(!runtime && GetLastError() == ERROR_PROC_NOT_FOUND, "a runtime that lacks an import",
           (long)GetLastError());
    expect(!GetModuleHandleW(L"fake_coreclr_gap.dll"), "it stays loaded", 0);
    expect(told_count == 1 && told.kind == HOSTMEM_BRIDGE_EVENT_NOT_BOUND, "events", (long)told_count);
    expect(told.size == sizeof told && told.result == WIN32_HR(ERROR_PROC_NOT_FOUND), "result", told.result);
    expect(!strcmp(told_missing, "MapViewOfFileEx"), told_missing, 0);
    expect(told_thread == GetCurrentThreadId(), "thread", 0);
    expect(!(state_now() & HOSTMEM_BRIDGE_UNGOVERNED), "state", (long)state_now());

    options.flags = HOSTMEM_BRIDGE_RUN_UNGOVERNED;
    hr = hostmem_bridge_watch(second, &host.control, &options);
    expect(hr == S_OK, "watch", hr);
    runtime = component_load(second, L"fake_coreclr_gap.dll");
    expect(runtime != NULL, "a runtime that may run", (long)GetLastError());
    expect(told_count == 2, "events", (long)told_count);
    expect(state_now() & HOSTMEM_BRIDGE_UNGOVERNED, "state", (long)state_now());

    host.get_hr = E_NOINTERFACE; /* no manager: nothing to govern with, and no failure */
    runtime = component_load(policy, L"fake_coreclr_10.dll");
    expect(runtime != NULL && told_count == 2, "a host without a manager", (long)told_count);
}

/* What is there already. */
static void comes_late(BOOL started)
{
    HMODULE fxr = plain_load(L"fake_hostfxr.dll");
    const hostmem_bridge_options wrong = {.size = sizeof wrong - 1};
    const hostmem_bridge_options options = {.size = sizeof options, .event = on_event, .context = &host};

    if (started) { /* the watch that fails ends this one, too */
        expect(hostmem_bridge_watch(fxr, &host.control, NULL) == S_OK, "watched before", 0);
        expect(hostmem_bridge_watch(fxr, &host.control, &wrong) == E_INVALIDARG, "wrong options", 0);
        expect(state_now() == HOSTMEM_BRIDGE_WATCHING, "still watched", (long)state_now());
    }
    HMODULE policy = plain_load(L"fake_hostpolicy.dll");
    HMODULE runtime = plain_load(L"fake_coreclr_10.dll");

    runtime_of(runtime)->started = started;
    HRESULT hr = hostmem_bridge_watch(fxr, &host.control, &options);
    if (!started) {
        expect(hr == S_OK, "watch", hr);
        is_bound(runtime);
        return;
    }
    expect(hr == E_ACCESSDENIED, "a runtime that has started", hr);
    expect(told_count == 1 && told.result == E_ACCESSDENIED, "events", (long)told_count);
    expect(state_now() == 0 && host.count == 0 && host.control_references == 1, "nothing is watched",
           (long)state_now());
    runtime_of(runtime)->started = FALSE; /* and nobody would see it: */
    component_load(policy, L"fake_coreclr_10.dll");
    component_load(fxr, L"fake_coreclr_10.dll");
    expect(host.count == 0, "calls", (long)host.count);
    expect(hostmem_bridge_watch(fxr, &host.control, NULL) == S_OK, "watch again", 0);
    expect(!component_load(policy, L"fake_coreclr_gap.dll"), "a second runtime", 0);
    expect(told_count == 1, "events for a watch that failed", (long)told_count);
}

static void policy_was_there(void)
{
    HMODULE fxr = plain_load(L"fake_hostfxr.dll");
    HMODULE policy = plain_load(L"fake_hostpolicy.dll");

    HRESULT hr = hostmem_bridge_watch(fxr, &host.control, NULL);
    expect(hr == S_OK, "watch", hr);
    is_bound(component_load(policy, L"fake_coreclr_9.dll"));
}

static HMODULE(WINAPI *later_before)(LPCWSTR, HANDLE, DWORD);
static unsigned earlier_seen, later_seen;

static HMODULE WINAPI earlier_hook(LPCWSTR name, HANDLE file, DWORD flags)
{
    ++earlier_seen;
    return LoadLibraryExW(name, file, flags);
}

static HMODULE WINAPI later_hook(LPCWSTR name, HANDLE file, DWORD flags)
{
    ++later_seen;
    return later_before(name, file, flags);
}

/* Slots as they were; others' hooks before and after. */
static void unwatches(void)
{
    HMODULE fxr = plain_load(L"fake_hostfxr.dll"), second = plain_load(L"fake_hostfxr_2.dll");
    void **slot = bridge_slot(fxr, "LoadLibraryExW"), **other = bridge_slot(second, "LoadLibraryExW");
    void *plain = *slot;
    DWORD protection;

    expect(hostmem_bridge_unwatch(fxr) == S_FALSE, "not watched", 0);
    expect(bridge_hook(fxr, "LoadLibraryExW", (void *)earlier_hook), "hook", 0);
    expect(hostmem_bridge_watch(fxr, &host.control, NULL) == S_OK, "watch", 0);
    expect(hostmem_bridge_watch(second, &host.control, NULL) == S_OK, "watch", 0);
    expect(*slot != (void *)earlier_hook && *other != plain, "slots are redirected", 0);
    HMODULE policy = component_load(fxr, L"fake_hostpolicy.dll");
    void **third = bridge_slot(policy, "LoadLibraryExW");
    expect(earlier_seen == 1, "calls of the hook before", (long)earlier_seen);
    expect(*third != plain, "hostpolicy's slot is redirected", 0);

    /* somebody comes later */
    VirtualProtect(third, sizeof *third, PAGE_READWRITE, &protection);
    later_before = (void *)*third;
    *third = (void *)later_hook;
    expect(host.control_references == 4, "references", host.control_references);
    expect(hostmem_bridge_unwatch(fxr) == S_OK, "unwatch", 0);
    expect(host.control_references == 2, "references", host.control_references);
    expect(*slot == (void *)earlier_hook, "the slot as it was", 0);
    expect(*third == (void *)later_hook, "the later hook stays", 0);
    expect(*other != plain && state_now() & HOSTMEM_BRIDGE_WATCHING, "the other component",
           (long)state_now());
    expect(hostmem_bridge_unwatch(fxr) == S_FALSE, "unwatch twice", 0);
    HMODULE runtime = component_load(policy, L"fake_coreclr_10.dll");
    expect(runtime && later_seen == 1 && host.count == 0, "a load after that", (long)host.count);
    FreeLibrary(runtime);

    /* again, where the later hook is */
    expect(hostmem_bridge_watch(policy, &host.control, NULL) == S_OK, "watch again", 0);
    runtime = component_load(policy, L"fake_coreclr_10.dll");
    expect(runtime && later_seen == 2, "calls of the later hook", (long)later_seen);
    is_bound(runtime);
    expect(hostmem_bridge_unwatch(second) == S_OK && *other == plain, "unwatch", 0);
    expect(hostmem_bridge_unwatch(policy) == S_OK &&
               state_now() == (HOSTMEM_BRIDGE_REDIRECTED | HOSTMEM_BRIDGE_BOUND),
           "unwatch", (long)state_now());
    is_bound(runtime);
}

/* A hook's author reads the slot, the watch ends, and then he writes: his hook chains to us, of which we know nothing.
 * When he takes it out he puts us back. */
static void hooks_in_two_steps(void)
{
    HMODULE fxr = plain_load(L"fake_hostfxr.dll");
    void **slot = bridge_slot(fxr, "LoadLibraryExW");
    DWORD protection;

    VirtualProtect(slot, sizeof *slot, PAGE_READWRITE, &protection);
    expect(hostmem_bridge_watch(fxr, &host.control, NULL) == S_OK, "watch", 0);
    later_before = (void *)*slot;
    expect(hostmem_bridge_unwatch(fxr) == S_OK && *slot != (void *)later_before, "unwatch", 0);
    *slot = (void *)later_hook;
    *slot = (void *)later_before;
    expect(hostmem_bridge_watch(fxr, &host.control, NULL) == S_OK, "watch again", 0);
    is_bound(component_load(fxr, L"fake_coreclr_10.dll"));
    expect(hostmem_bridge_unwatch(fxr) == S_OK && *slot != (void *)later_before, "unwatch again", 0);
}

/* More often than there is room for. */
static void unloads(void)
{
    for (unsigned i = 0; i < MANY; ++i) {
        HMODULE fxr = plain_load(L"fake_hostfxr.dll");
        HRESULT hr = hostmem_bridge_watch(fxr, &host.control, NULL);
        expect(hr == S_OK, "watch", hr);
        HMODULE policy = component_load(fxr, L"fake_hostpolicy.dll");
        FreeLibrary(policy);
        FreeLibrary(fxr);
        expect(!GetModuleHandleW(L"fake_hostfxr.dll"), "it stays loaded", 0);
        expect(state_now() == 0, "state", (long)state_now());
    }
    HMODULE fxr = plain_load(L"fake_hostfxr.dll");
    expect(hostmem_bridge_watch(fxr, &host.control, NULL) == S_OK, "watch", 0);
    is_bound(component_load(fxr, L"fake_coreclr_8.dll"));
    hostmem_bridge_unwatch(fxr);
    expect(host.control_references == 2, "references", host.control_references); /* one is the bind's */
}

/* What a component loads comes and goes, and nobody watches or unwatches meanwhile. */
static void reloads(void)
{
    HMODULE fxr = plain_load(L"fake_hostfxr.dll");

    expect(hostmem_bridge_watch(fxr, &host.control, NULL) == S_OK, "watch", 0);
    for (unsigned i = 0; i < MANY; ++i) {
        HMODULE policy = component_load(fxr, L"fake_hostpolicy.dll");
        if (!expect(policy != NULL, "a load fails", (long)GetLastError()))
            return;
        FreeLibrary(policy);
        expect(!GetModuleHandleW(L"fake_hostpolicy.dll"), "it stays loaded", (long)i);
    }
    is_bound(component_load(component_load(fxr, L"fake_hostpolicy.dll"), L"fake_coreclr_8.dll"));
    hostmem_bridge_unwatch(fxr);
    expect(host.control_references == 2, "references", host.control_references); /* one is the bind's */
}

static HANDLE watcher;
static HRESULT watched;

static DWORD WINAPI watch_second(void *second)
{
    watched = hostmem_bridge_watch(second, &host.control, NULL);
    return 0;
}

/* The bind has seen that the runtime has not started, and a second watch waits for it to end. */
static void starts_meanwhile(struct bridge_host *self, void *runtime)
{
    (void)self;
    watcher = CreateThread(NULL, 0, watch_second, GetModuleHandleW(L"fake_hostfxr_2.dll"), 0, NULL);
    Sleep(500);
    runtime_of(runtime)->started = TRUE;
}

/* The first component's runtime is bound and started while a second one's watch looks at it. */
static void two_at_once(void)
{
    HMODULE fxr = plain_load(L"fake_hostfxr.dll"), runtime = plain_load(L"fake_coreclr_10.dll");

    plain_load(L"fake_hostfxr_2.dll");
    host.asked = starts_meanwhile;
    host.asked_context = runtime;
    HRESULT hr = hostmem_bridge_watch(fxr, &host.control, NULL);
    expect(hr == S_OK, "the first watch", hr);
    WaitForSingleObject(watcher, INFINITE);
    expect(watched == S_OK, "the second watch", watched);
}

static unsigned lists_that_fail;
static BOOL(WINAPI *list_modules)(HANDLE, HMODULE *, DWORD, LPDWORD);

static BOOL WINAPI cannot_list(HANDLE process, HMODULE *modules, DWORD size, LPDWORD needed)
{
    if (lists_that_fail == 0)
        return list_modules(process, modules, size, needed);
    --lists_that_fail;
    SetLastError(ERROR_PARTIAL_COPY); /* as Windows does while modules come and go */
    return FALSE;
}

/* What is loaded already cannot be seen: then it may be a runtime, or what loads one. */
static void cannot_look(void)
{
    HMODULE fxr = plain_load(L"fake_hostfxr.dll");

    plain_load(L"fake_hostpolicy.dll");
    list_modules = (void *)GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "K32EnumProcessModules");
    expect(bridge_hook(GetModuleHandleW(NULL), "K32EnumProcessModules", (void *)cannot_list), "hook", 0);
    lists_that_fail = UINT_MAX;
    HRESULT hr = hostmem_bridge_watch(fxr, &host.control, NULL);
    expect(hr == WIN32_HR(ERROR_PARTIAL_COPY), "modules that are not told", hr);
    expect(state_now() == 0 && host.control_references == 1, "nothing is watched", (long)state_now());
    lists_that_fail = 2;
    hr = hostmem_bridge_watch(fxr, &host.control, NULL);
    expect(hr == S_OK && lists_that_fail == 0, "it looks again", hr);
}

/* A watch that fails while another thread's begins and succeeds: whose callback is whose? */
static HMODULE second_component;

static BOOL WINAPI watches_second(HANDLE process, HMODULE *modules, DWORD size, LPDWORD needed)
{
    static const hostmem_bridge_options options = {
        .size = sizeof options, .event = on_event, .context = &host};
    const HMODULE second = second_component;

    second_component = NULL;
    if (second) {
        lists_that_fail = 0;
        HRESULT hr = hostmem_bridge_watch(second, &host.control, &options);
        expect(hr == S_OK, "the second watch", hr);
        lists_that_fail = UINT_MAX;
    }
    return cannot_list(process, modules, size, needed);
}

static void fails_beside_another(void)
{
    HMODULE fxr = plain_load(L"fake_hostfxr.dll"), second = plain_load(L"fake_hostfxr_2.dll");

    second_component = second;
    list_modules = (void *)GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "K32EnumProcessModules");
    expect(bridge_hook(GetModuleHandleW(NULL), "K32EnumProcessModules", (void *)watches_second), "hook", 0);
    HRESULT hr = hostmem_bridge_watch(fxr, &host.control, NULL);
    expect(hr == WIN32_HR(ERROR_PARTIAL_COPY), "the first watch", hr);
    expect(!component_load(second, L"fake_coreclr_gap.dll"), "a runtime that lacks an import", 0);
    expect(told_count == 1, "events of the watch that succeeded", (long)told_count);
}

/* Of two runtimes that are there one can be bound, so the watch fails; what is found later is not for its callback. */
static void fails_with_one_bound(void)
{
    const hostmem_bridge_options options = {.size = sizeof options, .event = on_event, .context = &host};
    HMODULE fxr = plain_load(L"fake_hostfxr.dll"), first = plain_load(L"fake_coreclr_10.dll");

    plain_load(L"fake_coreclr_9.dll");
    HRESULT hr = hostmem_bridge_watch(fxr, &host.control, &options);
    expect(hr == HOST_E_INVALIDOPERATION, "watch", hr);
    expect(bridge_statistics().runtime == first, "the first one is not bound", 0);
    told_count = 0;
    runtime_of(first)->gc.present = TRUE;
    runtime_of(first)->started = TRUE;
    runtime_of(first)->calls.alloc(NULL, 4096, MEM_RESERVE, PAGE_NOACCESS);
    for (unsigned waited = 0; runtime_of(first)->gc.delegates == 0 && waited < 5000; waited += 20)
        Sleep(20);
    expect(runtime_of(first)->gc.delegates > 0, "the start was not noticed", 0);
    expect(told_count == 0, "events for a watch that failed", (long)told_count);
}

static void refuses(void)
{
    hostmem_bridge_options wrong = {.size = sizeof wrong, .flags = 0x80000000u};
    HMODULE fxr = plain_load(L"fake_hostfxr.dll"), aot = plain_load(L"fake_native_aot.dll");
    HMODULE gone = plain_load(L"fake_hostpolicy.dll");

    FreeLibrary(gone);
    expect(hostmem_bridge_watch(NULL, &host.control, NULL) == E_INVALIDARG, "no module", 0);
    expect(hostmem_bridge_watch(fxr, NULL, NULL) == E_INVALIDARG, "no control", 0);
    expect(hostmem_bridge_watch(fxr, &host.control, &wrong) == E_INVALIDARG, "options", 0);
    expect(hostmem_bridge_unwatch(NULL) == E_INVALIDARG, "no module", 0);
    HRESULT hr = hostmem_bridge_watch(gone, &host.control, NULL);
    expect(hr == WIN32_HR(ERROR_MOD_NOT_FOUND), "a module that is gone", hr);
    hr = hostmem_bridge_watch(GetModuleHandleW(L"ntdll.dll"), &host.control, NULL);
    expect(hr == WIN32_HR(ERROR_PROC_NOT_FOUND), "a module without the import", hr);
    hr = hostmem_bridge_watch(aot, &host.control, NULL);
    expect(hr == WIN32_HR(ERROR_NOT_SUPPORTED), "NativeAOT", hr);
    expect(state_now() == 0 && host.control_references == 1, "nothing is watched", (long)state_now());
}

static void comes_in_time(void)
{
    comes_late(FALSE);
}

static void comes_too_late(void)
{
    comes_late(TRUE);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"follows the loader", follows_the_loader},
    {"fails the load", fails_the_load},
    {"comes late, in time", comes_in_time},
    {"comes too late", comes_too_late},
    {"hostpolicy was there", policy_was_there},
    {"unwatches", unwatches},
    {"hooks in two steps", hooks_in_two_steps},
    {"unloads", unloads},
    {"reloads", reloads},
    {"two at once", two_at_once},
    {"cannot look", cannot_look},
    {"fails beside another", fails_beside_another},
    {"fails with one bound", fails_with_one_bound},
    {"refuses", refuses},
};

static void all(void **state)
{
    unsigned failed = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; ++i) {
        wchar_t number[8];
        swprintf(number, sizeof number / sizeof *number, L"%u", i);
        DWORD code = bridge_child(number, 60000);
        if (code != GOOD) {
            ++failed;
            print_error("%s: the child ended with %lu\n", cases[i].name, code);
        }
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all)};
    int count;
    wchar_t **arguments = CommandLineToArgvW(GetCommandLineW(), &count);

    if (count != 2)
        return cmocka_run_group_tests(tests, NULL, NULL);
    bridge_host_init(&host);
    host.calls = calls;
    host.capacity = sizeof calls / sizeof *calls;
    cases[_wtoi(arguments[1])].run();
    fflush(stderr);
    return complaints ? 1 : GOOD;
}
