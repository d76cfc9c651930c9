/*
 * Others hook the imports of coreclr.dll too: before the bridge, while it binds, and after it.
 *
 * A bind that succeeds is for good, so each case is a process of its own.  In it one hook is placed on two functions of
 * a stand-in for coreclr.dll, in the middle of the first bind: at the n-th change of a page's protection, or while the
 * host is asked.  Whatever becomes of that bind, the next one succeeds, and each call of the runtime then comes
 * to the hook once and to the manager once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/bridge_child.h"
#include "support/bridge_fake.h"
#include "support/bridge_host.h"

enum { GOOD = 7, FAILED = 1, MOST_CHANGES = 40, DEEPEST = 100 };

static HMODULE module;
static struct fake_runtime *fake;
static struct bridge_host host;
static struct bridge_call calls[64];

/* The other hook: on VirtualAlloc, where the manager calls Windows, and on functions that go on down the chain. */
static LPVOID(WINAPI *alloc_before)(LPVOID, SIZE_T, DWORD, DWORD);
static LPVOID(WINAPI *map_before)(HANDLE, DWORD, DWORD, DWORD, SIZE_T);
static BOOL(WINAPI *unmap_before)(LPCVOID);
static unsigned alloc_seen, map_seen;

static void say(const char *what, long value)
{
    fprintf(stderr, "  %s: 0x%lx\n", what, (unsigned long)value);
}

static void goes_round(unsigned seen)
{
    if (seen <= DEEPEST)
        return;
    say("a call goes round for ever", 0);
    fflush(stderr);
    TerminateProcess(GetCurrentProcess(), FAILED);
}

static LPVOID WINAPI other_alloc(LPVOID address, SIZE_T size, DWORD type, DWORD protect)
{
    goes_round(++alloc_seen);
    return alloc_before(address, size, type, protect);
}

static LPVOID WINAPI other_map(HANDLE file, DWORD access, DWORD high, DWORD low, SIZE_T size)
{
    goes_round(++map_seen);
    return map_before(file, access, high, low, size);
}

static BOOL WINAPI other_unmap(LPCVOID view)
{
    return unmap_before(view);
}

static BOOL(WINAPI *windows_protect)(LPVOID, SIZE_T, DWORD, PDWORD);

static void put(void **slot, void *value)
{
    DWORD protection;

    windows_protect(slot, sizeof *slot, PAGE_READWRITE, &protection);
    *slot = value;
    windows_protect(slot, sizeof *slot, protection, &protection);
}

static void other_comes(void)
{
    if (alloc_before)
        return;
    void **alloc = bridge_slot(module, "VirtualAlloc"), **map = bridge_slot(module, "MapViewOfFile");
    void **unmap = bridge_slot(module, "UnmapViewOfFile");
    alloc_before = (void *)*alloc;
    map_before = (void *)*map;
    put(map, (void *)other_map);
    unmap_before = (void *)*unmap;
    put(unmap, (void *)other_unmap);
    put(alloc, (void *)other_alloc);
}

static BOOL is_of_module(const void *address)
{
    MEMORY_BASIC_INFORMATION info;
    return VirtualQuery(address, &info, sizeof info) && info.AllocationBase == (void *)module;
}

static unsigned changes, comes_at, fails_at;

/* What the library calls in place of VirtualProtect. */
static BOOL WINAPI library_protect(LPVOID address, SIZE_T size, DWORD protect, PDWORD old)
{
    if (is_of_module(address) && ++changes == comes_at)
        other_comes();
    if (changes == fails_at && is_of_module(address)) {
        SetLastError(ERROR_WRITE_PROTECT);
        return FALSE;
    }
    return windows_protect(address, size, protect, old);
}

static void other_comes_with(struct bridge_host *self, void *context)
{
    (void)self, (void)context;
    other_comes();
}

static DWORD slots_protection(void)
{
    MEMORY_BASIC_INFORMATION info;
    return VirtualQuery(bridge_slot(module, "VirtualAlloc"), &info, sizeof info) ? info.Protect : 0;
}

static void host_reset(void)
{
    bridge_host_init(&host);
    host.calls = calls;
    host.capacity = sizeof calls / sizeof *calls;
}

/* Each call comes once to whoever is there.  Not bound: not to the manager. */
static int calls_arrive(BOOL bound)
{
    unsigned before = host.count, seen = alloc_seen, seen_map = map_seen;
    HANDLE file = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 4096, NULL);
    LPVOID memory = fake->calls.alloc(NULL, 4096, MEM_RESERVE, PAGE_NOACCESS);
    LPVOID view = fake->calls.map(file, FILE_MAP_WRITE, 0, 0, 4096);

    CloseHandle(file);
    if (!memory || !view || host.count != before + (bound ? 2 : 0)) {
        say("calls that came to the manager", (long)(host.count - before));
        return FAILED;
    }
    if (alloc_before &&
        (map_seen != seen_map + 1 || alloc_seen > seen + 1 || (!bound && alloc_seen == seen))) {
        say("calls that came to the other hook", (long)(alloc_seen - seen + map_seen - seen_map));
        return FAILED;
    }
    if (!fake->calls.free(memory, 0, MEM_RELEASE) || !fake->calls.unmap(view))
        return FAILED;
    return GOOD;
}

static int bound_well(HRESULT hr)
{
    if (hr != S_OK) {
        say("the bind", hr);
        return FAILED;
    }
    return calls_arrive(TRUE);
}

/* The first bind meets the other hook; if it fails, nothing is left of it, and the second one succeeds. */
static int meets(unsigned n)
{
    comes_at = n;
    HRESULT hr = hostmem_bridge_bind(module, &host.control, NULL);
    if (!alloc_before)
        return bound_well(hr) == GOOD ? GOOD + 1 : FAILED; /* fewer changes than n */
    if (hr != S_OK) {
        say("the first bind", hr);
        if (calls_arrive(FALSE) != GOOD)
            return FAILED;
        hr = hostmem_bridge_bind(module, &host.control, NULL);
    }
    return bound_well(hr);
}

/* The host has no manager, and the hook comes while it is asked: it chains to the bridge, which does nothing then. */
static int stays_in_between(BOOL leaves)
{
    host.get_hr = E_NOINTERFACE;
    host.asked = other_comes_with;
    HRESULT hr = hostmem_bridge_bind(module, &host.control, NULL);
    if (hr != S_FALSE) {
        say("a host without a manager", hr);
        return FAILED;
    }
    host_reset();
    if (bridge_statistics().state != 0 || calls_arrive(FALSE) != GOOD)
        return FAILED;
    if (leaves) { /* as it should: by putting back what it had found */
        put(bridge_slot(module, "VirtualAlloc"), (void *)alloc_before);
        put(bridge_slot(module, "MapViewOfFile"), (void *)map_before);
        put(bridge_slot(module, "UnmapViewOfFile"), (void *)unmap_before);
        alloc_before = NULL;
        if (calls_arrive(FALSE) != GOOD)
            return FAILED;
    }
    HMODULE elsewhere =
        LoadLibraryExW(bridge_beside(L"fake_coreclr_9.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    hr = hostmem_bridge_bind(elsewhere, &host.control, NULL); /* whose calls are another module's still */
    if (hr != HRESULT_FROM_WIN32(ERROR_BUSY)) {
        say("another runtime", hr);
        return FAILED;
    }
    FreeLibrary(module);
    FreeLibrary(module);
    if (GetModuleHandleW(L"fake_coreclr_10.dll") != module) {
        say("a module whose hooks chain to the bridge was unloaded", 0);
        return FAILED;
    }
    return bound_well(hostmem_bridge_bind(module, &host.control, NULL));
}

/* A page that cannot be written: as it was. */
static int cannot_write(void)
{
    void *before = *bridge_slot(module, "VirtualAlloc");

    fails_at = 1;
    HRESULT hr = hostmem_bridge_bind(module, &host.control, NULL);
    if (hr != HRESULT_FROM_WIN32(ERROR_WRITE_PROTECT) || *bridge_slot(module, "VirtualAlloc") != before ||
        bridge_statistics().state != 0) {
        say("a page that cannot be written", hr);
        return FAILED;
    }
    fails_at = 0;
    return bound_well(hostmem_bridge_bind(module, &host.control, NULL));
}

/* Somebody else has the page open, and has not written yet. */
static int page_is_open(void)
{
    DWORD protection, opened;

    windows_protect(bridge_slot(module, "VirtualAlloc"), sizeof(void *), PAGE_READWRITE, &protection);
    opened = slots_protection();
    HRESULT hr = hostmem_bridge_bind(module, &host.control, NULL);
    if (slots_protection() != opened) {
        say("the page is narrowed", (long)slots_protection());
        return FAILED;
    }
    return bound_well(hr);
}

/* ... and opens it while the bridge has it open. */
static BOOL WINAPI protect_then_other(LPVOID address, SIZE_T size, DWORD protect, PDWORD old)
{
    BOOL done = windows_protect(address, size, protect, old);
    DWORD protection;

    if (is_of_module(address) && ++changes == 1)
        windows_protect(bridge_slot(module, "VirtualAlloc"), sizeof(void *), PAGE_EXECUTE_READWRITE,
                        &protection);
    return done;
}

static int page_is_opened(void)
{
    put(bridge_slot(GetModuleHandleW(NULL), "VirtualProtect"), (void *)protect_then_other);
    HRESULT hr = hostmem_bridge_bind(module, &host.control, NULL);
    if (slots_protection() != PAGE_EXECUTE_READWRITE && slots_protection() != PAGE_EXECUTE_WRITECOPY) {
        say("the page is narrowed", (long)slots_protection());
        return FAILED;
    }
    return bound_well(hr);
}

static int child(const wchar_t *name, unsigned n)
{
    void **protect = bridge_slot(GetModuleHandleW(NULL), "VirtualProtect");
    void **alloc;
    DWORD old;

    module = LoadLibraryExW(bridge_beside(L"fake_coreclr_10.dll"), NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    fake = ((fake_runtime_get)(void *)GetProcAddress(module, "fake_runtime_state"))();
    alloc = bridge_slot(module, "VirtualAlloc");
    windows_protect = (void *)*protect;
    put(protect, (void *)library_protect);
    windows_protect(alloc, sizeof *alloc, PAGE_READONLY, &old); /* as MSVC's linker leaves it */
    host_reset();
    DWORD before = slots_protection();
    int result = FAILED;
    if (!wcscmp(name, L"meets"))
        result = meets(n);
    else if (!wcscmp(name, L"between"))
        result = stays_in_between(n != 0);
    else if (!wcscmp(name, L"write"))
        result = cannot_write();
    else if (!wcscmp(name, L"open"))
        return page_is_open();
    else if (!wcscmp(name, L"opened"))
        return page_is_opened();
    if (result != FAILED && slots_protection() != before) {
        say("protection of the slots", (long)slots_protection());
        result = FAILED;
    }
    return result;
}

static void other_meanwhile(void **state)
{
    DWORD code = GOOD;
    unsigned n = 0;

    (void)state;
    while (code == GOOD && n < MOST_CHANGES) {
        wchar_t line[32];
        swprintf(line, sizeof line / sizeof *line, L"meets %u", ++n);
        code = bridge_child(line, 60000);
    }
    print_message("the other hook came at each of %u changes\n", n - 1);
    assert_int_equal(code, GOOD + 1);
    assert_true(n > 1);
}

static void other_while_host_is_asked(void **state)
{
    (void)state;
    assert_int_equal(bridge_child(L"between 0", 60000), GOOD);
}

static void other_leaves(void **state)
{
    (void)state;
    assert_int_equal(bridge_child(L"between 1", 60000), GOOD);
}

static void page_not_written(void **state)
{
    (void)state;
    assert_int_equal(bridge_child(L"write 0", 60000), GOOD);
}

static void page_of_two(void **state)
{
    (void)state;
    assert_int_equal(bridge_child(L"open 0", 60000), GOOD);
    assert_int_equal(bridge_child(L"opened 0", 60000), GOOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_meanwhile), cmocka_unit_test(other_while_host_is_asked),
        cmocka_unit_test(other_leaves),    cmocka_unit_test(page_not_written),
        cmocka_unit_test(page_of_two),
    };
    int count;
    wchar_t **arguments = CommandLineToArgvW(GetCommandLineW(), &count);

    if (count == 3)
        return child(arguments[1], (unsigned)_wtoi(arguments[2]));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
