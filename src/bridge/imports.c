/*
 * Import slots of a loaded module.
 *
 * A mapped image keeps two parallel arrays for each DLL that it imports from: names and addresses.  Names are
 * read from the first, and the address of the same index is the slot.  Slots lie in read-only pages, so a
 * write unprotects the page around it and restores what it found.
 */
#include <string.h>

#include "bridge/imports.h"

#ifdef _WIN64
#    define IMAGE_MACHINE IMAGE_FILE_MACHINE_AMD64
#else
#    define IMAGE_MACHINE IMAGE_FILE_MACHINE_I386
#endif

static const IMAGE_NT_HEADERS *image_headers(const BYTE *base)
{
    const IMAGE_DOS_HEADER *dos = (const IMAGE_DOS_HEADER *)base;
    if (dos->e_magic != IMAGE_DOS_SIGNATURE)
        return NULL;
    const IMAGE_NT_HEADERS *headers = (const IMAGE_NT_HEADERS *)(base + dos->e_lfanew);
    if (headers->Signature != IMAGE_NT_SIGNATURE || headers->FileHeader.Machine != IMAGE_MACHINE)
        return NULL;
    return headers;
}

static struct import *import_named(struct import *imports, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; ++i)
        if (!strcmp(imports[i].name, name))
            return &imports[i];
    return NULL;
}

/* Goes over the functions that a module imports by name. */
struct walk {
    BYTE *base;
    const IMAGE_IMPORT_DESCRIPTOR *dll; /* NULL: it imports nothing */
    const IMAGE_THUNK_DATA *names;      /* of dll, the next one; NULL: not begun */
    void **slots;
};

static bool walk_start(struct walk *walk, HMODULE module)
{
    const IMAGE_NT_HEADERS *headers = image_headers((BYTE *)module);
    if (!headers)
        return false;
    const IMAGE_DATA_DIRECTORY *directory =
        &headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT];
    *walk = (struct walk){.base = (BYTE *)module};
    if (directory->Size)
        walk->dll = (const void *)(walk->base + directory->VirtualAddress);
    return true;
}

/* The next name and its slot; NULL at the end. */
static const char *walk_next(struct walk *walk, void ***slot)
{
    for (; walk->dll && walk->dll->FirstThunk; ++walk->dll, walk->names = NULL) {
        if (!walk->dll->OriginalFirstThunk) /* names were overwritten by addresses when it was loaded */
            continue;
        if (!walk->names) {
            walk->names = (const void *)(walk->base + walk->dll->OriginalFirstThunk);
            walk->slots = (void **)(walk->base + walk->dll->FirstThunk);
        }
        while (walk->names->u1.AddressOfData) {
            const IMAGE_THUNK_DATA *name = walk->names++;
            *slot = walk->slots++;
            if (IMAGE_SNAP_BY_ORDINAL(name->u1.Ordinal))
                continue;
            const IMAGE_IMPORT_BY_NAME *entry = (const void *)(walk->base + name->u1.AddressOfData);
            return (const char *)entry->Name;
        }
    }
    return NULL;
}

HRESULT hm_imports_find(HMODULE module, struct import *imports, unsigned count, const char **culprit)
{
    struct walk walk;
    const char *name;
    void **slot;

    *culprit = NULL;
    if (!walk_start(&walk, module))
        return HRESULT_FROM_WIN32(ERROR_BAD_EXE_FORMAT);
    for (unsigned i = 0; i < count; ++i)
        imports[i].slot = NULL;
    while ((name = walk_next(&walk, &slot)) != NULL) {
        struct import *import = import_named(imports, count, name);
        if (!import)
            continue;
        if (import->slot) { /* the replacement can chain to one original only */
            *culprit = import->name;
            return HRESULT_FROM_WIN32(ERROR_DUP_NAME);
        }
        import->slot = slot;
        if (*slot != import->replacement)
            import->original = *slot;
    }
    for (unsigned i = 0; i < count; ++i)
        if (imports[i].required && !imports[i].slot) {
            *culprit = imports[i].name;
            return HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND);
        }
    return S_OK;
}

const char *hm_imports_unknown(HMODULE module, struct import *imports, unsigned count,
                               const char *const *families)
{
    struct walk walk;
    const char *name;
    void **slot;

    if (!walk_start(&walk, module))
        return NULL;
    while ((name = walk_next(&walk, &slot)) != NULL)
        for (unsigned i = 0; families[i]; ++i)
            if (!strncmp(name, families[i], strlen(families[i])) && !import_named(imports, count, name))
                return name;
    return NULL;
}

static HMODULE module_of(const void *address)
{
    const DWORD flags = GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS;
    HMODULE module;

    return GetModuleHandleExW(flags, (LPCWSTR)address, &module) ? module : NULL;
}

static bool module_has_section(HMODULE module, const char *name)
{
    const IMAGE_NT_HEADERS *headers = image_headers((const BYTE *)module);
    const IMAGE_SECTION_HEADER *section = headers ? IMAGE_FIRST_SECTION(headers) : NULL;

    for (unsigned i = 0; headers && i < headers->FileHeader.NumberOfSections; ++i)
        if (!memcmp(section[i].Name, name, IMAGE_SIZEOF_SHORT_NAME))
            return true;
    return false;
}

bool hm_imports_marked(const struct import *imports, unsigned count, const char *section)
{
    HMODULE own = module_of((const void *)hm_imports_marked);

    for (unsigned i = 0; i < count; ++i) {
        HMODULE module = imports[i].slot ? module_of(imports[i].original) : NULL;
        if (module && module != own && module_has_section(module, section))
            return true;
    }
    return false;
}

/* ERROR_BUSY: the slot does not hold what was expected; somebody else has redirected it meanwhile. */
static HRESULT slot_write(void **slot, void *expected, void *value)
{
    DWORD protection;

    if (!VirtualProtect(slot, sizeof *slot, PAGE_READWRITE, &protection))
        return HRESULT_FROM_WIN32(GetLastError());
    bool written = InterlockedCompareExchangePointer(slot, value, expected) == expected;
    VirtualProtect(slot, sizeof *slot, protection, &protection);
    return written ? S_OK : HRESULT_FROM_WIN32(ERROR_BUSY);
}

HRESULT hm_imports_redirect(const struct import *imports, unsigned count)
{
    for (unsigned i = 0; i < count; ++i) {
        if (!imports[i].slot)
            continue;
        HRESULT hr = slot_write(imports[i].slot, imports[i].original, imports[i].replacement);
        if (hr != S_OK) {
            hm_imports_restore(imports, i);
            return hr;
        }
    }
    return S_OK;
}

bool hm_imports_restore(const struct import *imports, unsigned count)
{
    bool complete = true;
    for (unsigned i = 0; i < count; ++i)
        if (imports[i].slot &&
            slot_write(imports[i].slot, imports[i].replacement, imports[i].original) != S_OK)
            complete = false;
    return complete;
}
