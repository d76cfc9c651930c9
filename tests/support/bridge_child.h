/*
 * A host for one program: a runtime starts once in a process, so the tests on real runtimes start themselves again.
 */
#ifndef BRIDGE_CHILD_H
#define BRIDGE_CHILD_H

#include <hostmem/bridge.h>
#include <shellapi.h> /* CommandLineToArgvW, by which a child knows itself */

enum { BRIDGE_PATH = 1024 };

/* Of a child that was ended because it did not end. */
enum { BRIDGE_CHILD_HANGS = 258 };

/* Runs this program again with these arguments and its own output, for so many milliseconds at most; the exit code. */
DWORD bridge_child(const wchar_t *arguments, DWORD milliseconds);

/* The folder of a version's programs, for swprintf. */
#ifdef _WIN64
#    define BRIDGE_FRAMEWORK L"net%u.0"
#else
#    define BRIDGE_FRAMEWORK L"net%u.0-x86"
#endif

/* The tests net8 to net11, on x86 net10 only, each of which is a call of `run`; what CMocka returns. `only`: the one of that
 * name, NULL: all. */
int bridge_run_versions(void (*run)(unsigned version), const char *only);

/*
 * In the child: FOLDER\<name>.dll, a published program, with its runtime's memory under the control's manager, by
 * hostfxr_main_startupinfo.  Arguments up to a NULL, at most three.  The program's result, or -1: it was not run.
 */
int bridge_run(const wchar_t *folder, const wchar_t *name, const wchar_t *const *arguments,
               IHostControl *control, const hostmem_bridge_options *options);

#endif
