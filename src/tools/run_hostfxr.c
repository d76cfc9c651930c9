/*
 * run_hostfxr.c - see run_hostfxr.h
 *
 * hostfxr first decides, from the program's files, which runtime it will take and where its coreclr.dll is.
 * We load that coreclr.dll before hostfxr does, bind the manager to it, and let hostfxr go on: it finds the
 * module in place.
 */
#include "tools/run_hostfxr.h"

#include <wchar.h>

#include <hostmem/bridge.h>

#include "bridge/runtime.h"
#include "tools/dotnet_root.h"
#include "tools/ending.h"
#include "tools/pe_file.h"
#include "tools/writer.h"

/* What hostfxr exports; its documentation calls the handle hostfxr_handle. */
struct initialize_parameters {
    size_t size;
    const wchar_t *host_path;
    const wchar_t *dotnet_root;
};

static struct {
    int32_t(__cdecl *initialize)(int argc, const wchar_t **argv,
                                 const struct initialize_parameters *parameters, void **context);
    int32_t(__cdecl *get_property)(void *context, const wchar_t *name, const wchar_t **value);
    int32_t(__cdecl *set_property)(void *context, const wchar_t *name, const wchar_t *value);
    int32_t(__cdecl *run)(void *context);
    int32_t(__cdecl *close)(void *context);
} fxr;

enum { HOSTFXR_FRAMEWORK_MISSING = (int32_t)0x80008096, HOSTFXR_LIBRARY_MISSING = (int32_t)0x80008083 };

static bool machine_check(const wchar_t *path)
{
    struct pe_file pe;

    if (pe_open(&pe, path) != PE_OK) {
        complain(L"%ls: cannot be read or is damaged", path);
        return false;
    }
    WORD machine = pe.machine;
    pe_close(&pe);
    if (machine == PE_MACHINE_OWN)
        return true;
    complain(L"%ls: the runtime is made for %ls, and this hostmem-run is for %ls programs", path,
             pe_machine_name(machine), pe_machine_name(PE_MACHINE_OWN));
    return false;
}

/* The one that the program wants: its own, or the installed one. */
static bool hostfxr_find(const struct program *program, wchar_t *root, wchar_t *path)
{
    if (!program->self_contained)
        return dotnet_root_find(root, path);
    wcscpy(root, program->assembly);
    wchar_t *slash = wcsrchr(root, L'\\');
    slash[slash[-1] == L':'] = 0; /* "C:" would be the current folder there */
    if (path_join(path, root, L"hostfxr.dll") && file_exists(path))
        return true;
    complain(L"%ls: brings its runtime along, but there is no hostfxr.dll beside it", program->assembly);
    return false;
}

static bool hostfxr_load(const wchar_t *path)
{
    HMODULE module =
        LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);

    if (!module) {
        complain(L"%ls: cannot be loaded (Windows error %lu)", path, GetLastError());
        return false;
    }
    fxr.initialize = (void *)GetProcAddress(module, "hostfxr_initialize_for_dotnet_command_line");
    fxr.get_property = (void *)GetProcAddress(module, "hostfxr_get_runtime_property_value");
    fxr.set_property = (void *)GetProcAddress(module, "hostfxr_set_runtime_property_value");
    fxr.run = (void *)GetProcAddress(module, "hostfxr_run_app");
    fxr.close = (void *)GetProcAddress(module, "hostfxr_close");
    if (fxr.initialize && fxr.get_property && fxr.set_property && fxr.run && fxr.close)
        return true;
    complain(L"%ls: is too old (.NET 8 or later is needed)", path);
    return false;
}

static const wchar_t *initialize_error(int32_t status)
{
    switch (status) {
    case HOSTFXR_FRAMEWORK_MISSING:
        return L"the runtime that it needs is not installed";
    case HOSTFXR_LIBRARY_MISSING:
        return L"a part of the runtime is missing";
    default:
        return L"hostfxr cannot start it";
    }
}

/* More is refused by a 32-bit collector; with less it may not start. */
static const uint64_t least_hard_limit = (uint64_t)32 << 20, most_hard_limit = (uint64_t)1 << 30;

/* Has the user set it?  The runtime asks the environment first. */
static bool is_in_environment(const wchar_t *setting)
{
    static const wchar_t *const prefixes[] = {L"DOTNET_", L"COMPlus_"};
    wchar_t name[64], text[2];

    for (unsigned i = 0; i < 2; i++) {
        swprintf(name, sizeof name / sizeof *name, L"%ls%ls", prefixes[i], setting);
        if (GetEnvironmentVariableW(name, text, 2))
            return true;
    }
    return false;
}

/* A number of the program's configuration; 0: none. */
static uint64_t property(void *context, const wchar_t *name)
{
    const wchar_t *text = NULL;
    return fxr.get_property(context, name, &text) == 0 && text ? wcstoull(text, NULL, 0) : 0;
}

/* The collector's hard limit, before it starts; what was set, or 0. */
static uint64_t hard_limit_set(void *context, uint64_t limit)
{
    static const wchar_t name[] = L"System.GC.HeapHardLimit";
    wchar_t text[24];

    if (limit < least_hard_limit || limit > most_hard_limit || is_in_environment(L"GCHeapHardLimit") ||
        is_in_environment(L"GCHeapHardLimitPercent") || property(context, L"System.GC.HeapHardLimitPercent"))
        return 0;
    uint64_t own = property(context, name);
    if (own != 0 && own < limit)
        return 0;
    swprintf(text, sizeof text / sizeof *text, L"%llu", (unsigned long long)limit);
    return fxr.set_property(context, name, text) == 0 ? limit : 0;
}

/* Gives the runtime our memory, or tells why not. */
static bool runtime_bind(const wchar_t *path, IHostControl *control, const hostmem_bridge_options *bridge,
                         HMODULE *runtime)
{
    hostmem_bridge_statistics statistics = {.size = sizeof statistics};

    HRESULT hr = hostmem_bridge_load(path, control, bridge, runtime);
    hostmem_bridge_get_statistics(&statistics);
    if (hr == S_OK)
        return true;
    if (hr == HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED)) {
        if (statistics.missing)
            complain(L"%ls: hostmem does not know %hs, which it imports; without --known-runtime it runs",
                     path, statistics.missing);
        else
            complain(L"%ls: is a runtime that hostmem was not tried on; without --known-runtime it runs",
                     path);
        return false;
    }
    if (statistics.missing)
        complain(L"%ls: its memory cannot be taken over: %hs is not imported as expected", path,
                 statistics.missing);
    else
        complain(L"%ls: its memory cannot be taken over (0x%08lx)", path, (unsigned long)hr);
    return false;
}

static bool runtime_watch(const wchar_t *path, HMODULE runtime)
{
    const char *culprit = NULL;

    HRESULT hr = ending_watch(runtime, &culprit);
    if (hr == S_OK)
        return true;
    complain(L"%ls: its ways to end the process cannot be watched: %hs (0x%08lx)", path,
             culprit ? culprit : "import table", (unsigned long)hr);
    return false;
}

int run_hostfxr(const struct program *program, int argc, wchar_t **arguments, IHostControl *control,
                const hostmem_bridge_options *bridge, uint64_t limit, struct hostfxr_runtime *found)
{
    static wchar_t root[PATH_CHARS], path[PATH_CHARS], self[PATH_CHARS];
    const wchar_t *assemblies = NULL;
    HMODULE runtime = NULL;
    void *context = NULL;

    if (!hostfxr_find(program, root, path))
        return STATUS_FAILED;
    if (!machine_check(path) || !hostfxr_load(path))
        return STATUS_FAILED;

    const wchar_t **argv = HeapAlloc(GetProcessHeap(), 0, ((size_t)argc + 1) * sizeof *argv);
    if (!argv) {
        complain(L"out of memory");
        return STATUS_FAILED;
    }
    argv[0] = program->assembly;
    for (int i = 0; i < argc; i++)
        argv[i + 1] = arguments[i];
    GetModuleFileNameW(NULL, self, PATH_CHARS);
    struct initialize_parameters parameters = {sizeof parameters, self, root};
    int32_t status = fxr.initialize(argc + 1, argv, &parameters, &context);
    HeapFree(GetProcessHeap(), 0, argv);
    if (status != 0) {
        complain(L"%ls: %ls (0x%08lx)", program->assembly, initialize_error(status), (unsigned long)status);
        goto failed;
    }

    status = fxr.get_property(context, L"TRUSTED_PLATFORM_ASSEMBLIES", &assemblies);
    if (status != 0 || hostmem_bridge_find(assemblies, path, PATH_CHARS) != S_OK) {
        complain(L"%ls: there is no coreclr.dll where its runtime should be", program->assembly);
        goto failed;
    }
    if (!machine_check(path))
        goto failed;
    if (sizeof(void *) == 4 && limit != 0)
        found->hard_limit = hard_limit_set(context, limit);
    if (control) {
        if (!runtime_bind(path, control, bridge, &runtime))
            goto failed;
    } else {
        runtime = LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
        if (!runtime) {
            complain(L"%ls: cannot be loaded (Windows error %lu)", path, GetLastError());
            goto failed;
        }
    }
    if (!runtime_watch(path, runtime))
        goto failed;

    wcscpy(found->path, path);
    found->version = hm_runtime_version(runtime);
    ending_expect();
    status = fxr.run(context);
    ending_reached((uint32_t)status);
    fxr.close(context);
    return status;

failed:
    if (context)
        fxr.close(context);
    return STATUS_FAILED;
}
