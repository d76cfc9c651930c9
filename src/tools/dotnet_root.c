/*
 * dotnet_root.c - see dotnet_root.h
 *
 * In the documented order: DOTNET_ROOT_X64 (or _X86), DOTNET_ROOT(x86) for 32 bits on a 64-bit Windows,
 * DOTNET_ROOT, the place that the installer registered, Program Files. A variable that is set is the answer,
 * right or wrong; relative paths are refused (they would mean the current folder).
 */
#include "tools/dotnet_root.h"

#include <windows.h>

#include "bridge/runtime.h"
#include "tools/program.h"
#include "tools/writer.h"

#if defined(_WIN64)
#    define ARCHITECTURE_VARIABLE L"DOTNET_ROOT_X64"
#    define ARCHITECTURE_KEY      L"SOFTWARE\\dotnet\\Setup\\InstalledVersions\\x64"
#else
#    define ARCHITECTURE_VARIABLE L"DOTNET_ROOT_X86"
#    define ARCHITECTURE_KEY      L"SOFTWARE\\dotnet\\Setup\\InstalledVersions\\x86"
#endif

/* A version as folders are named: "10.0.12", "9.0.0-rc.1.24431.7". */
struct version {
    unsigned long part[3];
    const wchar_t *label; /* what follows the '-'; a release has none */
};

static bool version_read(struct version *version, const wchar_t *text)
{
    wchar_t *end;

    for (int i = 0; i < 3; i++) {
        version->part[i] = wcstoul(text, &end, 10);
        if (end == text || (i < 2 && *end != L'.'))
            return false;
        text = end + (i < 2);
    }
    version->label = *text == L'-' ? text + 1 : NULL;
    return *text == 0 || *text == L'-';
}

/* Labels are compared part by part: numbers by value, below words. */
static int label_compare(const wchar_t *a, const wchar_t *b)
{
    while (*a && *b) {
        size_t a_length = wcscspn(a, L"."), b_length = wcscspn(b, L".");
        bool a_number = wcsspn(a, L"0123456789") == a_length, b_number = wcsspn(b, L"0123456789") == b_length;
        int order = 0;

        if (a_number && b_number) {
            unsigned long a_value = wcstoul(a, NULL, 10), b_value = wcstoul(b, NULL, 10);
            order = (a_value > b_value) - (a_value < b_value);
        } else if (a_number != b_number) {
            order = a_number ? -1 : 1;
        } else {
            order = wcsncmp(a, b, a_length < b_length ? a_length : b_length);
            if (order == 0)
                order = (a_length > b_length) - (a_length < b_length);
        }
        if (order != 0)
            return order;
        a += a_length + (a[a_length] == L'.');
        b += b_length + (b[b_length] == L'.');
    }
    return (*a != 0) - (*b != 0);
}

int dotnet_version_compare(const wchar_t *a_text, const wchar_t *b_text)
{
    struct version a, b;

    if (!version_read(&a, a_text) || !version_read(&b, b_text))
        return 0;
    for (int i = 0; i < 3; i++)
        if (a.part[i] != b.part[i])
            return a.part[i] > b.part[i] ? 1 : -1;
    if (!a.label || !b.label)
        return (a.label == NULL) - (b.label == NULL);
    return label_compare(a.label, b.label);
}

/* The hostfxr.dll of the highest version below `root`. */
static bool hostfxr_find(const wchar_t *root, wchar_t *hostfxr)
{
    static wchar_t folder[PATH_CHARS];
    wchar_t best[MAX_PATH] = L"";
    WIN32_FIND_DATAW found;

    if (!path_join(folder, root, L"host\\fxr\\*"))
        return false;
    HANDLE search = FindFirstFileW(folder, &found);
    if (search == INVALID_HANDLE_VALUE)
        return false;
    *wcsrchr(folder, L'\\') = 0;
    do {
        struct version version;

        if (!(found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) || !version_read(&version, found.cFileName))
            continue;
        if (*best && dotnet_version_compare(found.cFileName, best) <= 0)
            continue;
        if (path_join(hostfxr, folder, found.cFileName) && path_join(hostfxr, hostfxr, L"hostfxr.dll") &&
            file_exists(hostfxr))
            wcscpy(best, found.cFileName);
    } while (FindNextFileW(search, &found));
    FindClose(search);

    return *best && path_join(hostfxr, folder, best) && path_join(hostfxr, hostfxr, L"hostfxr.dll");
}

/* The variable's value, if it has one; with backslashes. */
static bool variable_read(const wchar_t *name, wchar_t *value)
{
    DWORD length = GetEnvironmentVariableW(name, value, PATH_CHARS);
    if (length == 0 || length >= PATH_CHARS)
        return false;
    path_with_backslashes(value);
    return true;
}

static bool is_wow64(void)
{
    BOOL wow64;
    return IsWow64Process(GetCurrentProcess(), &wow64) && wow64;
}

/* Installers of both architectures register in the 32-bit view. */
static bool registry_read(wchar_t *root)
{
    DWORD bytes = PATH_CHARS * sizeof *root;
    HKEY key;

    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, ARCHITECTURE_KEY, 0, KEY_READ | KEY_WOW64_32KEY, &key) !=
        ERROR_SUCCESS)
        return false;
    LSTATUS status = RegGetValueW(key, NULL, L"InstallLocation", RRF_RT_REG_SZ, NULL, root, &bytes);
    RegCloseKey(key);
    return status == ERROR_SUCCESS && hm_path_is_absolute(root);
}

bool dotnet_root_find(wchar_t *root, wchar_t *hostfxr)
{
    const wchar_t *const variables[] = {ARCHITECTURE_VARIABLE, is_wow64() ? L"DOTNET_ROOT(x86)" : NULL,
                                        L"DOTNET_ROOT"};

    for (unsigned i = 0; i < ARRAYSIZE(variables); i++) {
        if (!variables[i] || !variable_read(variables[i], root))
            continue;
        if (!hm_path_is_absolute(root)) {
            complain(L".NET not found: %ls is '%ls', which is not an absolute path", variables[i], root);
            return false;
        }
        if (!hostfxr_find(root, hostfxr)) {
            complain(L".NET not found: %ls is '%ls', which has no host\\fxr\\VERSION\\hostfxr.dll",
                     variables[i], root);
            return false;
        }
        return true;
    }
    if (registry_read(root) && hostfxr_find(root, hostfxr))
        return true;
    if (variable_read(L"ProgramFiles", root) && hm_path_is_absolute(root) &&
        path_join(root, root, L"dotnet") && hostfxr_find(root, hostfxr))
        return true;
    complain(L".NET not found: the program needs an installed runtime, and there is none in DOTNET_ROOT (not "
             L"set), the registry or Program Files\\dotnet");
    return false;
}
