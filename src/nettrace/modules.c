/*
 * modules.c - see modules.h
 *
 * The list is read as a debugger reads it, without a lock.  What is read of an image is read while a reference holds it.
 */
#include "nettrace/modules.h"

#include <psapi.h>

#include "memory/hresult.h"
#include "nettrace/schema.h"
#include "trace/walk.h"

/* A reference to the image at an address; false: there is none any more. */
static bool hold(HMODULE module, HMODULE *held)
{
    return GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (const wchar_t *)(void *)module,
                              held) &&
           *held == module;
}

static const IMAGE_NT_HEADERS *headers_of(HMODULE module)
{
    const char *base = (const char *)module;
    return (const void *)(base + ((const IMAGE_DOS_HEADER *)base)->e_lfanew);
}

static DWORD image_bytes(HMODULE module)
{
    return headers_of(module)->OptionalHeader.SizeOfImage;
}

/* Of an image in memory; NULL: it has no such directory. */
static const void *directory(HMODULE module, unsigned number, DWORD *bytes)
{
    const IMAGE_OPTIONAL_HEADER *header = &headers_of(module)->OptionalHeader;
    const IMAGE_DATA_DIRECTORY *entry = &header->DataDirectory[number];
    if (header->NumberOfRvaAndSizes <= number || entry->VirtualAddress == 0 ||
        entry->VirtualAddress >= header->SizeOfImage ||
        header->SizeOfImage - entry->VirtualAddress < entry->Size)
        return NULL;
    *bytes = entry->Size;
    return (const char *)module + entry->VirtualAddress;
}

/* What the linker has left for debuggers. */
struct pdb {
    DWORD signature; /* "RSDS" */
    GUID guid;
    DWORD age;
    char name[];
};

static const struct pdb *pdb_of(HMODULE module, size_t *name_bytes)
{
    DWORD bytes = 0;
    const IMAGE_DEBUG_DIRECTORY *entry = directory(module, IMAGE_DIRECTORY_ENTRY_DEBUG, &bytes);
    const DWORD image = image_bytes(module);
    for (DWORD i = 0; entry != NULL && i < bytes / sizeof *entry; i++) {
        const DWORD at = entry[i].AddressOfRawData, size = entry[i].SizeOfData;
        const struct pdb *pdb = (const void *)((const char *)module + at);
        if (entry[i].Type == IMAGE_DEBUG_TYPE_CODEVIEW && at != 0 && at < image && image - at >= size &&
            size > sizeof *pdb && pdb->signature == 0x53445352) {
            *name_bytes = size - sizeof *pdb;
            return pdb;
        }
    }
    return NULL;
}

static void put_hex(struct bytes *text, uint64_t number, unsigned digits)
{
    while (digits-- != 0)
        put_byte(text, (uint8_t) "0123456789abcdef"[number >> 4 * digits & 15]);
}

static void put_decimal(struct bytes *text, uint32_t number)
{
    if (number >= 10)
        put_decimal(text, number / 10);
    put_byte(text, (uint8_t)('0' + number % 10));
}

static void put_string(struct bytes *text, const char *string)
{
    put_bytes(text, string, text_length(string));
}

/* In JSON, as the TraceEvent library wants it of a PE image. */
static const char *describe_pdb(struct modules *modules, HMODULE module)
{
    size_t name_bytes;
    const struct pdb *pdb = pdb_of(module, &name_bytes);
    struct bytes text = {.at = (uint8_t *)modules->text, .room = sizeof modules->text - 1};
    if (pdb == NULL)
        return NULL;
    put_string(&text, "{\"type\":\"PE\",\"name\":\"");
    for (size_t i = 0; i < name_bytes && pdb->name[i] != 0; i++) {
        if (pdb->name[i] == '\\' || pdb->name[i] == '"')
            put_byte(&text, '\\');
        if ((unsigned char)pdb->name[i] >= ' ')
            put_byte(&text, (uint8_t)pdb->name[i]);
    }
    put_string(&text, "\",\"date_time\":");
    put_decimal(&text, headers_of(module)->FileHeader.TimeDateStamp);
    put_string(&text, ",\"age\":");
    put_decimal(&text, pdb->age);
    put_string(&text, ",\"signature\":\"");
    put_hex(&text, pdb->guid.Data1, 8);
    put_hex(&text, pdb->guid.Data2, 4);
    put_hex(&text, pdb->guid.Data3, 4);
    for (unsigned i = 0; i < sizeof pdb->guid.Data4; i++)
        put_hex(&text, pdb->guid.Data4[i], 2);
    put_string(&text, "\"}");
    modules->text[text.used] = 0;
    return text.overrun ? NULL : modules->text;
}

static const char *path_of(struct modules *modules, HMODULE module)
{
    const DWORD length = GetModuleFileNameW(module, modules->path, MODULE_PATH);
    const int bytes = WideCharToMultiByte(CP_UTF8, 0, modules->path, (int)length, modules->text,
                                          sizeof modules->text - 1, NULL, NULL);
    modules->text[bytes > 0 ? bytes : 0] = 0;
    return modules->text;
}

/* With the earliest time that may still come: it was loaded before its first call was seen, and after the last look. */
static void add(struct trace_file *file, unsigned event, const uint64_t *figures, const char *text)
{
    const struct file_event mapping = {.capture = CAPTURE_IMAGES,
                                       .event = event,
                                       .thread = GetCurrentThreadId(),
                                       .figures = figures,
                                       .text = text};
    hm_trace_file_add(file, &mapping);
}

static void tell(struct modules *modules, struct trace_file *file, HMODULE module)
{
    HMODULE held = NULL;
    if (!hold(module, &held))
        return;
    const uint64_t id = ++modules->ids, base = (uintptr_t)module;
    const char *pdb = describe_pdb(modules, module);
    if (pdb != NULL)
        add(file, SCHEMA_MAPPING_METADATA, &id, pdb);
    const uint64_t figures[] = {id, base, base + image_bytes(module), 0, pdb != NULL ? id : 0};
    add(file, SCHEMA_MAPPING, figures, path_of(modules, module));
    FreeLibrary(held);
}

static unsigned list(HMODULE *modules)
{
    DWORD bytes = 0;
    if (!K32EnumProcessModules(GetCurrentProcess(), modules, MODULES_MOST * sizeof *modules, &bytes))
        return 0;
    const unsigned count = bytes / sizeof *modules;
    return count < MODULES_MOST ? count : MODULES_MOST;
}

static bool has(const HMODULE *modules, unsigned count, HMODULE module)
{
    for (unsigned i = 0; i < count; i++)
        if (modules[i] == module)
            return true;
    return false;
}

void hm_modules_look(struct modules *modules, struct trace_file *file)
{
    const unsigned count = list(modules->now);
    for (unsigned i = 0; i < count; i++)
        if (!has(modules->known, modules->count, modules->now[i]))
            tell(modules, file, modules->now[i]);
    for (unsigned i = 0; i < count; i++)
        modules->known[i] = modules->now[i];
    modules->count = count;
}

/* ---- for stacks */

static void note(HMODULE module)
{
    DWORD bytes = 0;
    const struct unwind_function *function = directory(module, IMAGE_DIRECTORY_ENTRY_EXCEPTION, &bytes);
    if (function != NULL)
        hm_images_add(&hm_process_images, (uintptr_t)module, image_bytes(module), function,
                      (uint32_t)(bytes / sizeof *function));
}

/* As ntdll.dll calls it, with the loader lock held. */
struct loaded {
    ULONG flags;
    const void *path, *name;
    void *base;
    ULONG bytes;
};

static void CALLBACK loader_calls(ULONG reason, const struct loaded *loaded, void *context)
{
    enum { LOADED = 1, UNLOADED = 2 };
    (void)context;
    if (reason == LOADED)
        note(loaded->base);
    else if (reason == UNLOADED)
        hm_images_remove(&hm_process_images, (uintptr_t)loaded->base);
}

typedef LONG(NTAPI *register_function)(ULONG, void(CALLBACK *)(ULONG, const struct loaded *, void *), void *,
                                       void **);
typedef LONG(NTAPI *unregister_function)(void *);

static void *ntdll_function(const char *name)
{
    return (void *)GetProcAddress(GetModuleHandleW(L"ntdll.dll"), name);
}

/* What was unloaded while nobody listened, and may be another by now; of the first so many. */
static void drop_stale(uint32_t before, const HMODULE *modules, unsigned count)
{
    for (uint32_t i = 0; i < before && i < IMAGES_MOST; i++) {
        const struct image *image = &hm_process_images.image[i];
        const HMODULE module = (HMODULE)(uintptr_t)atomic_load(&image->base);
        HMODULE held = NULL;
        DWORD bytes = 0;
        if (module == NULL)
            continue;
        const bool same = has(modules, count, module) && hold(module, &held) &&
                          image->function == directory(module, IMAGE_DIRECTORY_ENTRY_EXCEPTION, &bytes) &&
                          image->functions == bytes / sizeof *image->function;
        if (!same)
            hm_images_remove(&hm_process_images, (uintptr_t)module);
        if (held != NULL)
            FreeLibrary(held);
    }
}

HRESULT hm_modules_note(struct modules *modules, void **cookie)
{
    register_function listen = (register_function)ntdll_function("LdrRegisterDllNotification");
    const uint32_t before = atomic_load(&hm_process_images.taken);
    if (listen == NULL || listen(0, loader_calls, NULL, cookie) < 0)
        return HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND);
    const unsigned count = list(modules->now);
    drop_stale(before, modules->now, count);
    for (unsigned i = 0; i < count; i++) {
        HMODULE held = NULL;
        if (hold(modules->now[i], &held)) {
            note(modules->now[i]);
            FreeLibrary(held);
        }
    }
    return S_OK;
}

void hm_modules_forget(void *cookie)
{
    unregister_function unlisten = (unregister_function)ntdll_function("LdrUnregisterDllNotification");
    if (unlisten != NULL)
        unlisten(cookie);
}
