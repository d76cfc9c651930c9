/*
 * control_pipe.h - the named pipe between a hostmem-run that is controlled and the one that asks
 *
 * Both ends may be up to no good, or stopped for ever: every transfer has a limit of time.
 */
#ifndef HOSTMEM_TOOLS_CONTROL_PIPE_H
#define HOSTMEM_TOOLS_CONTROL_PIPE_H

#include <stdbool.h>

#include <windows.h>

/* In milliseconds: a line that was begun must be whole, an answer taken, a pipe that is busy with somebody else free. */
enum { CONTROL_LINE_MS = 2000, CONTROL_ANSWER_MS = 10000, CONTROL_BUSY_MS = 15000 };

/* One end, opened for overlapped work by one thread. */
struct control_pipe {
    HANDLE pipe, event;
};

/* By process. */
enum { CONTROL_NAME = 64 };
void control_pipe_name(wchar_t name[CONTROL_NAME], DWORD process);

/* Reads what comes, one byte at least and `size` at most; writes all of it.  0 and false: broken, or not by `deadline` (of
 * GetTickCount64); the last error tells. */
DWORD control_pipe_read(const struct control_pipe *end, void *bytes, DWORD size, ULONGLONG deadline);
bool control_pipe_write(const struct control_pipe *end, const void *bytes, DWORD size, ULONGLONG deadline);

#endif
