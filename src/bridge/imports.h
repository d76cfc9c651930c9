/*
 * Import slots of a loaded module: find the ones that carry certain functions, point them somewhere else, and
 * put them back.  Redirection is all or nothing, and page protections end as they were.
 */
#ifndef HOSTMEM_BRIDGE_IMPORTS_H
#define HOSTMEM_BRIDGE_IMPORTS_H

#include <stdbool.h>
#include <windows.h>

/* One function that is to be redirected in one module. */
struct import {
    const char *name;
    void *replacement;
    bool required;
    void **slot;    /* where the module's calls read their target; NULL: the module does not import it */
    void *original; /* what the slot held when it was found: where the replacement chains to */
};

/*
 * Finds the slots by name in every import descriptor, whatever DLL is named there.  Writes slot and original
 * of each; an original stays as it was where the slot holds the replacement already.
 *
 * Returns S_OK, or with *culprit the name: HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND) for a required function
 * that is not imported, ERROR_DUP_NAME for one that is imported twice, and ERROR_BAD_EXE_FORMAT without a
 * name for what is no image of this architecture.
 */
HRESULT hm_imports_find(HMODULE module, struct import *imports, unsigned count, const char **culprit);

/*
 * The first imported function whose name begins like one of `families` (up to a NULL) and that `imports` does
 * not have; NULL: none.
 */
const char *hm_imports_unknown(HMODULE module, struct import *imports, unsigned count,
                               const char *const *families);

/* True: one of the originals belongs to another module than ours that has a section of this name (8
 * characters). */
bool hm_imports_marked(const struct import *imports, unsigned count, const char *section);

/*
 * Writes every replacement, or none.  Returns S_OK, HRESULT_FROM_WIN32(ERROR_BUSY): somebody else redirected
 * a slot after it was found, or why a slot could not be written.
 */
HRESULT hm_imports_redirect(const struct import *imports, unsigned count);

/* Puts the originals back.  False: not everywhere, since somebody else has redirected a slot, who may chain
 * to us. */
bool hm_imports_restore(const struct import *imports, unsigned count);

#endif
