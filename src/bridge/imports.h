/*
 * Import slots of a loaded module: find the ones that carry certain functions, point them somewhere else, and
 * put them back.
 *
 * Others hook the same slots, before us, after us and while we are at it.  Whoever was there is chained to; whoever
 * comes later chains to us, and cannot be taken out from between: its slot stays as it is, and counts as redirected
 * from then on.
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
    void *original; /* what the slot held before: where the replacement chains to */
    bool placed;    /* calls come to the replacement, at once or by a hook that was placed later */
};

/*
 * Finds the slots by name in every import descriptor, whatever DLL is named there.  Writes slot and original
 * of each; an original stays as it was where the replacement is placed, or has been put back by somebody else.
 *
 * Returns S_OK, or with *culprit the name: HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND) for a required function
 * that is not imported, ERROR_DUP_NAME for one that is imported twice, and ERROR_BAD_EXE_FORMAT without a
 * name for what is no image of this architecture.
 */
HRESULT hm_imports_find(HMODULE module, struct import *imports, unsigned count, const char **culprit);

/* Functions whose names begin alike. */
struct family {
    const char *name; /* NULL: the end of a list */
    bool allocates;
};

/*
 * Imported functions of these families that `imports` does not have: their names with blanks between them, as many as
 * there is room for.  True: one of them is of a family that allocates.
 */
bool hm_imports_unknown(HMODULE module, struct import *imports, unsigned count, const struct family *families,
                        char *names, size_t capacity);

/* True: one of the originals belongs to another module than ours that has a section of this name (8
 * characters). */
bool hm_imports_marked(const struct import *imports, unsigned count, const char *section);

/*
 * Places every replacement that is not.  A slot that somebody else has redirected since it was found is chained to.
 * Returns S_OK, or why a page could not be written; then some may be placed, which hm_imports_restore is for.
 *
 * Pages are made writable for as long as it takes to write the slots in them, unless they are.  They are made read-only
 * again unless somebody else has changed them meanwhile, who may be writing.
 */
HRESULT hm_imports_redirect(struct import *imports, unsigned count);

/* Puts the originals back.  False: not everywhere, since somebody else has redirected a slot who chains to us. */
bool hm_imports_restore(struct import *imports, unsigned count);

#endif
