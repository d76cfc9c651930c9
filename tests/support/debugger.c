/*
 * debugger PROGRAM ARGUMENTS...    runs a program with a debugger attached that lets everything pass
 *
 * Says at the end how much it was told, and ends with the program's status.
 */
#include <stdbool.h>
#include <stdio.h>
#include <wchar.h>

#include <windows.h>

/* What a program raises to tell its debugger something, and means nothing by if there is none: the CLR's notes to
 * debuggers of managed code among them. */
static bool is_note(DWORD code)
{
    return code == EXCEPTION_BREAKPOINT || code == 0x04242420;
}

int wmain(void)
{
    STARTUPINFOW start = {.cb = sizeof start};
    PROCESS_INFORMATION process;
    unsigned libraries = 0, threads = 0, exceptions = 0;
    DEBUG_EVENT event;

    wchar_t *line = GetCommandLineW(); /* "debugger.exe" or debugger.exe, then the program's */
    line = *line == L'"' ? wcschr(line + 1, L'"') + 1 : line + wcscspn(line, L" ");
    line += wcsspn(line, L" ");
    if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, DEBUG_ONLY_THIS_PROCESS, NULL, NULL, &start,
                        &process)) {
        fprintf(stderr, "debugger: cannot start it: error %lu\n", GetLastError());
        return 125;
    }
    while (WaitForDebugEvent(&event, INFINITE)) {
        DWORD answer = DBG_CONTINUE, status = 0;
        bool ends = event.dwDebugEventCode == EXIT_PROCESS_DEBUG_EVENT;

        libraries += event.dwDebugEventCode == LOAD_DLL_DEBUG_EVENT;
        threads += event.dwDebugEventCode == CREATE_THREAD_DEBUG_EVENT;
        if (event.dwDebugEventCode == EXCEPTION_DEBUG_EVENT) {
            exceptions++;
            if (!is_note(event.u.Exception.ExceptionRecord.ExceptionCode))
                answer = DBG_EXCEPTION_NOT_HANDLED;
        }
        if (ends)
            status = event.u.ExitProcess.dwExitCode;
        ContinueDebugEvent(event.dwProcessId, event.dwThreadId, answer);
        if (ends) {
            fprintf(stderr, "debugger: %u libraries, %u threads, %u exceptions\n", libraries, threads,
                    exceptions);
            return (int)status;
        }
    }
    return 125;
}
