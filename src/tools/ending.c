/*
 * ending.c - see ending.h
 *
 * The callback runs once. Of several threads that end the process at the same time the first one runs it, the
 * others wait for it, but not for ever: a thread that waits may hold a lock that the callback needs.
 *
 * Windows calls a program's TLS callback when the process exits; Wine 8.0 does not, but both call FLS
 * callbacks on the exiting thread. So every thread gets a value for our FLS index, and the callback of an
 * ordinary thread exit is told apart by RtlDllShutdownInProgress.
 *
 * What replaces an import chains to what the import held, which may be somebody's replacement as well.
 */
#include "tools/ending.h"

#include <stdatomic.h>

#include "bridge/imports.h"
#include "maps/compiler.h"

enum { PATIENCE_MS = 20000 };

static void (*callback)(const struct ending *ending);
static atomic_bool expected, begun, out_of_memory;
static _Atomic DWORD beginner; /* thread that runs the callback */
static HANDLE done;            /* set when the callback has returned */
static DWORD fls_index = FLS_OUT_OF_INDEXES;
static BOOLEAN(WINAPI *shutdown_in_progress)(void);

/* The filter that the runtime set: its answer counts. */
static _Atomic(LPTOP_LEVEL_EXCEPTION_FILTER) runtime_filter;

static void end(const char *how, bool has_status, uint32_t status, bool threads_are_gone)
{
    struct ending ending = {how, has_status, status, threads_are_gone, atomic_load(&out_of_memory)};

    if (!atomic_load(&expected))
        return;
    if (atomic_exchange(&begun, true)) {
        if (!threads_are_gone && atomic_load(&beginner) != GetCurrentThreadId())
            WaitForSingleObject(done, PATIENCE_MS);
        return;
    }
    atomic_store(&beginner, GetCurrentThreadId());
    callback(&ending);
    SetEvent(done);
}

/* A managed exception is raised with its HRESULT as first argument. */
enum { MANAGED_EXCEPTION = (int)0xE0434352 };

static void note_exception(const EXCEPTION_RECORD *record)
{
    if (record && (int)record->ExceptionCode == MANAGED_EXCEPTION && record->NumberParameters > 0 &&
        (HRESULT)record->ExceptionInformation[0] == E_OUTOFMEMORY)
        atomic_store(&out_of_memory, true);
}

enum { EXIT_PROCESS, TERMINATE_PROCESS, RAISE_FAIL_FAST, SET_FILTER, EXIT_COUNT };

static struct import exits[EXIT_COUNT];

static void WINAPI exit_process(UINT status)
{
    void(WINAPI * original)(UINT) = exits[EXIT_PROCESS].original;

    end("ExitProcess", true, status, false);
    original(status);
}

static BOOL WINAPI terminate_process(HANDLE process, UINT status)
{
    BOOL(WINAPI * original)(HANDLE, UINT) = exits[TERMINATE_PROCESS].original;

    if (process == GetCurrentProcess() || GetProcessId(process) == GetCurrentProcessId())
        end("TerminateProcess", true, status, false);
    return original(process, status);
}

static void WINAPI raise_fail_fast(EXCEPTION_RECORD *record, CONTEXT *context, DWORD flags)
{
    void(WINAPI * original)(EXCEPTION_RECORD *, CONTEXT *, DWORD) = exits[RAISE_FAIL_FAST].original;

    note_exception(record);
    end("fail fast", record != NULL, record ? record->ExceptionCode : 0, false);
    original(record, context, flags);
}

static LONG WINAPI top_level_filter(EXCEPTION_POINTERS *exception)
{
    LPTOP_LEVEL_EXCEPTION_FILTER filter = atomic_load(&runtime_filter);

    note_exception(exception->ExceptionRecord);
    LONG answer = filter ? filter(exception) : EXCEPTION_CONTINUE_SEARCH;

    if (answer != EXCEPTION_CONTINUE_EXECUTION)
        end("unhandled exception", true, exception->ExceptionRecord->ExceptionCode, false);
    return answer;
}

/* The one that does not chain: Windows keeps our filter, which asks the runtime's. */
static LPTOP_LEVEL_EXCEPTION_FILTER WINAPI set_unhandled_exception_filter(LPTOP_LEVEL_EXCEPTION_FILTER filter)
{
    return atomic_exchange(&runtime_filter, filter);
}

/* The default handler, which comes after us, decides on the status. */
static BOOL WINAPI console_control(DWORD event)
{
    end(event == CTRL_C_EVENT       ? "Ctrl-C"
        : event == CTRL_BREAK_EVENT ? "Ctrl-Break"
                                    : "console closed",
        false, 0, false);
    return FALSE;
}

static void at_process_exit(void)
{
    end("process exit", false, 0, true);
}

static void WINAPI fls_callback(void *value)
{
    (void)value;
    if (shutdown_in_progress && shutdown_in_progress())
        at_process_exit();
}

static void NTAPI tls_callback(void *module, DWORD reason, void *reserved)
{
    (void)module;
    (void)reserved;
    if (reason == DLL_THREAD_ATTACH && fls_index != FLS_OUT_OF_INDEXES)
        FlsSetValue(fls_index, &fls_index);
    if (reason == DLL_PROCESS_DETACH)
        at_process_exit();
}

/* Placed between the C library's own first and last TLS callback. */
#ifdef _MSC_VER /* its C library has callbacks only where something asks for them */
#    ifdef _WIN64
#        pragma comment(linker, "/include:_tls_used")
#    else
#        pragma comment(linker, "/include:__tls_used")
#    endif
#endif
IN_SECTION(".CRT$XLM") static PIMAGE_TLS_CALLBACK const tls_entry = tls_callback;

void ending_prepare(void (*new_callback)(const struct ending *ending))
{
    done = CreateEventW(NULL, TRUE, FALSE, NULL);
    shutdown_in_progress = (BOOLEAN(WINAPI *)(void))(void *)GetProcAddress(GetModuleHandleW(L"ntdll.dll"),
                                                                           "RtlDllShutdownInProgress");
    fls_index = FlsAlloc(fls_callback);
    if (fls_index != FLS_OUT_OF_INDEXES)
        FlsSetValue(fls_index, &fls_index);
    callback = new_callback;
    atomic_store(&runtime_filter, SetUnhandledExceptionFilter(top_level_filter));
    SetConsoleCtrlHandler(console_control, TRUE);
}

bool ending_cancel(void)
{
    return !atomic_exchange(&begun, true);
}

void ending_expect(void)
{
    atomic_store(&expected, true);
}

static struct import exits[EXIT_COUNT] = {
    [EXIT_PROCESS] = {.name = "ExitProcess", .replacement = exit_process, .required = true},
    [TERMINATE_PROCESS] = {.name = "TerminateProcess", .replacement = terminate_process, .required = true},
    [RAISE_FAIL_FAST] = {.name = "RaiseFailFastException", .replacement = raise_fail_fast, .required = true},
    [SET_FILTER] = {.name = "SetUnhandledExceptionFilter",
                    .replacement = set_unhandled_exception_filter,
                    .required = true},
};

HRESULT ending_watch(HMODULE runtime, const char **culprit)
{
    HRESULT hr = hm_imports_find(runtime, exits, EXIT_COUNT, culprit);
    return hr == S_OK ? hm_imports_redirect(exits, EXIT_COUNT) : hr;
}

void ending_reached(uint32_t status)
{
    end("return", true, status, false);
}

void ending_thrown(HRESULT exception)
{
    if (exception == E_OUTOFMEMORY)
        atomic_store(&out_of_memory, true);
    end("unhandled exception", true, (uint32_t)exception, false);
}
