/*
 * component.c - see component.h
 */
#include "tools/check/component.h"

#include <stdio.h>
#include <wchar.h>

#include "tools/dotnet_root.h"
#include "tools/program.h"

enum { LOAD_FUNCTION = 5, OLDEST = 8 };

/* What hostfxr exports and hands out. */
struct initialize_parameters {
    size_t size;
    const wchar_t *host_path, *dotnet_root;
};
typedef int(__cdecl *initialize_function)(const wchar_t *config,
                                          const struct initialize_parameters *parameters, void **context);
typedef int(__cdecl *delegate_function)(void *context, int kind, void **function);
typedef int(__stdcall *load_function)(const wchar_t *assembly, const wchar_t *type, const wchar_t *method,
                                      const wchar_t *delegate_type, void *reserved, void **function);
typedef int(__stdcall *entry_function)(void *argument, int size);

static wchar_t root[PATH_CHARS], hostfxr[PATH_CHARS];
static entry_function entry, object;

static bool is_found(void)
{
    return *root || dotnet_root_find(root, hostfxr);
}

bool component_file(const wchar_t *version, const wchar_t *name, wchar_t *path)
{
    static wchar_t whole[PATH_CHARS];

    if (!is_found() || !path_join(whole, root, L"shared\\Microsoft.NETCore.App") ||
        !path_join(whole, whole, version) || !path_join(whole, whole, name) || !file_exists(whole) ||
        wcslen(whole) >= CHECK_PATH)
        return false;
    wcscpy(path, whole);
    return true;
}

static void version_add(wchar_t (*versions)[64], unsigned *count, unsigned most, const wchar_t *version)
{
    unsigned at = 0;

    for (; at < *count; at++) {
        if (wcstoul(versions[at], NULL, 10) == wcstoul(version, NULL, 10)) {
            if (dotnet_version_compare(versions[at], version) < 0)
                wcscpy(versions[at], version);
            return;
        }
        if (dotnet_version_compare(versions[at], version) > 0)
            break;
    }
    if (*count == most)
        return;
    wmemmove(versions[at + 1], versions[at], (*count - at) * ARRAYSIZE(versions[0]));
    wcscpy(versions[at], version);
    ++*count;
}

unsigned component_versions(wchar_t (*versions)[64], unsigned most)
{
    static wchar_t pattern[PATH_CHARS];
    wchar_t path[CHECK_PATH];
    WIN32_FIND_DATAW found;
    unsigned count = 0;

    if (!is_found() || !path_join(pattern, root, L"shared\\Microsoft.NETCore.App\\*"))
        return 0;
    HANDLE search = FindFirstFileW(pattern, &found);
    if (search == INVALID_HANDLE_VALUE)
        return 0;
    do {
        if (wcslen(found.cFileName) < ARRAYSIZE(versions[0]) &&
            wcstoul(found.cFileName, NULL, 10) >= OLDEST &&
            component_file(found.cFileName, L"coreclr.dll", path))
            version_add(versions, &count, most, found.cFileName);
    } while (FindNextFileW(search, &found));
    FindClose(search);
    return count;
}

HMODULE component_load(const char **why)
{
    if (!is_found()) {
        *why = "no hostfxr.dll is found";
        return NULL;
    }
    *why = "hostfxr.dll is not loaded";
    return LoadLibraryExW(hostfxr, NULL, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
}

/* That version exactly.  What it sees of cultures is of no matter here, and Wine has none. */
static bool config_write(const wchar_t *path, const wchar_t *version)
{
    char text[400];
    DWORD written = 0;
    int length = snprintf(text, sizeof text,
                          "{\"runtimeOptions\": {\"rollForward\": \"Disable\", \"framework\": {\"name\": "
                          "\"Microsoft.NETCore.App\", \"version\": \"%ls\"}, \"configProperties\": "
                          "{\"System.Globalization.Invariant\": true}}}\n",
                          version);

    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return false;
    BOOL done = WriteFile(file, text, (DWORD)length, &written, NULL);
    CloseHandle(file);
    return done && written == (DWORD)length;
}

int component_start(HMODULE fxr, const struct check *check, const char **why)
{
    const struct initialize_parameters parameters = {sizeof parameters, NULL, root};
    wchar_t config[CHECK_PATH], assembly[CHECK_PATH];
    void *context = NULL, *load = NULL, *function = NULL;
    initialize_function initialize =
        (initialize_function)(void *)GetProcAddress(fxr, "hostfxr_initialize_for_runtime_config");
    delegate_function get = (delegate_function)(void *)GetProcAddress(fxr, "hostfxr_get_runtime_delegate");

    swprintf(config, CHECK_PATH, L"%ls\\%ls.runtimeconfig.json", check->folder, check->argument);
    swprintf(assembly, CHECK_PATH, L"%ls\\" CHECK_ASSEMBLY L".dll", check->folder);
    *why = "the exports of hostfxr.dll";
    if (!initialize || !get)
        return -1;
    *why = "writing a runtimeconfig.json";
    if (!config_write(config, check->argument))
        return (int)GetLastError();
    *why = "hostfxr_initialize_for_runtime_config";
    int status = initialize(config, &parameters, &context);
    if (status != 0)
        return status;
    *why = "hostfxr_get_runtime_delegate";
    status = get(context, LOAD_FUNCTION, &load);
    if (status != 0)
        return status;
    *why = "loading the C# assembly";
    status =
        ((load_function)load)(assembly, L"Hostmem.Check, " CHECK_ASSEMBLY, L"Object", NULL, NULL, &function);
    object = (entry_function)function;
    if (status == 0)
        status = ((load_function)load)(assembly, L"Hostmem.Check, " CHECK_ASSEMBLY, L"Entry", NULL, NULL,
                                       &function);
    entry = (entry_function)function;
    return status;
}

int component_ask(const wchar_t *command)
{
    wchar_t text[64];

    wcscpy(text, command);
    return entry(text, (int)(wcslen(text) * sizeof *text));
}

const void *component_object(void)
{
    int64_t address = 0;

    object(&address, sizeof address);
    return (const void *)(uintptr_t)address;
}
