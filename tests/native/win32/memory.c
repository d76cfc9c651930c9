/*
 * memory.c - reserved and committed pages over mmap
 *
 * In front of each reservation is a page of its own that says how big it is; there and behind it nothing may be
 * touched.
 */
#include <windows.h>

#include <stdio.h>
#include <sys/mman.h>

#include "memory/os.h"

enum { PAGE = 4096, GRANULE = 65536 };

struct mapping {
    void *start;
    size_t bytes;
};

static struct mapping *mapping_of(void *base)
{
    return (struct mapping *)((char *)base - PAGE);
}

static void *reserve(size_t bytes)
{
    size_t all = bytes + 2 * GRANULE;
    char *start = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    char *base = start + GRANULE + (GRANULE - (uintptr_t)start % GRANULE) % GRANULE;
    if (mprotect(mapping_of(base), PAGE, PROT_READ | PROT_WRITE) != 0) {
        munmap(start, all);
        return NULL;
    }
    *mapping_of(base) = (struct mapping){start, all};
    mprotect(mapping_of(base), PAGE, PROT_READ);
    return base;
}

void *VirtualAlloc(void *address, SIZE_T bytes, DWORD type, DWORD protect)
{
    (void)protect;
    if (type == MEM_RESERVE)
        return address == NULL ? reserve(bytes) : NULL;
    return mprotect(address, bytes, PROT_READ | PROT_WRITE) == 0 ? address : NULL;
}

BOOL VirtualFree(void *base, SIZE_T zero, DWORD release)
{
    struct mapping mapping = *mapping_of(base);
    return zero == 0 && release == MEM_RELEASE && munmap(mapping.start, mapping.bytes) == 0;
}

SIZE_T VirtualQuery(const void *address, MEMORY_BASIC_INFORMATION *information, SIZE_T length)
{
    uintptr_t at = (uintptr_t)address, start, end;
    char line[512], writable = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    bool found = false;
    while (!found && maps != NULL && fgets(line, sizeof line, maps) != NULL)
        found = sscanf(line, "%zx-%zx %*c%c", &start, &end, &writable) == 3 && start <= at && at < end;
    if (maps != NULL)
        fclose(maps);
    if (!found)
        return 0;
    *information = (MEMORY_BASIC_INFORMATION){.BaseAddress = (char *)(at - at % PAGE),
                                              .RegionSize = end - (at - at % PAGE),
                                              .State = writable == 'w' ? MEM_COMMIT : MEM_RESERVE,
                                              .Type = MEM_PRIVATE};
    return length;
}

/* The machine's memory is nobody's concern here. */
bool hm_os_memory_status(struct os_memory *memory)
{
    (void)memory;
    return false;
}

void hm_os_process_use(struct os_memory *memory)
{
    (void)memory;
}
