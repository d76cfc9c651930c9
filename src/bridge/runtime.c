/*
 * What the bridge has to know of a coreclr.dll, and how it finds one.
 */
#include <string.h>

#include "bridge/runtime.h"

#define RUNTIME_FILE L"coreclr.dll"

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

HRESULT HOSTMEM_CALL hostmem_bridge_find(const wchar_t *directories, wchar_t *path, uint32_t capacity)
{
    if (!directories || !path || !capacity)
        return E_POINTER;
    path[0] = 0;
    while (*directories) {
        size_t length = wcscspn(directories, L";");
        const wchar_t *directory = directories;
        directories += length;
        directories += *directories == L';';
        if (!length || !hm_path_is_absolute(directory))
            continue;

        bool slash = directory[length - 1] != L'\\';
        size_t total = length + slash + sizeof RUNTIME_FILE / sizeof(wchar_t);
        if (total > capacity)
            return HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER);
        memcpy(path, directory, length * sizeof *path);
        if (slash)
            path[length] = L'\\';
        memcpy(path + length + slash, RUNTIME_FILE, sizeof RUNTIME_FILE);

        DWORD attributes = GetFileAttributesW(path);
        if (attributes != INVALID_FILE_ATTRIBUTES && !(attributes & FILE_ATTRIBUTE_DIRECTORY))
            return S_OK;
        path[0] = 0;
    }
    return HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
}
