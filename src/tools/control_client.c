/*
 * control_client.c - see control_client.h
 *
 * The name of a pipe proves nothing: the process at its other end has to be the one that was meant, and may not act in our
 * name.
 */
#include "tools/control_client.h"

#include <string.h>

#include "tools/control_pipe.h"
#include "tools/control_text.h"
#include "tools/run_hostfxr.h"
#include "tools/writer.h"

enum { ERROR_CHARS = 200 };

static struct control_request request_of(const struct options *options)
{
    struct control_request request = {.get = options->get != 0};

    request.figure[CONTROL_LIMIT] = options->limit;
    request.figure[CONTROL_HEAP_LIMIT] = options->heap_limit;
    request.figure[CONTROL_MARGIN] = options->margin;
    request.figure[CONTROL_SOFT] = options->soft;
    request.figure[CONTROL_PROCESS_SOFT] = options->process_soft;
    request.figure[CONTROL_FAIL_AFTER] = options->fail_after;
    return request;
}

static void say_not_connected(DWORD process, DWORD error)
{
    switch (error) {
    case ERROR_FILE_NOT_FOUND:
        complain(L"%lu: no hostmem-run with --control has this process id", process);
        break;
    case ERROR_ACCESS_DENIED:
        complain(L"%lu: takes limits from its own user only, elevated if it is", process);
        break;
    case ERROR_PIPE_BUSY:
        complain(L"%lu: is busy with somebody else", process);
        break;
    default:
        complain(L"%lu: cannot be asked (Windows error %lu)", process, error);
    }
}

/* True: `end` is a pipe to that process. */
static bool connect_to(struct control_pipe *end, DWORD process)
{
    const ULONGLONG deadline = GetTickCount64() + CONTROL_BUSY_MS;
    wchar_t name[CONTROL_NAME];
    ULONG other;

    control_pipe_name(name, process);
    for (;;) {
        end->pipe = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                                FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS, NULL);
        if (end->pipe != INVALID_HANDLE_VALUE)
            break;
        if (GetLastError() != ERROR_PIPE_BUSY || GetTickCount64() >= deadline) {
            say_not_connected(process, GetLastError());
            return false;
        }
        WaitNamedPipeW(name, 100);
    }
    if (!GetNamedPipeServerProcessId(end->pipe, &other) || other != process) {
        complain(L"%lu: its pipe is another process's", process);
        CloseHandle(end->pipe);
        return false;
    }
    end->event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!end->event)
        complain(L"out of memory");
    return end->event != NULL;
}

/* The beginning of an answer, "ok" and a newline or "error ", and what of the error has been read. */
struct reading {
    char head[ERROR_CHARS + 1];
    unsigned length;
    bool ok, whole;
};

static bool is_error(const struct reading *reading)
{
    static const char error[] = "error ";
    return reading->length >= sizeof error - 1 && memcmp(reading->head, error, sizeof error - 1) == 0;
}

static void take(struct reading *reading, struct writer *out, char byte)
{
    if (reading->ok) {
        writer_text(out, (const char[]){byte, 0});
        return;
    }
    if (reading->length < ERROR_CHARS)
        reading->head[reading->length++] = byte >= ' ' || byte == '\n' ? byte : '?';
    reading->ok = reading->length == 3 && memcmp(reading->head, "ok\n", 3) == 0;
}

/* To the end, or as far as it comes. */
static void read_answer(const struct control_pipe *end, struct reading *reading, struct writer *out)
{
    const ULONGLONG deadline = GetTickCount64() + CONTROL_ANSWER_MS;
    char bytes[1024];
    DWORD count;

    while (!reading->whole && (count = control_pipe_read(end, bytes, sizeof bytes, deadline)) != 0)
        for (DWORD i = 0; i < count && !reading->whole; i++) {
            reading->whole = bytes[i] == 0;
            if (!reading->whole)
                take(reading, out, bytes[i]);
        }
    writer_flush(out);
}

int control_ask(const struct options *options)
{
    const DWORD process = (DWORD)(options->get ? options->get : options->set);
    const struct control_request request = request_of(options);
    static struct writer out;
    struct reading reading = {.length = 0};
    struct control_pipe end;
    char line[CONTROL_LINE];

    if (!connect_to(&end, process))
        return STATUS_FAILED;
    writer_open(&out, GetStdHandle(STD_OUTPUT_HANDLE));
    const DWORD length = (DWORD)control_write(&request, line);
    if (control_pipe_write(&end, line, length, GetTickCount64() + CONTROL_LINE_MS))
        read_answer(&end, &reading, &out);
    CloseHandle(end.pipe);
    if (reading.whole && reading.ok && !out.error)
        return 0;
    if (reading.whole && is_error(&reading))
        complain(L"%lu: %hs", process, reading.head + sizeof "error " - 1);
    else if (out.error)
        complain(L"%lu: its answer could not be written (Windows error %lu)", process, out.error);
    else
        complain(L"%lu: its answer broke off", process);
    return STATUS_FAILED;
}
