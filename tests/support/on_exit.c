/* A DLL that calls back when the process ends, where all other threads have been killed. */
#include <windows.h>

__declspec(dllexport) void on_exit_call(void (*function)(void));

static void (*call)(void);

void on_exit_call(void (*function)(void))
{
    call = function;
}

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, LPVOID process_ends)
{
    (void)module;
    if (reason == DLL_PROCESS_DETACH && process_ends != NULL && call != NULL)
        call();
    return TRUE;
}
