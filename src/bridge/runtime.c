/*
 * What the bridge has to know of a coreclr.dll, and how it finds one.
 */
#include <string.h>
#include <wchar.h>

#include "bridge/runtime.h"

#define RUNTIME_FILE L"coreclr.dll"
#define CORELIB_FILE L"System.Private.CoreLib.dll"

typedef HRESULT(STDMETHODCALLTYPE *get_runtime_host)(REFIID riid, IUnknown **host);

bool hm_module_pin(const void *address)
{
    const DWORD flags = GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS;
    HMODULE module;

    return GetModuleHandleExW(flags, (LPCWSTR)address, &module);
}

/*
 * A version resource starts with three 16-bit words (its length, the length and type of its value), the key
 * "VS_VERSION_INFO" in UTF-16, and the value on the next multiple of 4.
 */
uint64_t hm_runtime_version(HMODULE module)
{
    HRSRC resource =
        FindResourceW(module, MAKEINTRESOURCEW(VS_VERSION_INFO), MAKEINTRESOURCEW(16 /* RT_VERSION */));
    HGLOBAL loaded = resource ? LoadResource(module, resource) : NULL;
    const BYTE *bytes = loaded ? LockResource(loaded) : NULL;
    const size_t value = (3 * sizeof(WORD) + sizeof L"VS_VERSION_INFO" + 3) & ~(size_t)3;
    VS_FIXEDFILEINFO info;

    if (!bytes || SizeofResource(module, resource) < value + sizeof info)
        return 0;
    memcpy(&info, bytes + value, sizeof info);
    if (info.dwSignature != VS_FFI_SIGNATURE)
        return 0;
    return (uint64_t)info.dwFileVersionMS << 32 | info.dwFileVersionLS;
}

bool hm_runtime_is_known(uint64_t version)
{
    return runtime_major(version) >= RUNTIME_OLDEST && runtime_major(version) <= RUNTIME_NEWEST;
}

HRESULT hm_runtime_get_host(HMODULE module, REFIID riid, void **host)
{
    get_runtime_host get = (get_runtime_host)(void *)GetProcAddress(module, "GetCLRRuntimeHost");
    IUnknown *object = NULL;

    *host = NULL;
    if (!get)
        return HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND);
    HRESULT hr = get(riid, &object);
    if (FAILED(hr))
        return hr;
    *host = object;
    return object ? S_OK : E_UNEXPECTED;
}

bool hm_runtime_not_started(ICLRRuntimeHost *host)
{
    return ICLRRuntimeHost_GetCurrentAppDomainId(host, NULL) == HOST_E_CLRNOTAVAILABLE;
}

bool hm_runtime_started(ICLRRuntimeHost *host)
{
    return ICLRRuntimeHost_GetCurrentAppDomainId(host, NULL) == E_POINTER;
}

bool hm_path_is_absolute(const wchar_t *path)
{
    if (path[0] == L'\\')
        return path[1] == L'\\';
    wchar_t drive = path[0] | 0x20;
    return drive >= L'a' && drive <= L'z' && path[1] == L':' && path[2] == L'\\';
}

/* The file's path up to its name, if that is the one asked for. */
static size_t folder_length(const wchar_t *path, size_t length, const wchar_t *name)
{
    size_t of_name = wcslen(name);

    if (length <= of_name || _wcsnicmp(path + length - of_name, name, of_name) != 0)
        return 0;
    return path[length - of_name - 1] == L'\\' ? length - of_name : 0;
}

HRESULT HOSTMEM_CALL hostmem_bridge_find(const wchar_t *assemblies, wchar_t *path, uint32_t capacity)
{
    if (!path || !capacity)
        return E_POINTER;
    path[0] = 0;
    if (!assemblies)
        return E_POINTER;
    while (*assemblies) {
        const wchar_t *assembly = assemblies;
        size_t length = wcscspn(assemblies, L";");
        assemblies += length;
        assemblies += *assemblies == L';';

        size_t folder = folder_length(assembly, length, CORELIB_FILE);
        if (!folder || !hm_path_is_absolute(assembly))
            continue;
        if (folder + sizeof RUNTIME_FILE / sizeof *path > capacity)
            return HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER);
        memcpy(path, assembly, folder * sizeof *path);
        memcpy(path + folder, RUNTIME_FILE, sizeof RUNTIME_FILE);

        DWORD attributes = GetFileAttributesW(path);
        if (attributes != INVALID_FILE_ATTRIBUTES && !(attributes & FILE_ATTRIBUTE_DIRECTORY))
            return S_OK;
        path[0] = 0;
        break; /* the runtime has no second one */
    }
    return HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
}
