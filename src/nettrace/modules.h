/*
 * modules.h - the images of the process: their names and PDBs for the file, their unwind data for stacks
 */
#ifndef HOSTMEM_NETTRACE_MODULES_H
#define HOSTMEM_NETTRACE_MODULES_H

#include "nettrace/trace_file.h"
#include "trace/images.h"

enum { MODULES_MOST = 1024, MODULE_PATH = 1024 };

/* What a trace has told of already. */
struct modules {
    unsigned count, fresh_count;
    uint32_t loads; /* of the process, as the last look began */
    uint64_t ids;   /* of mappings, so far */
    HMODULE known[MODULES_MOST], now[MODULES_MOST], fresh[MODULES_MOST];
    /* Of those, where images are noted: another's is another one. */
    const struct image *known_image[MODULES_MOST], *now_image[MODULES_MOST];
    wchar_t path[MODULE_PATH];
    /* Of the last that hm_modules_next came to; pdb: empty, if it has none. */
    uint64_t base, bytes;
    char name[3 * MODULE_PATH], pdb[3 * MODULE_PATH];
};

/*
 * hm_modules_look finds those that are there and were not the last time; hm_modules_next goes on to the next of them, and
 * false: there is none; hm_modules_tell writes that one down as events.  hm_modules_next takes the loader lock, and may run
 * code of the image: not with a lock that somebody there may wait for.
 */
void hm_modules_look(struct modules *modules);
bool hm_modules_next(struct modules *modules);
void hm_modules_tell(struct modules *modules, struct trace_file *file);

/* Has one been loaded since the last look?  Known where images are noted. */
bool hm_modules_due(const struct modules *modules);

/*
 * Have hm_process_images be right from now on; *cookie is for hm_modules_forget.  S_OK, or what Windows says.  Both take
 * the loader lock.
 */
HRESULT hm_modules_note(struct modules *modules, void **cookie);
void hm_modules_forget(void *cookie);

#endif
