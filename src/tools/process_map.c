/*
 * process_map.c - see process_map.h
 *
 * Claims are kept in a hash table from allocation base to kind, in pages of our own. The first claim of a
 * base wins. Nothing here allocates from a heap: one may be locked or broken.
 */
#include "tools/process_map.h"

#include <stdatomic.h>

#include <winternl.h>

#include "tools/own_pages.h"
#include "tools/process_references.h"

/* GCC 12 takes the TEB, which NtCurrentTeb reads relative to a segment register, for a null pointer. */
#pragma GCC diagnostic ignored "-Warray-bounds"

enum { CLAIM_SLOTS = 16384, THREADS_MAX = 1024, HEAPS_MAX = 512, HEAP_PATIENCE_MS = 10000 };

static struct claim {
    uintptr_t base;
    enum process_kind kind;
} claims[CLAIM_SLOTS];
static unsigned claim_count;
static bool claims_overflowed;
static bool heaps_tried, heaps_walked; /* once: the walker is there for one walk */

/*
 * Threads that live, or lived when the process began to exit: Wine leaves the stacks of those in place. In
 * here and not asked of Windows at the end, since then they are gone.
 */
static struct {
    _Atomic(NT_TIB *) teb;
    void *_Atomic stack;
} threads[THREADS_MAX];

static void *_Atomic last_exited_stack;
static bool under_wine;

static HANDLE walker_ready, walk_wanted, walk_done;
static atomic_bool walk_given_up;

/* 32-bit Wine answers for the address space that it does not give out with reservations that nobody made. */
static bool is_outside(const MEMORY_BASIC_INFORMATION *found)
{
    return under_wine && sizeof(void *) == 4 && found->State == MEM_RESERVE &&
           found->AllocationProtect == PAGE_NOACCESS;
}

void process_map_claim(const void *address, enum process_kind kind)
{
    MEMORY_BASIC_INFORMATION found;

    if (!VirtualQuery(address, &found, sizeof found) || found.State == MEM_FREE ||
        found.Type != MEM_PRIVATE || is_outside(&found))
        return;
    uintptr_t base = (uintptr_t)found.AllocationBase;
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

/* Wine puts a stack for its own side of each thread right above the thread's. */
static void claim_stack(const void *stack)
{
    process_map_claim((const char *)stack - 1, PROCESS_STACK);
    if (under_wine)
        process_map_claim(stack, PROCESS_STACK);
}

static void claim_thread(const NT_TIB *teb, const void *stack)
{
    claim_stack(stack);
    process_map_claim(teb, PROCESS_ENVIRONMENT);
}

/* Threads that never told us that they started, such as the loader's own. */
static void claim_silent_threads(void)
{
    typedef NTSTATUS(NTAPI * next_function)(HANDLE, HANDLE, ACCESS_MASK, ULONG, ULONG, HANDLE *);
    typedef NTSTATUS(NTAPI * query_function)(HANDLE, int, void *, ULONG, ULONG *);
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    next_function next_thread = (next_function)(void *)GetProcAddress(ntdll, "NtGetNextThread");
    query_function query_thread = (query_function)(void *)GetProcAddress(ntdll, "NtQueryInformationThread");
    struct { /* ThreadBasicInformation */
        NTSTATUS status;
        NT_TIB *teb;
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
        if (query_thread(thread, 0, &basic, sizeof basic, NULL) == 0 && basic.teb) {
            SIZE_T read;
            NT_TIB teb;
            if (ReadProcessMemory(GetCurrentProcess(), basic.teb, &teb, sizeof teb, &read))
                claim_thread(basic.teb, teb.StackBase);
        }
    }
    if (thread)
        CloseHandle(thread);
}

/* Everything in `block`, a page or two of all sorts of things, that is the address of a private region. */
static void claim_pointers(const void *block)
{
    enum { BLOCK_BYTES = sizeof(void *) == 8 ? 0x1800 : 0x1000 };
    static const void *words[BLOCK_BYTES / sizeof(void *)];
    SIZE_T read = 0;

    ReadProcessMemory(GetCurrentProcess(), block, words, BLOCK_BYTES, &read);
    for (SIZE_T i = 0; i < read / sizeof *words; i++)
        if ((uintptr_t)words[i] >= 0x10000)
            process_map_claim(words[i], PROCESS_ENVIRONMENT);
}

/* Last of all claims: the environment blocks point to heaps and stacks too. */
static void claim_environment(void)
{
    enum { USER_SHARED_DATA = 0x7FFE0000 };
    const PEB *peb = NtCurrentTeb()->ProcessEnvironmentBlock;

    process_map_claim((const void *)USER_SHARED_DATA, PROCESS_ENVIRONMENT);
    process_map_claim(peb, PROCESS_ENVIRONMENT);
    claim_pointers(peb);
    claim_pointers(peb->ProcessParameters);
    for (unsigned i = 0; i < THREADS_MAX; i++)
        if (atomic_load(&threads[i].teb))
            claim_pointers(atomic_load(&threads[i].teb));
}

static void claim_metadata(const void *base)
{
    process_map_claim(base, PROCESS_METADATA);
}

/* Segments of the heap, and blocks that are too big for one. */
static void claim_heap(HANDLE heap)
{
    PROCESS_HEAP_ENTRY entry = {0};
    const char *start = NULL, *end = NULL; /* region claimed last */

    if (!atomic_load(&walk_given_up))
        process_map_claim(heap, PROCESS_HEAP);
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
    for (DWORD i = 0; i < count; i++)
        claim_heap(heaps[i]);
}

static DWORD WINAPI heap_walker(void *unused)
{
    (void)unused;
    SetEvent(walker_ready);
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

static void NTAPI thread_callback(void *module, DWORD reason, void *reserved)
{
    NT_TIB *teb = (NT_TIB *)NtCurrentTeb();

    (void)module;
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH || reason == DLL_THREAD_ATTACH)
        for (unsigned i = 0; i < THREADS_MAX; i++) {
            NT_TIB *none = NULL;
            if (!atomic_load(&threads[i].teb) &&
                atomic_compare_exchange_strong(&threads[i].teb, &none, teb)) {
                atomic_store(&threads[i].stack, teb->StackBase);
                break;
            }
        }
    if (reason == DLL_THREAD_DETACH)
        for (unsigned i = 0; i < THREADS_MAX; i++)
            if (atomic_load(&threads[i].teb) == teb) {
                atomic_store(&last_exited_stack, atomic_exchange(&threads[i].stack, NULL));
                atomic_store(&threads[i].teb, NULL);
                break;
            }
}

__attribute__((section(".CRT$XLN"), used)) static PIMAGE_TLS_CALLBACK const thread_entry = thread_callback;

void process_map_prepare(void)
{
    under_wine = GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != NULL;
    walker_ready = CreateEventW(NULL, TRUE, FALSE, NULL);
    walk_wanted = CreateEventW(NULL, TRUE, FALSE, NULL);
    walk_done = CreateEventW(NULL, TRUE, FALSE, NULL);
    HANDLE walker =
        CreateThread(NULL, 256 * 1024, heap_walker, NULL, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (walker == NULL)
        return;
    /* Its stack is known once it runs; a program that ends at once would leave it unexplained. */
    WaitForSingleObject(walker_ready, INFINITE);
    CloseHandle(walker);
}

static void region_count(struct process_map *map, bool (*is_owned)(const void *base),
                         const MEMORY_BASIC_INFORMATION *first, uint64_t reserved, uint64_t committed)
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

void process_map_read(struct process_map *map, bool (*is_owned)(const void *base), bool threads_are_gone)
{
    MEMORY_BASIC_INFORMATION found, first = {0};
    uint64_t reserved = 0, committed = 0;

    ZeroMemory(map, sizeof *map);
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        NT_TIB *teb = atomic_load(&threads[i].teb);
        void *stack = atomic_load(&threads[i].stack);
        if (teb && stack)
            claim_thread(teb, stack);
    }
    claim_silent_threads();
    if (under_wine && atomic_load(&last_exited_stack))
        claim_stack(atomic_load(&last_exited_stack));
    own_pages_walk(claim_metadata);
    if (!heaps_tried)
        heaps_walked = claim_heaps_or_give_up(threads_are_gone);
    heaps_tried = true;
    map->heaps_walked = heaps_walked;
    claim_environment();

    for (const char *at = NULL; VirtualQuery(at, &found, sizeof found);
         at = (const char *)found.BaseAddress + found.RegionSize) {
        if (reserved && (found.State == MEM_FREE || found.AllocationBase != first.AllocationBase)) {
            region_count(map, is_owned, &first, reserved, committed);
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
        region_count(map, is_owned, &first, reserved, committed);
    map->complete = !claims_overflowed;
    process_references_find(map);
}
