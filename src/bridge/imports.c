/*
 * Import slots of a loaded module.
 *
 * A mapped image keeps two parallel arrays for each DLL that it imports from: names and addresses.  Names are
 * read from the first, and the address of the same index is the slot.  Slots mostly lie in read-only pages.
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
        if (import->placed && *slot == import->original) /* whoever chained to us has taken us out, too */
            import->placed = false;
        if (!import->placed && *slot != import->replacement) /* put back by who had found it there */
            import->original = *slot;
    }
    for (unsigned i = 0; i < count; ++i)
        if (imports[i].required && !imports[i].slot) {
            *culprit = imports[i].name;
            return HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND);
        }
    return S_OK;
}

static void name_append(char *names, size_t capacity, const char *name)
{
    size_t length = strlen(names), more = strlen(name);

    if (length + (length != 0) + more >= capacity)
        return;
    if (length)
        names[length++] = ' ';
    memcpy(names + length, name, more + 1);
}

bool hm_imports_unknown(HMODULE module, struct import *imports, unsigned count, const struct family *families,
                        char *names, size_t capacity)
{
    bool allocates = false;
    struct walk walk;
    const char *name;
    void **slot;

    names[0] = 0;
    if (!walk_start(&walk, module))
        return false;
    while ((name = walk_next(&walk, &slot)) != NULL)
        for (const struct family *family = families; family->name; ++family)
            if (!strncmp(name, family->name, strlen(family->name)) && !import_named(imports, count, name)) {
                name_append(names, capacity, name);
                allocates |= family->allocates;
            }
    return allocates;
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

/* A page that is open for writing. */
struct window {
    void *address;
    DWORD before, opened; /* protection; equal: it was writable, and is not ours to narrow */
};

static const DWORD executable =
    PAGE_EXECUTE | PAGE_EXECUTE_READ | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY;
static const DWORD writable =
    PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY;

static DWORD protection_of(const void *address)
{
    MEMORY_BASIC_INFORMATION info;
    return VirtualQuery(address, &info, sizeof info) ? info.Protect : 0;
}

static HRESULT window_open(struct window *window, void *address)
{
    window->address = address;
    window->before = window->opened = protection_of(address);
    if (window->before & writable)
        return S_OK;
    DWORD wanted = window->before & executable ? PAGE_EXECUTE_READWRITE : PAGE_READWRITE;
    if (!VirtualProtect(address, sizeof(void *), wanted, &window->before))
        return HRESULT_FROM_WIN32(GetLastError());
    window->opened = window->before & writable ? window->before : wanted;
    return S_OK;
}

/* An image's pages are copied when they are written, which Windows and Wine show more or less. */
static bool is_as_opened(const struct window *window)
{
    DWORD now = protection_of(window->address);

    if (window->opened == PAGE_READWRITE && now == PAGE_WRITECOPY)
        return true;
    if (window->opened == PAGE_EXECUTE_READWRITE && now == PAGE_EXECUTE_WRITECOPY)
        return true;
    return now == window->opened;
}

static void window_close(struct window *window)
{
    DWORD opened;

    if (window->opened != window->before && is_as_opened(window))
        VirtualProtect(window->address, sizeof(void *), window->before, &opened);
}

static void slot_place(struct import *import)
{
    void *found = *(void *volatile *)import->slot, *was;

    while (found != import->replacement) {
        import->original = found; /* it may be called as soon as the slot is written */
        was = InterlockedCompareExchangePointer(import->slot, import->replacement, found);
        if (was == found)
            break;
        found = was;
    }
    import->placed = true;
}

static void slot_restore(struct import *import)
{
    void *was = InterlockedCompareExchangePointer(import->slot, import->original, import->replacement);

    if (was == import->replacement || was == import->original)
        import->placed = false;
}

static bool is_to_be_written(const struct import *import, bool place)
{
    return import->slot && import->placed != place;
}

static bool same_page(const void *a, const void *b)
{
    return (size_t)a >> 12 == (size_t)b >> 12;
}

/* Page by page.  The first failure ends the placing, but not the putting back. */
static HRESULT slots_write(struct import *imports, unsigned count, bool place)
{
    HRESULT result = S_OK;

    for (unsigned i = 0; i < count && !(place && result != S_OK); ++i) {
        struct window window;

        if (!is_to_be_written(&imports[i], place))
            continue;
        HRESULT hr = window_open(&window, imports[i].slot);
        if (hr != S_OK) {
            result = hr;
            continue;
        }
        for (unsigned j = i; j < count; ++j)
            if (is_to_be_written(&imports[j], place) && same_page(imports[i].slot, imports[j].slot))
                (place ? slot_place : slot_restore)(&imports[j]);
        window_close(&window);
    }
    return result;
}

HRESULT hm_imports_redirect(struct import *imports, unsigned count)
{
    return slots_write(imports, count, true);
}

bool hm_imports_restore(struct import *imports, unsigned count)
{
    slots_write(imports, count, false);
    for (unsigned i = 0; i < count; ++i)
        if (imports[i].placed)
            return false;
    return true;
}
