/*
 * dllmain.c - the DLL's entry point: nothing to set up, nothing to wait for
 */
#include <windows.h>

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, LPVOID reserved)
{
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH)
        DisableThreadLibraryCalls(module);
    return TRUE;
}

#ifdef _MSC_VER
int _fltused = 1; /* of a C library, which there is none: floating point is used */
#endif
