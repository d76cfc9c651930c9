/*
 * control_pipe.c - see control_pipe.h
 */
#include "tools/control_pipe.h"

#include <wchar.h>

void control_pipe_name(wchar_t name[CONTROL_NAME], DWORD process)
{
    swprintf(name, CONTROL_NAME, L"\\\\.\\pipe\\hostmem-run-%lu", process);
}

static DWORD time_until(ULONGLONG deadline)
{
    const ULONGLONG now = GetTickCount64();
    return now < deadline ? (DWORD)(deadline - now) : 0;
}

/* For what was begun with `overlapped`; false: it is not under way any more. */
static bool wait_for(const struct control_pipe *end, OVERLAPPED *overlapped, DWORD *done, ULONGLONG deadline)
{
    if (WaitForSingleObject(end->event, time_until(deadline)) == WAIT_OBJECT_0)
        return GetOverlappedResult(end->pipe, overlapped, done, FALSE);
    CancelIoEx(end->pipe, overlapped);
    /* It may have come to its end meanwhile; the memory is ours again in any case. */
    if (GetOverlappedResult(end->pipe, overlapped, done, TRUE))
        return true;
    SetLastError(ERROR_TIMEOUT);
    return false;
}

DWORD control_pipe_read(const struct control_pipe *end, void *bytes, DWORD size, ULONGLONG deadline)
{
    OVERLAPPED overlapped = {.hEvent = end->event};
    DWORD done = 0;

    if (!ReadFile(end->pipe, bytes, size, NULL, &overlapped) && GetLastError() != ERROR_IO_PENDING)
        return 0;
    return wait_for(end, &overlapped, &done, deadline) ? done : 0;
}

bool control_pipe_write(const struct control_pipe *end, const void *bytes, DWORD size, ULONGLONG deadline)
{
    const char *at = bytes;

    while (size) {
        OVERLAPPED overlapped = {.hEvent = end->event};
        DWORD done = 0;
        if (!WriteFile(end->pipe, at, size, NULL, &overlapped) && GetLastError() != ERROR_IO_PENDING)
            return false;
        if (!wait_for(end, &overlapped, &done, deadline) || done == 0)
            return false;
        at += done;
        size -= done;
    }
    return true;
}
