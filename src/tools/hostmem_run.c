/*
 * hostmem-run - run a .NET program with its runtime's memory under an IHostMemoryManager, and print its statistics
 *
 * A native host like any other: it makes a manager and a host control, and starts the runtime in its own
 * process. What it needs for the report is prepared before, in static memory, since the report is made while
 * the process dies.
 */
#include <wchar.h>

#include <windows.h>

#include <psapi.h>

#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>
#include <hostmem/trace.h>

#include "bridge/native_heap.h"
#include "tools/control_client.h"
#include "tools/control_server.h"
#include "tools/govern.h"
#include "tools/options.h"
#include "tools/process_map.h"
#include "tools/report.h"
#include "tools/run_framework.h"
#include "tools/run_hostfxr.h"

enum { MOMENTS = 3 };

/* MinGW-w64's start-up code, as MSYS2 builds it, puts file names in the place of `*` and `?`; those are the program's. */
int _dowildcard = 0;

static struct options options;
static struct program program;
static struct hostfxr_runtime runtime;
static hostmem_manager *manager; /* NULL: --raw */
static HANDLE report_file;
static wchar_t report_path[PATH_CHARS]; /* wherever the program has gone meanwhile; "": not known */
static struct report report;
static struct process_map process; /* --process */
static struct writer writer;

static bool is_owned(const void *base)
{
    return manager && hostmem_owns(manager, base) == S_OK;
}

/* By means that a dying process still has. */
static void say_lost(const wchar_t *file, const char *what, uint64_t error, bool is_result)
{
    static struct writer say;

    writer_open(&say, GetStdHandle(STD_ERROR_HANDLE));
    writer_text(&say, "hostmem-run: ");
    writer_wide(&say, file);
    writer_text(&say, ": the ");
    writer_text(&say, what);
    writer_text(&say, is_result ? " could not be written to its end ("
                                : " could not be written to its end (Windows error ");
    if (is_result)
        writer_hex(&say, error, 8);
    else
        writer_number(&say, error, 0);
    writer_text(&say, ")\n");
    writer_flush(&say);
}

static void trace_end(void)
{
    const HRESULT hr = options.trace ? hostmem_trace_stop(manager) : S_OK;
    if (FAILED(hr))
        say_lost(options.trace, "trace", (uint32_t)hr, true);
}

/* No report is to come: an empty one would tell nothing, or the wrong thing. */
static void report_discard(void)
{
    if (!options.report)
        return;
    bool is_file = GetFileType(report_file) == FILE_TYPE_DISK; /* not a pipe, not NUL */
    CloseHandle(report_file);
    if (is_file)
        DeleteFileW(report_path);
}

/* The accounting and the process, of the same moment if other threads let us have one in several tries. */
static void moment_read(void)
{
    for (unsigned i = 0; i < MOMENTS; i++) {
        if (manager) {
            accounting_read(&report.accounting, manager, ACCOUNTING_AT_END);
            process_map_claim(report.accounting.regions, PROCESS_REPORT);
        }
        process_map_read(&process, false);
        if (!manager || accounting_is_current(&report.accounting, manager))
            return;
    }
}

/* What it comes to in all, from Windows. */
static struct report_process_use process_use(void)
{
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof counters};

    K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters);
    return (struct report_process_use){{counters.PagefileUsage, counters.PeakPagefileUsage},
                                       {counters.WorkingSetSize, counters.PeakWorkingSetSize}};
}

/* What the program runs on, and what it has come to. */
static void report_read_head(struct report *to)
{
    to->program = program.assembly;
    to->runtime = runtime.path;
    to->runtime_version = runtime.version;
    to->process_use = process_use();
}

static void report_read_rest(struct report *to)
{
    to->bridge.size = sizeof to->bridge;
    hostmem_bridge_get_statistics(&to->bridge);
    if (runtime.hard_limit != 0 && to->bridge.collector_limit.hard_limit == runtime.hard_limit)
        to->bridge.collector_limit.owner = HOSTMEM_BRIDGE_OF_HOST; /* the program's by name, and set by us */
    to->limits.size = sizeof to->limits;
    if (manager)
        hostmem_get_limits(manager, &to->limits);
}

/* Of a program that goes on; on the thread that serves --get. */
static void report_read_now(struct report *now)
{
    report_read_head(now);
    now->mode = report.mode;
    now->ending.how = "running";
    now->watched = watch_so_far();
    accounting_read(&now->accounting, manager, ACCOUNTING_NOW);
    report_read_rest(now);
}

/* The last thing that happens. On the thread that ends the process, whatever state that is in. */
static void report_write(const struct ending *ending)
{
    control_end(ending->threads_are_gone);
    if (manager)
        report.watched = watch_end(ending->threads_are_gone);
    trace_end();
    report_read_head(&report);
    report.ending = *ending;
    report.regions = options.regions;
    report.process = options.process ? &process : NULL;
    if (options.process)
        process_map_claim(hm_native_heap_map(), PROCESS_METADATA);
    if (options.process && !ending->threads_are_gone)
        moment_read();
    else if (manager)
        accounting_read(&report.accounting, manager, ACCOUNTING_AT_END);
    report_read_rest(&report);
    if (manager) {
        accounting_verify(&report.accounting, manager);
        if (!govern_started(&options, !control_has_set(), ending, &report.accounting.statistics,
                            &report.bridge) ||
            !govern_ran(&options, ending, &report.bridge)) {
            report_discard();
            TerminateProcess(GetCurrentProcess(), STATUS_FAILED);
        }
        govern_ending(&options, &report.limits, ending, &report.accounting.statistics, &report.bridge);
    }
    govern_unknown(&options, &report.bridge);
    writer_open(&writer, report_file);
    (options.json ? report_json_accounting : report_text_accounting)(&writer, &report);
    if (options.process && ending->threads_are_gone) { /* last: it may end us */
        process_map_claim(report.accounting.regions, PROCESS_REPORT);
        process_map_read(&process, true);
    }
    (options.json ? report_json_process : report_text_process)(&writer, &report);
    if (options.report) {
        CloseHandle(report_file);
        if (writer.error)
            say_lost(options.report, "report", writer.error, false);
    }
}

/* True: said. */
static bool overwrites_program(HANDLE file, const wchar_t *path, const wchar_t *option)
{
    if (!program_has_file(&program, file))
        return false;
    complain(L"%ls: is a file of the program itself, which %ls would overwrite", path, option);
    return true;
}

/*
 * --report is opened first: a report that cannot be written is better known before the program has run.
 * Opened once, since it could be a pipe, and emptied only when it is known not to be the program. Returns 0,
 * or the exit status after having told the user.
 */
static int report_open(void)
{
    report_file = GetStdHandle(STD_ERROR_HANDLE);
    if (!options.report)
        return 0;
    if (GetFullPathNameW(options.report, PATH_CHARS, report_path, NULL) >= PATH_CHARS)
        report_path[0] = 0;
    report_file = CreateFileW(options.report, GENERIC_WRITE, FILE_SHARE_READ, NULL, OPEN_ALWAYS, 0, NULL);
    if (report_file == INVALID_HANDLE_VALUE) {
        complain(L"%ls: the report cannot be written there (Windows error %lu)", options.report,
                 GetLastError());
        return STATUS_FAILED;
    }
    if (overwrites_program(report_file, options.report, L"--report"))
        return STATUS_USAGE;
    SetEndOfFile(report_file); /* a pipe has no end */
    return 0;
}

/* No program has run that there is something to report of; what is in the trace may say why. */
static void leave(void)
{
    if (manager)
        trace_end();
    report_discard();
    watch_leave();
}

/* Under limits that nothing keeps a program had better not run; the user has been told. */
static void end_ungoverned(void)
{
    leave();
    TerminateProcess(GetCurrentProcess(), STATUS_FAILED);
}

/* As --report: neither a file that cannot be written nor one of the program. */
static int trace_open(void)
{
    const hostmem_trace_options trace = {
        .size = sizeof trace,
        .flags = (options.trace_all ? HOSTMEM_TRACE_BLOCKS | HOSTMEM_TRACE_PROTECT : 0) |
                 (options.stacks ? HOSTMEM_TRACE_STACKS : 0),
        .path = options.trace,
        .lane_events = (uint32_t)options.trace_events};
    HANDLE file = CreateFileW(options.trace, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (file != INVALID_HANDLE_VALUE) {
        const bool overwrites = overwrites_program(file, options.trace, L"--trace");
        CloseHandle(file);
        if (overwrites)
            return STATUS_USAGE;
    }
    HRESULT hr = hostmem_trace_start(manager, &trace);
    if (hr == S_OK)
        return 0;
    complain(L"%ls: the trace cannot be written there (0x%08lx)", options.trace, (unsigned long)hr);
    return STATUS_FAILED;
}

static void HOSTMEM_CALL bridge_event(const hostmem_bridge_event *event, void *context)
{
    (void)context;
    if (govern_heap(&options, control_has_set(), event))
        return;
    end_ungoverned();
}

static bool framework_options_fit(void)
{
    if (program.kind == PROGRAM_DOTNET && (options.method || options.mscoree)) {
        complain(L"%ls: is a .NET program; --method and --mscoree are for .NET Framework assemblies",
                 program.assembly);
        return false;
    }
    if (program.kind == PROGRAM_DOTNET)
        return true;
    if (options.known_runtime || options.native_heap) {
        complain(L"%ls: is a .NET Framework assembly; %ls is for .NET programs", program.assembly,
                 options.known_runtime ? L"--known-runtime" : L"--native-heap");
        return false;
    }
    if (!options.method) {
        complain(
            L"%ls: is a .NET Framework assembly, of which only a method static int M(string) can be run: "
            L"name it with --method Namespace.Type.Method",
            program.assembly);
        return false;
    }
    if (options.argc > 1) {
        complain(L"a .NET Framework method takes one argument, not %d", options.argc);
        return false;
    }
    return true;
}

static void HOSTMEM_CALL manager_event(const hostmem_event *event, void *context)
{
    (void)context;
    if (control_has_set() || govern_start(&options, event)) /* others do not end it */
        return;
    end_ungoverned();
}

static HRESULT make_manager(hostmem_limits *limits)
{
    hostmem_options manager_options = {.size = sizeof manager_options, .event = manager_event};

    if (govern_limits(&options, limits))
        manager_options.limits = limits;
    return hostmem_create(&manager_options, &manager);
}

int wmain(int argc, wchar_t **argv)
{
    static const wchar_t runs[] = L"HOSTMEM_RUN_PROGRAM"; /* what the hostmem-run above us runs */
    static wchar_t started_by[PATH_CHARS];
    IHostControl *control = NULL;

    if (GetEnvironmentVariableW(runs, started_by, PATH_CHARS) != 0)
        complain_started_by(started_by);
    switch (options_read(&options, argc, argv)) {
    case OPTIONS_DONE:
        return 0;
    case OPTIONS_WRONG:
        return STATUS_USAGE;
    case OPTIONS_FAILED:
        return STATUS_FAILED;
    case OPTIONS_ASK:
        return control_ask(&options);
    case OPTIONS_RUN:
        break;
    }
    if (!program_find(&program, options.program))
        return STATUS_FAILED;
    if (!framework_options_fit())
        return STATUS_USAGE;
    SetEnvironmentVariableW(runs, program.assembly);
    int status = report_open();
    if (status != 0)
        return status;

    status = STATUS_FAILED;
    report.mode = program.kind == PROGRAM_FRAMEWORK ? REPORT_FRAMEWORK : REPORT_BRIDGE;
    if (options.raw)
        report.mode = REPORT_RAW;
    if (!options.raw) {
        hostmem_limits limits;
        HRESULT hr = make_manager(&limits);
        if (hr == S_OK)
            hr = hostmem_create_host_control(manager, NULL, &control);
        if (hr != S_OK) {
            complain(L"the memory manager cannot be made (0x%08lx)", (unsigned long)hr);
            goto report;
        }
        if (options.trace && (status = trace_open()) != 0)
            goto report;
        status = STATUS_FAILED;
        const bool is_watched = report.mode == REPORT_BRIDGE || options.watch || options.sample;
        if (is_watched &&
            !watch_start(manager, program.assembly, options.watch, options.trace, options.sample)) {
            complain(L"there is no memory for a thread to watch the program");
            goto report;
        }
        if (options.control && !control_start(manager, &limits, report_read_now))
            goto report;
    }
    if (options.process) {
        process_map_prepare(is_owned);
        process_map_claim(manager, PROCESS_METADATA);
        process_map_claim(control, PROCESS_METADATA);
    }
    const hostmem_bridge_options bridge = {.size = sizeof bridge,
                                           .flags = (options.known_runtime ? HOSTMEM_BRIDGE_KNOWN_ONLY : 0) |
                                                    (options.native_heap ? HOSTMEM_BRIDGE_HEAP : 0),
                                           .event = bridge_event};
    ending_prepare(report_write);
    if (program.kind == PROGRAM_FRAMEWORK)
        status = run_framework(&program, options.method, options.argc ? options.argv[0] : L"", control,
                               manager, options.mscoree);
    else
        status = run_hostfxr(&program, options.argc, options.argv, control, &bridge,
                             govern_least_limit(&options), &runtime);
report:
    if (ending_cancel())
        leave();
    return status;
}
