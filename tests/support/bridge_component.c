/*
 * A stand-in for the host components that load each other: hostfxr.dll (COMPONENT hostfxr_main) or hostpolicy.dll
 * (corehost_main), known by what it exports.  Loads what it is told, by its own import.
 */
#include <windows.h>

__declspec(dllexport) int COMPONENT(void)
{
    return 0;
}

#ifdef AS_PROGRAM
int main(void)
{
    return 0;
}
#endif

__declspec(dllexport) HMODULE component_load(const wchar_t *name, DWORD flags)
{
    return LoadLibraryExW(name, NULL, flags);
}
