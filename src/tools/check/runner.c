/*
 * runner.c - see runner.h
 */
#include "tools/check/runner.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum { POLL_MS = 20, LINE = ROW_TEXT + 200 };

/* "10" of "10.0.12", "4" of "v4.0.30319". */
static unsigned major_of(const wchar_t *version)
{
    return (unsigned)wcstoul(version + (*version == L'v'), NULL, 10);
}

struct instance instance_of(const struct part *part, const wchar_t *argument)
{
    struct instance instance = {.part = part};
    char major[16] = "";

    wcsncpy(instance.argument, argument, ARRAYSIZE(instance.argument) - 1);
    if (*argument)
        snprintf(major, sizeof major, "%u", major_of(argument));
    const char *hole = strstr(part->name, "%s");
    if (hole)
        snprintf(instance.name, sizeof instance.name, "%.*s%s%s", (int)(hole - part->name), part->name, major,
                 hole + 2);
    else
        snprintf(instance.name, sizeof instance.name, "%s", part->name);
    return instance;
}

static unsigned row_count(const struct part *part)
{
    unsigned count = 0;

    while (part->rows[count].id)
        count++;
    return count;
}

static void line_take(const struct part *part, struct outcome_rows *outcome, char *line)
{
    char *verdict = strchr(line, '\t');

    if (!verdict || !verdict[1] || verdict[2] != '\t')
        return;
    *verdict = 0;
    for (unsigned i = 0; part->rows[i].id; i++) {
        struct outcome_row *row = &outcome->rows[i];
        const bool rest = strcmp(line, ROW_THE_REST) == 0;
        if (row->verdict || (!rest && strcmp(line, part->rows[i].id) != 0))
            continue;
        row->verdict = (enum verdict)verdict[1];
        snprintf(row->text, sizeof row->text, "%s", strcmp(verdict + 3, " ") ? verdict + 3 : "");
        if (!rest)
            return;
    }
}

/* Whole lines of what has come so far. */
struct reader {
    char line[LINE];
    unsigned length;
};

static void bytes_take(struct reader *reader, const struct part *part, struct outcome_rows *outcome,
                       const char *bytes, DWORD count)
{
    for (DWORD i = 0; i < count; i++) {
        if (bytes[i] != '\n') {
            if (reader->length < LINE - 1)
                reader->line[reader->length++] = bytes[i];
            continue;
        }
        reader->line[reader->length] = 0;
        reader->length = 0;
        line_take(part, outcome, reader->line);
    }
}

static bool pipe_drain(HANDLE pipe, struct reader *reader, const struct part *part,
                       struct outcome_rows *outcome)
{
    char bytes[4096];
    DWORD there = 0, read = 0;

    if (!PeekNamedPipe(pipe, NULL, 0, NULL, &there, NULL) || there == 0 ||
        !ReadFile(pipe, bytes, sizeof bytes, &read, NULL))
        return false;
    bytes_take(reader, part, outcome, bytes, read);
    return true;
}

/* In a job with the part's limit, if it has one.  False: it cannot be made; the last error tells why. */
static bool job_enter(const struct part *part, HANDLE process, HANDLE *job)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {
        .BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_JOB_MEMORY | JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
        .JobMemoryLimit = (SIZE_T)part->job_limit};

    if (part->job_limit == 0)
        return true;
    *job = CreateJobObjectW(NULL, NULL);
    return *job && SetInformationJobObject(*job, JobObjectExtendedLimitInformation, &limits, sizeof limits) &&
           AssignProcessToJobObject(*job, process);
}

/* Only these handles go to the child: its end of the pipe, and the bin. */
static bool process_start(const struct instance *instance, const struct check *check, HANDLE output,
                          PROCESS_INFORMATION *process)
{
    static wchar_t line[4 * CHECK_PATH];
    wchar_t own[CHECK_PATH];
    SECURITY_ATTRIBUTES inherit = {.nLength = sizeof inherit, .bInheritHandle = TRUE};
    HANDLE bin = CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                             &inherit, OPEN_EXISTING, 0, NULL);
    STARTUPINFOW start = {.cb = sizeof start,
                          .dwFlags = STARTF_USESTDHANDLES,
                          .hStdInput = bin,
                          .hStdOutput = output,
                          .hStdError = bin};

    GetModuleFileNameW(NULL, own, CHECK_PATH);
    swprintf(line, ARRAYSIZE(line), L"\"%ls\" --part %hs \"%ls\" \"%ls\" \"%ls\"", own, instance->part->name,
             instance->argument, check->folder, check->mscoree);
    BOOL started = CreateProcessW(own, line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &start, process);
    DWORD error = GetLastError();
    CloseHandle(bin);
    SetLastError(error);
    return started;
}

/* What was not told has failed; and a row for the process. */
static void settle(struct outcome_rows *outcome, const char *why)
{
    const unsigned last = outcome->count - 1;

    for (unsigned i = 0; i < last; i++)
        if (!outcome->rows[i].verdict) {
            outcome->rows[i].verdict = ROW_FAILED;
            snprintf(outcome->rows[i].text, ROW_TEXT, "not reported: %s",
                     *why ? why : "the part ended before it");
        }
    outcome->rows[last].verdict = *why ? ROW_FAILED : ROW_OK;
    snprintf(outcome->rows[last].text, ROW_TEXT, "%s", why);
}

void runner_run(const struct instance *instance, const struct check *check, DWORD milliseconds,
                struct outcome_rows *outcome)
{
    SECURITY_ATTRIBUTES inherit = {.nLength = sizeof inherit, .bInheritHandle = TRUE};
    const ULONGLONG end = GetTickCount64() + milliseconds;
    PROCESS_INFORMATION process = {0};
    struct reader reader = {.length = 0};
    HANDLE input = NULL, output = NULL, job = NULL;
    char why[ROW_TEXT] = "";
    DWORD code = 0;

    memset(outcome, 0, sizeof *outcome);
    outcome->count = row_count(instance->part) + 1;
    if (!CreatePipe(&input, &output, &inherit, 0) || !SetHandleInformation(input, HANDLE_FLAG_INHERIT, 0) ||
        !process_start(instance, check, output, &process)) {
        snprintf(why, sizeof why, "its process cannot be started: error %lu", GetLastError());
    } else if (!job_enter(instance->part, process.hProcess, &job)) {
        snprintf(why, sizeof why, "the job cannot be made: error %lu", GetLastError());
        TerminateProcess(process.hProcess, 1);
    } else {
        ResumeThread(process.hThread);
        bool alive = true;
        while (alive && GetTickCount64() < end) {
            alive = WaitForSingleObject(process.hProcess, POLL_MS) == WAIT_TIMEOUT;
            while (pipe_drain(input, &reader, instance->part, outcome))
                ;
        }
        if (alive) {
            TerminateProcess(process.hProcess, 1);
            snprintf(why, sizeof why, "it did not end within %lu s", milliseconds / 1000);
        } else if (GetExitCodeProcess(process.hProcess, &code) && code != PART_DONE) {
            snprintf(why, sizeof why, "it ended with 0x%lx", code);
        }
    }
    HANDLE *const handles[] = {&process.hThread, &process.hProcess, &job, &input, &output};
    for (unsigned i = 0; i < ARRAYSIZE(handles); i++)
        if (*handles[i])
            CloseHandle(*handles[i]);
    settle(outcome, why);
}

int runner_child(const struct part *const *parts, unsigned count, int argc, wchar_t **argv)
{
    static struct check check;
    char name[32];

    if (argc != 4)
        return 2;
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    snprintf(name, sizeof name, "%ls", argv[0]);
    wcsncpy(check.argument, argv[1], ARRAYSIZE(check.argument) - 1);
    wcsncpy(check.folder, argv[2], CHECK_PATH - 1);
    wcsncpy(check.mscoree, argv[3], CHECK_PATH - 1);
    for (unsigned i = 0; i < count; i++)
        if (strcmp(parts[i]->name, name) == 0) {
            parts[i]->run(&check);
            return PART_DONE;
        }
    return 2;
}
