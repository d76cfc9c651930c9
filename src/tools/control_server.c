/*
 * control_server.c - see control_server.h
 *
 * The pipe has one instance, made as the first of its name: whoever has taken the name before makes --control fail, and
 * nobody can add an instance later.  An asker who says nothing, or does not take the answer, is left after its time.
 */
#include "tools/control_server.h"

#include <stdatomic.h>
#include <string.h>

#include "tools/control_access.h"
#include "tools/control_pipe.h"
#include "tools/control_text.h"
#include "tools/writer.h"

enum { BUFFER = 4096, END_MS = 1000 };

static struct control_pipe server;
static hostmem_manager *controlled;
static hostmem_limits in_force;
static void (*read_report)(struct report *report);
static struct report report;
static struct writer answer;
static atomic_bool has_set;

/* Who may change limits: the server, while it is at it; nobody, once the program's end has come. */
enum { IDLE, SETTING, ENDED };
static atomic_int phase;

static bool pipe_make(void)
{
    static struct control_access access;
    SECURITY_ATTRIBUTES security = {.nLength = sizeof security, .lpSecurityDescriptor = &access.descriptor};
    wchar_t name[CONTROL_NAME];

    if (!control_access_make(&access))
        return false;
    control_pipe_name(name, GetCurrentProcessId());
    server.pipe =
        CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
                         PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1,
                         BUFFER, BUFFER, 0, &security);
    return server.pipe != INVALID_HANDLE_VALUE;
}

/* The next asker. */
static bool connect_next(void)
{
    OVERLAPPED overlapped = {.hEvent = server.event};
    DWORD done;

    if (ConnectNamedPipe(server.pipe, &overlapped) || GetLastError() == ERROR_PIPE_CONNECTED)
        return true;
    return GetLastError() == ERROR_IO_PENDING && GetOverlappedResult(server.pipe, &overlapped, &done, TRUE);
}

static bool answer_send(void *deadline, const char *bytes, unsigned length)
{
    return control_pipe_write(&server, bytes, length, *(const ULONGLONG *)deadline);
}

static void answer_error(const char *what, const char *why)
{
    writer_text(&answer, "error ");
    writer_text(&answer, what);
    writer_text(&answer, why);
}

static void answer_report(void)
{
    read_report(&report);
    writer_text(&answer, "ok\n");
    report_json_accounting(&answer, &report);
    report_json_process(&answer, &report);
    accounting_free(&report.accounting);
}

/* What is not named stays as it was given, so that a default goes on following the figure that it comes from. */
static hostmem_limits changed(const struct control_request *request)
{
    hostmem_limits limits = in_force;
    uint64_t *const fields[CONTROL_FIGURES] = {
        [CONTROL_LIMIT] = &limits.limit,
        [CONTROL_HEAP_LIMIT] = &limits.heap_limit,
        [CONTROL_MARGIN] = &limits.margin,
        [CONTROL_SOFT] = &limits.soft,
        [CONTROL_PROCESS_SOFT] = &limits.process_soft,
        [CONTROL_FAIL_AFTER] = &limits.fail_after,
    };

    for (unsigned which = 0; which < CONTROL_FIGURES; which++)
        if (request->figure[which])
            *fields[which] = request->figure[which];
    return limits;
}

/* Would nothing keep the heap to a limit? */
static bool heap_is_unknown(void)
{
    hostmem_bridge_statistics bridge = {.size = sizeof bridge};

    return hostmem_bridge_get_statistics(&bridge) == S_OK && bridge.state & HOSTMEM_BRIDGE_HEAP_UNKNOWN;
}

static void answer_limits(const struct control_request *request)
{
    const hostmem_limits limits = changed(request);
    hostmem_limits wanted = limits;
    int expected = IDLE;

    /* No mark, whatever the limit is and comes to be: memory is low there, and not before. */
    if (wanted.soft == HOSTMEM_UNLIMITED)
        wanted.soft = wanted.limit;
    if (heap_is_unknown()) {
        answer_error("what its collector takes for its heap is not recognised", ": no limit would keep it");
        return;
    }
    if (!atomic_compare_exchange_strong(&phase, &expected, SETTING)) {
        answer_error("the program has ended", "");
        return;
    }
    const HRESULT hr = hostmem_set_limits(controlled, &wanted);
    if (hr == S_OK) {
        in_force = limits;
        atomic_store(&has_set, true);
    }
    atomic_store(&phase, IDLE);
    if (hr == S_OK) {
        writer_text(&answer, "ok\n");
        return;
    }
    answer_error("these limits make no sense", "; nothing was changed (");
    writer_hex(&answer, (uint32_t)hr, 8);
    writer_text(&answer, ")");
}

static void serve_one(void)
{
    struct control_request request;
    char line[CONTROL_LINE];
    DWORD length = 0, more;
    ULONGLONG deadline = GetTickCount64() + CONTROL_LINE_MS;

    do {
        more = control_pipe_read(&server, line + length, sizeof line - length, deadline);
        length += more;
    } while (more && length < sizeof line && line[length - 1] != '\n');

    const char *wrong = control_read(&request, line, length);
    deadline = GetTickCount64() + CONTROL_ANSWER_MS;
    writer_open_sender(&answer, answer_send, &deadline);
    if (wrong)
        answer_error("not understood: ", wrong);
    else if (atomic_load(&phase) == ENDED)
        answer_error("the program has ended", "");
    else if (request.get)
        answer_report();
    else
        answer_limits(&request);
    writer_flush(&answer);
    /* The end, and then the asker's farewell, whatever else it has said: what it has not read goes with the connection. */
    if (!answer.error && answer_send(&deadline, "", 1))
        while (GetTickCount64() < deadline && control_pipe_read(&server, line, sizeof line, deadline) != 0)
            ;
}

static DWORD WINAPI server_thread(void *context)
{
    (void)context;
    while (true) {
        if (connect_next())
            serve_one();
        else
            Sleep(10); /* somebody came and went */
        DisconnectNamedPipe(server.pipe);
    }
    return 0;
}

/* No complaint, to which it might be added who has started us. */
static void say_taking(void)
{
    static struct writer say;

    writer_open(&say, GetStdHandle(STD_ERROR_HANDLE));
    writer_text_number(&say, "hostmem-run: takes new limits: hostmem-run --set ", GetCurrentProcessId());
    writer_text(&say, " --limit SIZE\n");
    writer_flush(&say);
}

bool control_start(hostmem_manager *manager, const hostmem_limits *limits,
                   void (*read)(struct report *report))
{
    controlled = manager;
    in_force = *limits;
    read_report = read;
    if (!pipe_make()) {
        const DWORD error = GetLastError();
        if (error == ERROR_ACCESS_DENIED || error == ERROR_PIPE_BUSY)
            complain(L"--control: another process has taken the name of the pipe (Windows error %lu)", error);
        else
            complain(L"--control: the pipe cannot be made (Windows error %lu)", error);
        return false;
    }
    server.event = CreateEventW(NULL, TRUE, FALSE, NULL);
    HANDLE thread = server.event ? CreateThread(NULL, 0, server_thread, NULL, 0, NULL) : NULL;
    if (!thread) {
        complain(L"there is no memory for a thread that takes new limits");
        return false;
    }
    CloseHandle(thread);
    say_taking();
    return true;
}

bool control_has_set(void)
{
    return atomic_load(&has_set);
}

void control_end(bool threads_are_gone)
{
    int expected = IDLE;

    for (unsigned i = 0; i < END_MS && !atomic_compare_exchange_strong(&phase, &expected, ENDED); i++) {
        if (expected == ENDED || threads_are_gone)
            return;
        expected = IDLE;
        Sleep(1);
    }
}
