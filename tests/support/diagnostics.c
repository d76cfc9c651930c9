/*
 * diagnostics SECONDS    what a diagnostics tool asks first: the process information of the one .NET process that has a
 *                        diagnostics port; says how many bytes came back
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <windows.h>
#include <psapi.h>

/* The header of the port's protocol: magic, size of the whole, command set, command, reserved. */
struct header {
    char magic[14];
    unsigned short size;
    unsigned char set, command;
    unsigned short reserved;
};

enum { SET_PROCESS = 4, PROCESS_INFO = 0, SET_SERVER = 0xff, OK = 0 };

static HANDLE port_open(void)
{
    DWORD processes[1024], size = 0;

    EnumProcesses(processes, sizeof processes, &size);
    for (unsigned i = 0; i < size / sizeof *processes; ++i) {
        wchar_t name[64];
        swprintf(name, sizeof name / sizeof *name, L"\\\\.\\pipe\\dotnet-diagnostic-%lu", processes[i]);
        HANDLE port = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
        if (port != INVALID_HANDLE_VALUE)
            return port;
    }
    return INVALID_HANDLE_VALUE;
}

int wmain(int argc, wchar_t **argv)
{
    const struct header ask = {"DOTNET_IPC_V1", sizeof ask, SET_PROCESS, PROCESS_INFO, 0};
    unsigned char answer[4096];
    DWORD written = 0, read = 0;
    HANDLE port = INVALID_HANDLE_VALUE;

    for (int tenths = argc > 1 ? 10 * _wtoi(argv[1]) : 0; tenths > 0 && port == INVALID_HANDLE_VALUE;
         --tenths) {
        Sleep(100);
        port = port_open();
    }
    if (port == INVALID_HANDLE_VALUE)
        return fprintf(stderr, "diagnostics: nobody has a port\n"), 1;
    if (!WriteFile(port, &ask, sizeof ask, &written, NULL) ||
        !ReadFile(port, answer, sizeof answer, &read, NULL))
        return fprintf(stderr, "diagnostics: no answer (error %lu)\n", GetLastError()), 1;
    struct header got;
    memcpy(&got, answer, sizeof got);
    if (read < sizeof got || memcmp(got.magic, ask.magic, sizeof got.magic) || got.set != SET_SERVER ||
        got.command != OK)
        return fprintf(stderr, "diagnostics: a strange answer\n"), 1;
    printf("diagnostics: %u bytes\n", got.size);
    return 0;
}
