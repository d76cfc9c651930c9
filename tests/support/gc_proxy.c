/*
 * A standalone collector that has its work done by another module: clrgc.dll, which it loads itself, so that nobody
 * sees what that takes from Windows.
 */
#include <wchar.h>

#include <windows.h>

#define EXPORT __declspec(dllexport)

static void *clrgc(const char *function)
{
    wchar_t path[1024];
    DWORD length = GetModuleFileNameW(GetModuleHandleW(L"coreclr.dll"), path, 1000);

    while (length && path[length - 1] != L'\\')
        --length;
    wcscpy(path + length, L"clrgc.dll");
    HMODULE module = LoadLibraryW(path);
    return module ? (void *)GetProcAddress(module, function) : NULL;
}

EXPORT void GC_VersionInfo(void *version)
{
    ((void (*)(void *))clrgc("GC_VersionInfo"))(version);
}

/* A start that takes its time: GC_PROXY_WAIT in the environment. */
static void wait_if_asked(void)
{
    DWORD done;

    if (GetEnvironmentVariableW(L"GC_PROXY_WAIT", NULL, 0) == 0)
        return;
    WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), "starting\n", 9, &done, NULL);
    Sleep(60000);
}

EXPORT HRESULT GC_Initialize(void *runtime, void **heap, void **handles, void *variables)
{
    /* It looks like one that takes memory: without these imports it would not be let in. */
    void *page = VirtualAlloc(NULL, 4096, MEM_RESERVE, PAGE_NOACCESS);

    if (page)
        VirtualFree(page, 0, MEM_RELEASE);
    wait_if_asked();
    return ((HRESULT(*)(void *, void **, void **, void *))clrgc("GC_Initialize"))(runtime, heap, handles,
                                                                                  variables);
}
