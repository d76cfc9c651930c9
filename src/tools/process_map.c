/*
 * process_map.c - see process_map.h
 *
 * Claims are kept in a hash table from allocation base to kind, in static memory. The first claim of a base wins.
 * Nothing here allocates from a heap: one may be locked or broken.
 */
#include "tools/process_map.h"

#include <stdatomic.h>

#include <winternl.h>

#include "tools/process_references.h"

/* GCC 12 takes the TEB, which NtCurrentTeb reads relative to a segment register, for a null pointer. */
#pragma GCC diagnostic ignored "-Warray-bounds"

enum {
    CLAIM_SLOTS = 16384,
    HEAPS_MAX = 512,
    HEAP_PATIENCE_MS = 10000,
    GRANULARITY = 0x10000 /* of reservations */
};

static struct claim {
    uintptr_t base;
    enum process_kind kind;
} claims[CLAIM_SLOTS];
static unsigned claim_count;
static bool claims_overflowed;
static bool heaps_tried, heaps_walked; /* once: the walker is there for one walk */
static bool (*is_owned)(const void *base);

static bool under_wine;
static uintptr_t words[64 * 1024 / sizeof(uintptr_t)]; /* as words_read leaves them */

static HANDLE walk_wanted, walk_done;
static atomic_bool walk_given_up;

/* 32-bit Wine answers for the address space that it does not give out with reservations that nobody made. */
static bool is_outside(const MEMORY_BASIC_INFORMATION *found)
{
    return under_wine && sizeof(void *) == 4 && found->State == MEM_RESERVE &&
           found->AllocationProtect == PAGE_NOACCESS;
}

/* Where the private region begins that holds `address`; 0: there is none to claim. */
static uintptr_t region_base(const void *address)
{
    MEMORY_BASIC_INFORMATION found;

    if (!VirtualQuery(address, &found, sizeof found) || found.State == MEM_FREE ||
        found.Type != MEM_PRIVATE || is_outside(&found) || is_owned(found.AllocationBase))
        return 0;
    return (uintptr_t)found.AllocationBase;
}

void process_map_claim(const void *address, enum process_kind kind)
{
    const uintptr_t base = region_base(address);

    if (base == 0)
        return;
    unsigned slot = (unsigned)(base >> 12) * 2654435761u % CLAIM_SLOTS;
    while (claims[slot].base && claims[slot].base != base)
        slot = (slot + 1) % CLAIM_SLOTS;
    if (claims[slot].base)
        return;
    if (claim_count == CLAIM_SLOTS - 1) {
        claims_overflowed = true;
        return;
    }
    claim_count++;
    claims[slot].base = base;
    claims[slot].kind = kind;
}

static enum process_kind claim_find(uintptr_t base)
{
    for (unsigned slot = (unsigned)(base >> 12) * 2654435761u % CLAIM_SLOTS; claims[slot].base;
         slot = (slot + 1) % CLAIM_SLOTS)
        if (claims[slot].base == base)
            return claims[slot].kind;
    return PROCESS_OTHER;
}

/* A region with a guard page.  Wine puts a stack for its own side of each thread right above the thread's. */
static void claim_stacks(void)
{
    MEMORY_BASIC_INFORMATION found;
    const void *stack = NULL; /* the last one, while its end has not come */

    for (const char *at = NULL; VirtualQuery(at, &found, sizeof found);
         at = (const char *)found.BaseAddress + found.RegionSize) {
        if (found.State == MEM_COMMIT && found.Protect & PAGE_GUARD) {
            stack = found.AllocationBase;
            process_map_claim(stack, PROCESS_STACK);
        } else if (stack && found.AllocationBase != stack) {
            if (under_wine)
                process_map_claim(at, PROCESS_STACK);
            stack = NULL;
        }
    }
}

/* Returns how many there are: none if the memory is gone. */
static SIZE_T words_read(const void *at, SIZE_T bytes)
{
    SIZE_T read = 0;

    ReadProcessMemory(GetCurrentProcess(), at, words, bytes < sizeof words ? bytes : sizeof words, &read);
    return read / sizeof *words;
}

/* The environment block of each thread that lives. */
static void threads_visit(void (*visit)(const void *block))
{
    typedef NTSTATUS(NTAPI * next_function)(HANDLE, HANDLE, ACCESS_MASK, ULONG, ULONG, HANDLE *);
    typedef NTSTATUS(NTAPI * query_function)(HANDLE, int, void *, ULONG, ULONG *);
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    next_function next_thread = (next_function)(void *)GetProcAddress(ntdll, "NtGetNextThread");
    query_function query_thread = (query_function)(void *)GetProcAddress(ntdll, "NtQueryInformationThread");
    struct { /* ThreadBasicInformation */
        NTSTATUS status;
        const void *environment;
        HANDLE process, thread;
        ULONG_PTR affinity;
        LONG priority, base_priority;
    } basic;
    HANDLE thread = NULL, next;

    if (!next_thread || !query_thread)
        return;
    while (next_thread(GetCurrentProcess(), thread, THREAD_QUERY_INFORMATION, 0, 0, &next) == 0) {
        if (thread)
            CloseHandle(thread);
        thread = next;
        if (query_thread(thread, 0, &basic, sizeof basic, NULL) == 0)
            visit(basic.environment);
    }
    if (thread)
        CloseHandle(thread);
}

static void claim_block(const void *block)
{
    process_map_claim(block, PROCESS_ENVIRONMENT);
}

static void claim_environment(void)
{
    enum { USER_SHARED_DATA = 0x7FFE0000 };

    claim_block((const void *)USER_SHARED_DATA);
    claim_block(NtCurrentTeb()->ProcessEnvironmentBlock);
    threads_visit(claim_block);
}

/* Everything in `block`, a page or two of all sorts of things, that is the address of a private region. */
static void claim_pointers(const void *block)
{
    SIZE_T count = words_read(block, sizeof(void *) == 8 ? 0x1800 : 0x1000);

    for (SIZE_T i = 0; i < count; i++)
        if (words[i] >= GRANULARITY)
            claim_block((const void *)words[i]);
}

/* Last of all claims: there are pointers to heaps and stacks, too, and numbers that look like pointers. */
static void claim_all_pointers(void)
{
    const PEB *peb = NtCurrentTeb()->ProcessEnvironmentBlock;

    claim_pointers(peb);
    claim_pointers(peb->ProcessParameters);
    threads_visit(claim_pointers);
}

/* Every region of which the one at `base` knows the start. */
static void claim_starts(uintptr_t base)
{
    MEMORY_BASIC_INFORMATION found;

    for (const char *at = (const char *)base;
         VirtualQuery(at, &found, sizeof found) && (uintptr_t)found.AllocationBase == base;
         at = (const char *)found.BaseAddress + found.RegionSize)
        for (SIZE_T offset = 0; found.State == MEM_COMMIT && offset < found.RegionSize;
             offset += sizeof words) {
            SIZE_T count = words_read(at + offset, found.RegionSize - offset);
            for (SIZE_T i = 0; i < count; i++)
                if (words[i] != 0 && words[i] % GRANULARITY == 0 &&
                    region_base((const void *)words[i]) == words[i])
                    process_map_claim((const void *)words[i], PROCESS_METADATA);
        }
}

/*
 * Each reservation that the manager has for itself is pointed to by another one, up to the object that we know.  After
 * heaps and threads, of which it knows the starts as well.
 */
static void claim_metadata(void)
{
    unsigned known;

    do {
        known = claim_count;
        for (unsigned slot = 0; slot < CLAIM_SLOTS; slot++)
            if (claims[slot].base && claims[slot].kind == PROCESS_METADATA)
                claim_starts(claims[slot].base);
    } while (claim_count != known);
}

/* Segments of the heap, and blocks that are too big for one. */
static void claim_heap(HANDLE heap)
{
    PROCESS_HEAP_ENTRY entry = {0};
    const char *start = NULL, *end = NULL; /* region claimed last */

    if (!HeapLock(heap))
        return;
    while (!atomic_load(&walk_given_up) && HeapWalk(heap, &entry)) {
        const char *at = entry.lpData;
        MEMORY_BASIC_INFORMATION found;

        if ((at >= start && at < end) || !VirtualQuery(at, &found, sizeof found))
            continue;
        start = at;
        end = (const char *)found.BaseAddress + found.RegionSize;
        if (atomic_load(&walk_given_up)) /* the claims are read by now */
            break;
        process_map_claim(at, PROCESS_HEAP);
    }
    HeapUnlock(heap);
}

static void claim_heaps(void)
{
    static HANDLE heaps[HEAPS_MAX];
    DWORD count = GetProcessHeaps(HEAPS_MAX, heaps);

    if (count > HEAPS_MAX) {
        claims_overflowed = true;
        count = HEAPS_MAX;
    }
    for (DWORD i = 0; i < count && !atomic_load(&walk_given_up); i++)
        process_map_claim(heaps[i], PROCESS_HEAP);
    for (DWORD i = 0; i < count; i++)
        claim_heap(heaps[i]);
}

static DWORD WINAPI heap_walker(void *unused)
{
    (void)unused;
    WaitForSingleObject(walk_wanted, INFINITE);
    claim_heaps();
    SetEvent(walk_done);
    return 0;
}

static bool claim_heaps_or_give_up(bool threads_are_gone)
{
    if (threads_are_gone) {
        claim_heaps();
        return true;
    }
    SetEvent(walk_wanted);
    if (WaitForSingleObject(walk_done, HEAP_PATIENCE_MS) == WAIT_OBJECT_0)
        return true;
    atomic_store(&walk_given_up, true);
    return false;
}

void process_map_prepare(bool (*owned)(const void *base))
{
    is_owned = owned;
    under_wine = GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != NULL;
    walk_wanted = CreateEventW(NULL, TRUE, FALSE, NULL);
    walk_done = CreateEventW(NULL, TRUE, FALSE, NULL);
    HANDLE walker =
        CreateThread(NULL, 256 * 1024, heap_walker, NULL, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (walker)
        CloseHandle(walker);
}

static void region_count(struct process_map *map, const MEMORY_BASIC_INFORMATION *first, uint64_t reserved,
                         uint64_t committed)
{
    enum process_kind kind = first->Type == MEM_IMAGE          ? PROCESS_IMAGE
                             : first->Type == MEM_MAPPED       ? PROCESS_MAPPED
                             : is_owned(first->AllocationBase) ? PROCESS_OWNED
                                                               : claim_find((uintptr_t)first->AllocationBase);

    if (kind == PROCESS_OTHER && committed == 0 && is_outside(first))
        kind = PROCESS_OUTSIDE;
    if (kind == PROCESS_OTHER && map->rows[kind].regions < PROCESS_OTHERS_MAX)
        map->others[map->rows[kind].regions] =
            (struct process_other){.base = (uintptr_t)first->AllocationBase,
                                   .reserved = reserved,
                                   .committed = committed,
                                   .protect = first->AllocationProtect};
    map->rows[kind].regions++;
    map->rows[kind].reserved += reserved;
    map->rows[kind].committed += committed;
}

void process_map_read(struct process_map *map, bool threads_are_gone)
{
    MEMORY_BASIC_INFORMATION found, first = {0};
    uint64_t reserved = 0, committed = 0;

    ZeroMemory(map, sizeof *map);
    if (!heaps_tried)
        heaps_walked = claim_heaps_or_give_up(threads_are_gone);
    heaps_tried = true;
    map->heaps_walked = heaps_walked;
    claim_stacks();
    claim_environment();
    claim_metadata();
    claim_all_pointers();

    for (const char *at = NULL; VirtualQuery(at, &found, sizeof found);
         at = (const char *)found.BaseAddress + found.RegionSize) {
        if (reserved && (found.State == MEM_FREE || found.AllocationBase != first.AllocationBase)) {
            region_count(map, &first, reserved, committed);
            reserved = committed = 0;
        }
        if (found.State == MEM_FREE)
            continue;
        if (!reserved)
            first = found;
        reserved += found.RegionSize;
        if (found.State == MEM_COMMIT)
            committed += found.RegionSize;
    }
    if (reserved)
        region_count(map, &first, reserved, committed);
    map->complete = !claims_overflowed;
    process_references_find(map);
}
