/* A DLL that calls back when it is unloaded, with the loader lock held; at the end of the process all other threads have been
 * killed. */
#include <windows.h>

__declspec(dllexport) void on_exit_call(void (*function)(void));

static void (*call)(void);

void on_exit_call(void (*function)(void))
{
    call = function;
}

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, LPVOID process_ends)
{
    (void)module, (void)process_ends;
    if (reason == DLL_PROCESS_DETACH && call != NULL)
        call();
    return TRUE;
}
