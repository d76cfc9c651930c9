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

/* A reference to the image, so that it stays; false: it is gone, and another may lie there. */
static bool hold(HMODULE module)
{
    HMODULE held;
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (const wchar_t *)(void *)module, &held))
        return false;
    if (held == module)
        return true;
    FreeLibrary(held);
    return false;
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
static void describe_pdb(struct modules *modules, HMODULE module)
{
    size_t name_bytes;
    const struct pdb *pdb = pdb_of(module, &name_bytes);
    struct bytes text = {.at = (uint8_t *)modules->pdb, .room = sizeof modules->pdb - 1};
    modules->pdb[0] = 0;
    if (pdb == NULL)
        return;
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
    modules->pdb[text.overrun ? 0 : text.used] = 0;
}

static void describe_name(struct modules *modules, HMODULE module)
{
    const DWORD length = GetModuleFileNameW(module, modules->path, MODULE_PATH);
    const int bytes = WideCharToMultiByte(CP_UTF8, 0, modules->path, (int)length, modules->name,
                                          sizeof modules->name - 1, NULL, NULL);
    modules->name[bytes > 0 ? bytes : 0] = 0;
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

void hm_modules_tell(struct modules *modules, struct trace_file *file)
{
    const uint64_t id = ++modules->ids;
    const bool pdb = modules->pdb[0] != 0;
    const uint64_t figures[] = {id, modules->base, modules->base + modules->bytes, 0, pdb ? id : 0};
    if (pdb)
        add(file, SCHEMA_MAPPING_METADATA, &id, modules->pdb);
    add(file, SCHEMA_MAPPING, figures, modules->name);
}

/* 0: Windows does not say, as the last error tells; while the list changes it may not, so it is asked again. */
static unsigned list(HMODULE *modules)
{
    enum { TIMES = 4 };
    for (unsigned i = 0; i < TIMES; i++) {
        DWORD bytes = 0;
        if (K32EnumProcessModules(GetCurrentProcess(), modules, MODULES_MOST * sizeof *modules, &bytes)) {
            const unsigned count = bytes / sizeof *modules;
            return count < MODULES_MOST ? count : MODULES_MOST;
        }
    }
    return 0;
}

static bool has(const HMODULE *modules, unsigned count, HMODULE module)
{
    for (unsigned i = 0; i < count; i++)
        if (modules[i] == module)
            return true;
    return false;
}

/* An image may be listed a little before it is noted. */
static bool is_known(const struct modules *modules, HMODULE module, const struct image *image)
{
    for (unsigned i = 0; i < modules->count; i++)
        if (modules->known[i] == module)
            return modules->known_image[i] == NULL || modules->known_image[i] == image;
    return false;
}

/* Loaded so far, while somebody listened. */
static _Atomic uint32_t loads;

bool hm_modules_due(const struct modules *modules)
{
    return atomic_load(&loads) != modules->loads;
}

void hm_modules_look(struct modules *modules)
{
    modules->loads = atomic_load(&loads);
    const unsigned count = list(modules->now);
    if (count == 0)
        return;
    modules->fresh_count = 0;
    for (unsigned i = 0; i < count; i++) {
        modules->now_image[i] = hm_images_find(&hm_process_images, (uintptr_t)modules->now[i]);
        if (!is_known(modules, modules->now[i], modules->now_image[i]))
            modules->fresh[modules->fresh_count++] = modules->now[i];
    }
    for (unsigned i = 0; i < count; i++) {
        modules->known[i] = modules->now[i];
        modules->known_image[i] = modules->now_image[i];
    }
    modules->count = count;
}

bool hm_modules_next(struct modules *modules)
{
    while (modules->fresh_count != 0) {
        const HMODULE module = modules->fresh[--modules->fresh_count];
        if (!hold(module))
            continue;
        modules->base = (uintptr_t)module;
        modules->bytes = image_bytes(module);
        describe_name(modules, module);
        describe_pdb(modules, module);
        FreeLibrary(module);
        return true;
    }
    return false;
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
    if (reason == LOADED) {
        note(loaded->base);
        atomic_fetch_add(&loads, 1);
    } else if (reason == UNLOADED)
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
        DWORD bytes = 0;
        if (module == NULL)
            continue;
        const bool held = has(modules, count, module) && hold(module);
        if (!held || image->bytes != image_bytes(module) ||
            image->function != directory(module, IMAGE_DIRECTORY_ENTRY_EXCEPTION, &bytes) ||
            image->functions != bytes / sizeof *image->function)
            hm_images_remove(&hm_process_images, (uintptr_t)module);
        if (held)
            FreeLibrary(module);
    }
}

HRESULT hm_modules_note(struct modules *modules, void **cookie)
{
    register_function listen = (register_function)ntdll_function("LdrRegisterDllNotification");
    const uint32_t before = atomic_load(&hm_process_images.taken);
    if (listen == NULL || listen(0, loader_calls, NULL, cookie) < 0)
        return HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND);
    const unsigned count = list(modules->now);
    if (count == 0) {
        const HRESULT result = hresult_from_last_error();
        hm_modules_forget(*cookie);
        *cookie = NULL;
        return result;
    }
    drop_stale(before, modules->now, count);
    for (unsigned i = 0; i < count; i++)
        if (hold(modules->now[i])) {
            note(modules->now[i]);
            FreeLibrary(modules->now[i]);
        }
    return S_OK;
}

void hm_modules_forget(void *cookie)
{
    unregister_function unlisten = (unregister_function)ntdll_function("LdrUnregisterDllNotification");
    if (unlisten != NULL)
        unlisten(cookie);
}
