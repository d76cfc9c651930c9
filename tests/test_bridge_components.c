/*
 * Real components that come by a watch: test_bridge_components FOLDER VERSION, FOLDER as scripts/setup makes it.
 *
 * A plugin on the installed runtime; a second component, which finds that one running; and a program that brings
 * another runtime along, which is one too many for the process: its coreclr.dll does not load.
 */
#include <stdbool.h>
#include <stdio.h>
#include <wchar.h>

#include <windows.h>

#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>

enum { PATH = 1024, LOAD_FUNCTION = 5, ALREADY_INITIALIZED = 1, HELD = 8 };

struct parameters {
    size_t size;
    const wchar_t *host_path, *dotnet_root;
};

typedef int(__cdecl *initialize_function)(const wchar_t *, const struct parameters *, void **);
typedef int(__cdecl *delegate_function)(void *, int, void **);
typedef int(__cdecl *close_function)(void *);
typedef int(__stdcall *load_function)(const wchar_t *, const wchar_t *, const wchar_t *, const wchar_t *,
                                      void *, void **);
typedef int(__cdecl *main_function)(int, const wchar_t **, const wchar_t *, const wchar_t *, const wchar_t *);

static int complaints;
static unsigned told;
static HRESULT told_result;

static void expect(bool good, const char *what, long found)
{
    if (good)
        return;
    ++complaints;
    fprintf(stderr, "  %s: 0x%lx\n", what, (unsigned long)found);
}

static void HOSTMEM_CALL on_event(const hostmem_bridge_event *event, void *context)
{
    (void)context;
    told += event->kind == HOSTMEM_BRIDGE_EVENT_NOT_BOUND;
    told_result = event->result;
}

static uint32_t state_now(void)
{
    hostmem_bridge_statistics bridge = {.size = sizeof bridge};
    hostmem_bridge_get_statistics(&bridge);
    return bridge.state;
}

/* Below ROOT\host\fxr\, that of the version. */
static HMODULE hostfxr_load(const wchar_t *root, const wchar_t *version)
{
    wchar_t path[PATH];
    WIN32_FIND_DATAW found;

    swprintf(path, PATH, L"%ls\\host\\fxr\\%ls.*", root, version);
    HANDLE search = FindFirstFileW(path, &found);
    if (search == INVALID_HANDLE_VALUE)
        return NULL;
    FindClose(search);
    swprintf(path, PATH, L"%ls\\host\\fxr\\%ls\\hostfxr.dll", root, found.cFileName);
    return LoadLibraryExW(path, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
}

/* Calls a function of the plugin's; `as`: what initializing is to say. */
static void component_run(HMODULE fxr, const wchar_t *root, const wchar_t *folder, int as)
{
    struct parameters parameters = {sizeof parameters, NULL, root};
    wchar_t config[PATH], plugin[PATH];
    void *context = NULL, *load = NULL, *keep = NULL;

    swprintf(config, PATH, L"%ls\\plugin\\plugin.runtimeconfig.json", folder);
    swprintf(plugin, PATH, L"%ls\\plugin\\plugin.dll", folder);
    int status = ((initialize_function)(void *)GetProcAddress(fxr, "hostfxr_initialize_for_runtime_config"))(
        config, &parameters, &context);
    expect(status == as, "hostfxr_initialize_for_runtime_config", status);
    status = ((delegate_function)(void *)GetProcAddress(fxr, "hostfxr_get_runtime_delegate"))(
        context, LOAD_FUNCTION, &load);
    expect(status == 0, "hostfxr_get_runtime_delegate", status);
    if (load)
        status = ((load_function)load)(plugin, L"Hostmem.Plugin, plugin", L"Keep", (const wchar_t *)-1, NULL,
                                       &keep);
    expect(keep && status == 0, "the plugin's function", status);
    if (keep)
        expect(((int(__stdcall *)(int))keep)(HELD) >= HELD, "what it holds", 0);
    ((close_function)(void *)GetProcAddress(fxr, "hostfxr_close"))(context);
}

int wmain(int argc, wchar_t **argv)
{
    hostmem_bridge_options options = {.size = sizeof options, .event = on_event};
    wchar_t clr[PATH], root[PATH], folder[PATH], other[PATH], path[PATH];
    hostmem_manager *manager = NULL;
    IHostControl *control = NULL;

    if (argc != 3 || !GetFullPathNameW(argv[1], PATH / 2, clr, NULL))
        return fprintf(stderr, "usage: test_bridge_components FOLDER VERSION\n"), 2;
    swprintf(root, PATH, L"%ls\\dotnet-root", clr);
    swprintf(folder, PATH, L"%ls\\net%ls", clr, argv[2]);
    swprintf(other, PATH, L"%ls\\net%ls\\ending", clr, wcscmp(argv[2], L"9.0") ? L"9.0" : L"10.0");
    hostmem_create(NULL, &manager);
    hostmem_create_host_control(manager, NULL, &control);

    HMODULE fxr = hostfxr_load(root, argv[2]);
    expect(fxr != NULL, "hostfxr.dll", (long)GetLastError());
    HRESULT hr = hostmem_bridge_watch(fxr, control, &options);
    expect(hr == S_OK && state_now() == HOSTMEM_BRIDGE_WATCHING, "hostmem_bridge_watch", hr);
    component_run(fxr, root, folder, 0);
    const uint32_t good =
        HOSTMEM_BRIDGE_REDIRECTED | HOSTMEM_BRIDGE_BOUND | HOSTMEM_BRIDGE_RUNNING | HOSTMEM_BRIDGE_WATCHING;
    expect(state_now() == good, "state", (long)state_now());
    hostmem_statistics statistics = {.size = sizeof statistics};
    hostmem_get_statistics(manager, &statistics);
    expect(statistics.committed_by_use[HOSTMEM_USE_GC_HEAP].now > HELD << 20, "heap in the accounting",
           (long)statistics.committed_by_use[HOSTMEM_USE_GC_HEAP].now);

    /* A second component. */
    hr = hostmem_bridge_watch(fxr, control, &options);
    expect(hr == S_OK, "watched again", hr);
    component_run(fxr, root, folder, ALREADY_INITIALIZED);
    expect(state_now() == good && told == 0, "state", (long)state_now());

    /* A second runtime. */
    swprintf(path, PATH, L"%ls\\hostfxr.dll", other);
    HMODULE second = LoadLibraryExW(path, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    hr = hostmem_bridge_watch(second, control, &options);
    expect(hr == S_OK, "another hostfxr.dll", hr);
    wchar_t program[PATH], executable[PATH];
    swprintf(program, PATH, L"%ls\\ending.dll", other);
    swprintf(executable, PATH, L"%ls\\ending.exe", other);
    const wchar_t *line[] = {executable, L"return", L"5"};
    int status = ((main_function)(void *)GetProcAddress(second, "hostfxr_main_startupinfo"))(
        3, line, executable, other, program);
    expect(status != 5 && status != 0, "a second runtime has run", status);
    expect(told == 1 && told_result == HOST_E_INVALIDOPERATION, "what was told of it", told_result);
    swprintf(path, PATH, L"%ls\\coreclr.dll", other);
    expect(GetModuleHandleW(path) == NULL, "its coreclr.dll stays loaded", 0);
    component_run(fxr, root, folder, ALREADY_INITIALIZED); /* nothing has happened to the first */
    expect(hostmem_bridge_unwatch(second) == S_OK && hostmem_bridge_unwatch(fxr) == S_OK, "unwatch", 0);
    expect(state_now() == (good & ~HOSTMEM_BRIDGE_WATCHING), "state", (long)state_now());
    fflush(NULL);
    puts(complaints ? "failed" : "components: done");
    return complaints != 0;
}
