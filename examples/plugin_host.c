/*
 * plugin_host.c - a native program that embeds .NET, with the runtime's memory under hostmem
 *
 *     plugin_host DOTNET_ROOT PLUGIN.dll
 *
 * It watches hostfxr.dll, so that the coreclr.dll that comes is bound to a hostmem manager before it starts -
 * its path is nobody's business here -, initializes hostfxr from the plugin's runtimeconfig.json, calls four managed
 * functions, and prints what the statistics say of it.  x86-64 or x86, .NET 8 to 11.
 */
#define COBJMACROS
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <wchar.h>

#include <windows.h>

#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>

/* What we need of hostfxr's interface (documented as "native hosting"). */
typedef void *hostfxr_handle;
struct hostfxr_parameters {
    size_t size;
    const wchar_t *host_path;
    const wchar_t *dotnet_root;
};
enum { HDT_LOAD_ASSEMBLY_AND_GET_FUNCTION_POINTER = 5 };
#define UNMANAGED_CALLERS_ONLY ((const wchar_t *)-1)

typedef int(__cdecl *initialize_fn)(const wchar_t *config, const struct hostfxr_parameters *,
                                    hostfxr_handle *);
typedef int(__cdecl *get_delegate_fn)(hostfxr_handle, int type, void **delegate);
typedef int(__cdecl *close_fn)(hostfxr_handle);
typedef int(__stdcall *load_function_fn)(const wchar_t *assembly, const wchar_t *type, const wchar_t *method,
                                         const wchar_t *delegate_type, void *reserved, void **function);

enum { PATH_CHARS = 1024 };

static void fail(const char *what, long code)
{
    fprintf(stderr, "plugin_host: %s (0x%08lx)\n", what, code);
    exit(1);
}

static void *need(HMODULE module, const char *name)
{
    void *function = (void *)GetProcAddress(module, name);
    if (function == NULL)
        fail(name, (long)GetLastError());
    return function;
}

/* FULL has PATH_CHARS; of what does not fit Windows says how long it would be. */
static void full_path(const wchar_t *path, wchar_t *full)
{
    DWORD length = GetFullPathNameW(path, PATH_CHARS, full, NULL);
    if (length == 0 || length >= PATH_CHARS)
        fail("a path is empty or too long", (long)length);
}

/* "10.0.1" as one number that can be compared; 0: no version.  A preview counts as its release. */
static unsigned long long version_number(const wchar_t *name)
{
    unsigned major, minor, patch;
    if (swscanf(name, L"%u.%u.%u", &major, &minor, &patch) != 3)
        return 0;
    return (unsigned long long)major << 40 | (unsigned long long)minor << 20 | patch;
}

/* The hostfxr.dll of the highest version below DOTNET_ROOT: an older one may not know a newer runtime. */
static HMODULE load_hostfxr(const wchar_t *root)
{
    wchar_t path[PATH_CHARS], best[MAX_PATH] = L"";
    WIN32_FIND_DATAW entry;
    swprintf(path, PATH_CHARS, L"%ls\\host\\fxr\\*", root);
    HANDLE search = FindFirstFileW(path, &entry);
    if (search == INVALID_HANDLE_VALUE)
        fail("no host\\fxr below DOTNET_ROOT", (long)GetLastError());
    do {
        if (version_number(entry.cFileName) > version_number(best))
            wcscpy(best, entry.cFileName);
    } while (FindNextFileW(search, &entry));
    FindClose(search);
    swprintf(path, PATH_CHARS, L"%ls\\host\\fxr\\%ls\\hostfxr.dll", root, best);
    HMODULE module = LoadLibraryExW(path, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    if (module == NULL)
        fail("hostfxr.dll does not load", (long)GetLastError());
    return module;
}

/* Have the runtime that hostfxr is going to load take its memory from the manager, wherever it is. */
static void watch_memory(HMODULE hostfxr, hostmem_manager *manager)
{
    IHostControl *control;
    HRESULT result = hostmem_create_host_control(manager, NULL, &control);
    if (result == S_OK) {
        result = hostmem_bridge_watch(hostfxr, control, NULL);
        IHostControl_Release(control);
    }
    if (result != S_OK)
        fail("hostfxr cannot be watched", result);
}

/* A runtime that could not be bound would not have started; that it takes its memory from us is seen here. */
static void check_bound(void)
{
    hostmem_bridge_statistics bridge = {.size = sizeof bridge};
    hostmem_bridge_get_statistics(&bridge);
    const uint32_t good = HOSTMEM_BRIDGE_BOUND | HOSTMEM_BRIDGE_RUNNING;
    if ((bridge.state & (good | HOSTMEM_BRIDGE_HEAP_UNKNOWN)) != good)
        fail("the runtime does not take its memory from us", (long)bridge.state);
}

static void print_books(const char *when, hostmem_manager *manager)
{
    hostmem_statistics statistics = {.size = sizeof statistics};
    hostmem_get_statistics(manager, &statistics);
    printf("%-12s %4llu regions, reserved %8.1f MiB, committed %6.1f MiB (peak %.1f), views %llu\n", when,
           (unsigned long long)statistics.regions, (double)statistics.reserved.now / (1 << 20),
           (double)statistics.committed.now / (1 << 20), (double)statistics.committed.peak / (1 << 20),
           (unsigned long long)statistics.views);
}

int wmain(int argc, wchar_t **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: plugin_host DOTNET_ROOT PLUGIN.dll\n");
        return 2;
    }
    wchar_t root[PATH_CHARS], plugin[PATH_CHARS], config[PATH_CHARS];
    full_path(argv[1], root);
    full_path(argv[2], plugin);
    wcscpy(config, plugin);
    wchar_t *dot = wcsrchr(config, L'.');
    if (dot == NULL || (size_t)(dot - config) + wcslen(L".runtimeconfig.json") >= PATH_CHARS)
        fail("the plugin's path has no .dll", 0);
    wcscpy(dot, L".runtimeconfig.json");

    hostmem_manager *manager;
    HRESULT result = hostmem_create(NULL, &manager);
    if (result != S_OK)
        fail("hostmem_create", result);

    HMODULE hostfxr = load_hostfxr(root);
    watch_memory(hostfxr, manager);
    initialize_fn initialize = (initialize_fn)need(hostfxr, "hostfxr_initialize_for_runtime_config");
    struct hostfxr_parameters parameters = {sizeof parameters, NULL, root};
    hostfxr_handle handle = NULL;
    int status = initialize(config, &parameters, &handle);
    if (status != 0)
        fail("hostfxr_initialize_for_runtime_config", status);

    void *delegate;
    status = ((get_delegate_fn)need(hostfxr, "hostfxr_get_runtime_delegate"))(
        handle, HDT_LOAD_ASSEMBLY_AND_GET_FUNCTION_POINTER, &delegate);
    if (status != 0)
        fail("hostfxr_get_runtime_delegate", status);
    check_bound();
    print_books("started", manager);

    load_function_fn load = (load_function_fn)delegate;
    static const wchar_t *const names[] = {L"Median", L"Keep", L"Drop", L"Object"};
    void *functions[4];
    for (int i = 0; i < 4; i++) {
        status =
            load(plugin, L"Hostmem.Plugin, plugin", names[i], UNMANAGED_CALLERS_ONLY, NULL, &functions[i]);
        if (status != 0)
            fail("a managed function was not found", status);
    }
    int(__stdcall * median)(const int *, int) = (int(__stdcall *)(const int *, int))functions[0];
    int(__stdcall * keep)(int) = (int(__stdcall *)(int))functions[1];
    int(__stdcall * drop)(void) = (int(__stdcall *)(void))functions[2];
    void *(__stdcall * object)(void) = (void *(__stdcall *)(void))functions[3];

    static const int numbers[] = {7, 1, 9, 3, 5};
    printf("median of 7 1 9 3 5: %d\n", median(numbers, 5));
    printf("kept: %d MiB\n", keep(64));
    print_books("kept", manager);
    printf("in use after drop: %d MiB\n", drop());
    print_books("dropped", manager);

    void *address = object();
    bool owned = hostmem_owns(manager, address) == S_OK;
    printf("managed object at %p: %s\n", address, owned ? "in a region of ours" : "NOT in a region of ours");
    ((close_fn)need(hostfxr, "hostfxr_close"))(handle);
    /*
     * From here on the runtime gets no new memory, and a runtime that needs some ends the process.  Here that
     * is safe: managed code is not called again, and nothing but the end of the process follows.  A real host
     * does this last of all.  The manager itself stays: the runtime calls it until the process has gone.
     */
    hostmem_shutdown(manager);
    puts(owned ? "plugin_host: done" : "plugin_host: failed");
    return owned ? 0 : 1;
}
