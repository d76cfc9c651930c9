/*
 * run_hostfxr.h - run a .NET 8-11 program in this process, as its own launcher would
 */
#ifndef HOSTMEM_TOOLS_RUN_HOSTFXR_H
#define HOSTMEM_TOOLS_RUN_HOSTFXR_H

#include <stdint.h>

#include <hostmem/bridge.h>

#include "tools/program.h"

/* Exit statuses of hostmem-run itself; a program's own status passes through. */
enum { STATUS_USAGE = 2, STATUS_FAILED = 125 };

/* The runtime that runs the program: its coreclr.dll. */
struct hostfxr_runtime {
    wchar_t path[PATH_CHARS];
    uint64_t version;    /* of the file: four numbers of 16 bits */
    uint64_t hard_limit; /* that was set here, in bytes; 0: none */
};

/*
 * Runs `program` with `arguments` (argc of them, the program's own name not among them).
 *
 *   control       asked for the memory manager; NULL: the runtime keeps its memory to itself.
 *   found         receives, before the program starts, what runs it.
 *   bridge        of the bind.
 *   limit         of the heap, in bytes; 0: none.  32-bit collectors, which the bridge cannot give one, have it as
 *                 System.GC.HeapHardLimit, unless the program has set a lower one, or one by percent.
 *
 * Returns the program's exit status, or STATUS_FAILED after having told the user why it did not start. Most
 * ways in which a program ends do not come back here, see ending.h.
 */
int run_hostfxr(const struct program *program, int argc, wchar_t **arguments, IHostControl *control,
                const hostmem_bridge_options *bridge, uint64_t limit, struct hostfxr_runtime *found);

#endif
