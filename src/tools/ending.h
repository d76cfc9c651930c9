/*
 * ending.h - be told, once, that the process is about to end, whichever way it ends
 *
 * hostfxr comes back only when Main returns. Otherwise the runtime ends the process itself, or Windows does:
 *
 *     Main returns                     ending_reached, by whoever ran the program
 *     Environment.Exit                 coreclr's import of ExitProcess
 *     Environment.FailFast             coreclr's import of RaiseFailFastException
 *     fatal runtime errors             the same, or its import of TerminateProcess
 *     unhandled exception              the top-level filter; coreclr sets its own by an import of ours
 *     Ctrl-C, closed console           a console handler, asked after all those of the program
 *     ExitProcess by native code       thread-local callbacks at process exit
 *
 * In all but the last the other threads are still there. Without a report end: TerminateProcess called by
 * anything else than the runtime (Process.Kill, another process), which nobody can see; and an unhandled
 * exception after a native library of the program has put its own top-level filter in the place of ours.
 */
#ifndef HOSTMEM_TOOLS_ENDING_H
#define HOSTMEM_TOOLS_ENDING_H

#include <stdbool.h>
#include <stdint.h>

#include <windows.h>

struct ending {
    const char *how;       /* "return", "ExitProcess", "fail fast" ... */
    bool has_status;       /* the status is known */
    uint32_t status;       /* exit status, or exception code */
    bool threads_are_gone; /* ours is the only thread left, and locks may have dead owners */
    bool out_of_memory;    /* by a managed OutOfMemoryException that nobody handled */
};

/* From ending_expect on, `callback` is called when the process ends, on the thread that ends it. */
void ending_prepare(void (*callback)(const struct ending *ending));

/* The program starts now: before that, there is nothing to report. */
void ending_expect(void);

/* There is to be no report, after all; false: it has begun. */
bool ending_cancel(void);

/* Watches the ways out of a coreclr.dll. S_OK, or what is wrong; *culprit as hm_imports_find has it. */
HRESULT ending_watch(HMODULE runtime, const char **culprit);

/* The program came back with `status`, or by an exception that it did not handle, of this HRESULT. */
void ending_reached(uint32_t status);
void ending_thrown(HRESULT exception);

#endif
