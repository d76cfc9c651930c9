/*
 * modules.h - the images of the process: their names and PDBs for the file, their unwind data for stacks
 */
#ifndef HOSTMEM_NETTRACE_MODULES_H
#define HOSTMEM_NETTRACE_MODULES_H

#include "nettrace/trace_file.h"

enum { MODULES_MOST = 1024, MODULE_PATH = 1024 };

/* What a trace has told of already. */
struct modules {
    unsigned count;
    uint64_t ids; /* of mappings, so far */
    HMODULE known[MODULES_MOST], now[MODULES_MOST];
    wchar_t path[MODULE_PATH];
    char text[3 * MODULE_PATH];
};

/* Those that are there and were not the last time, as events. */
void hm_modules_look(struct modules *modules, struct trace_file *file);

/*
 * Have hm_process_images be right from now on; *cookie is for hm_modules_forget.  S_OK, or what Windows says.  Both take
 * the loader lock.
 */
HRESULT hm_modules_note(struct modules *modules, void **cookie);
void hm_modules_forget(void *cookie);

#endif
