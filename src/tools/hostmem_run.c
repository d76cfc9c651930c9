/*
 * hostmem-run - run a .NET program with its runtime's memory under an IHostMemoryManager, and print the books
 *
 * A native host like any other: it makes a manager and a host control, and starts the runtime in its own
 * process. What it needs for the report is prepared before, in static memory, since the report is made while
 * the process dies.
 */
#include <wchar.h>

#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>

#include "tools/options.h"
#include "tools/report.h"
#include "tools/run_framework.h"
#include "tools/run_hostfxr.h"

static struct options options;
static struct program program;
static struct hostfxr_runtime runtime;
static hostmem_manager *manager; /* NULL: --raw */
static HANDLE report_file;
static struct report report;
static struct writer writer;

static bool is_owned(const void *base)
{
    return manager && hostmem_owns(manager, base) == S_OK;
}

/* The last thing that happens. On the thread that ends the process, whatever state that is in. */
static void report_write(const struct ending *ending)
{
    report.program = program.assembly;
    report.runtime = runtime.path;
    report.runtime_version = runtime.version;
    report.ending = *ending;
    if (manager)
        books_read(&report.books, manager);
    report.bridge.size = sizeof report.bridge;
    hostmem_bridge_get_statistics(&report.bridge);
    process_map_read(&report.process, is_owned, ending->threads_are_gone);
    writer_open(&writer, report_file);
    if (options.json)
        report_json(&writer, &report);
    else
        report_text(&writer, &report);
    if (options.report)
        CloseHandle(report_file);
}

/* --report is opened first: a report that cannot be written is better known before the program has run. */
static bool report_open(void)
{
    report_file = GetStdHandle(STD_ERROR_HANDLE);
    if (!options.report)
        return true;
    report_file = CreateFileW(options.report, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS, 0, NULL);
    if (report_file != INVALID_HANDLE_VALUE)
        return true;
    complain(L"%ls: the report cannot be written there (Windows error %lu)", options.report, GetLastError());
    return false;
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
    if (options.any_runtime) {
        complain(L"%ls: is a .NET Framework assembly; --any-runtime is for .NET programs", program.assembly);
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

int wmain(int argc, wchar_t **argv)
{
    IHostControl *control = NULL;

    switch (options_read(&options, argc, argv)) {
    case OPTIONS_DONE:
        return 0;
    case OPTIONS_WRONG:
        return STATUS_USAGE;
    case OPTIONS_RUN:
        break;
    }
    if (!program_find(&program, options.program))
        return STATUS_FAILED;
    if (!framework_options_fit())
        return STATUS_USAGE;
    if (!report_open())
        return STATUS_FAILED;

    report.mode = program.kind == PROGRAM_FRAMEWORK ? REPORT_FRAMEWORK : REPORT_BRIDGE;
    if (options.raw)
        report.mode = REPORT_RAW;
    if (!options.raw) {
        HRESULT hr = hostmem_create(NULL, &manager);
        if (hr == S_OK)
            hr = hostmem_create_host_control(manager, NULL, &control);
        if (hr != S_OK) {
            complain(L"the memory manager cannot be made (0x%08lx)", (unsigned long)hr);
            return STATUS_FAILED;
        }
    }
    process_map_prepare();
    ending_prepare(report_write);
    if (program.kind == PROGRAM_FRAMEWORK)
        return run_framework(&program, options.method, options.argc ? options.argv[0] : L"", control,
                             options.mscoree);
    return run_hostfxr(&program, options.argc, options.argv, control, options.any_runtime, &runtime);
}
