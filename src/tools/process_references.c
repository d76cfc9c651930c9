/*
 * process_references.c - see process_references.h
 *
 * A module that takes pages straight from Windows keeps their address in a variable. So the writable pages of
 * all images are searched for words that point into the regions; a chance hit is possible, hence "in use by",
 * not "owned".
 */
#include "tools/process_references.h"

#include <psapi.h>
#include <wchar.h>

static unsigned other_count(const struct process_map *map)
{
    uint64_t count = map->rows[PROCESS_OTHER].regions;
    return count < PROCESS_OTHERS_MAX ? (unsigned)count : PROCESS_OTHERS_MAX;
}

/* The name without its folders; of Windows' own kind, so that no loader lock is needed. */
static void module_name(const void *address, wchar_t *name, size_t capacity)
{
    static wchar_t path[1024];

    if (!K32GetMappedFileNameW(GetCurrentProcess(), (void *)(uintptr_t)address, path, ARRAYSIZE(path)))
        return;
    const wchar_t *slash = wcsrchr(path, L'\\');
    ZeroMemory(name, capacity * sizeof *name);
    wcsncpy(name, slash ? slash + 1 : path, capacity - 1);
}

/* `page` lies in an image. A pointer to the very start of a region says more than one to somewhere inside. */
static void page_search(struct process_map *map, const void *page)
{
    static uintptr_t words[4096 / sizeof(uintptr_t)];
    unsigned count = other_count(map);
    SIZE_T read = 0;

    ReadProcessMemory(GetCurrentProcess(), page, words, sizeof words, &read);
    for (SIZE_T i = 0; i < read / sizeof *words; i++)
        for (unsigned k = 0; words[i] >= 0x10000 && k < count; k++) {
            struct process_other *other = &map->others[k];
            bool exact = words[i] == other->base;
            if (words[i] - other->base >= other->reserved || (other->module[0] && (other->exact || !exact)))
                continue;
            other->exact = exact;
            module_name(page, other->module, ARRAYSIZE(other->module));
        }
}

void process_references_find(struct process_map *map)
{
    const DWORD writable = PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY;
    MEMORY_BASIC_INFORMATION found;

    if (other_count(map) == 0)
        return;
    for (const char *at = NULL; VirtualQuery(at, &found, sizeof found);
         at = (const char *)found.BaseAddress + found.RegionSize) {
        if (found.State != MEM_COMMIT || found.Type != MEM_IMAGE || !(found.Protect & writable))
            continue;
        if (found.AllocationBase == GetModuleHandleW(NULL)) /* the tables of this very report */
            continue;
        for (SIZE_T offset = 0; offset < found.RegionSize; offset += 4096)
            page_search(map, (const char *)found.BaseAddress + offset);
    }
}
