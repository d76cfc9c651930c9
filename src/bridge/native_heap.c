/*
 * The runtime's own heap, as blocks of the host's IHostMalloc.
 *
 * IHostMalloc tells no sizes and has no way to ask whose a block is, and another host's may not survive being given a
 * block that is not its own.  So a block has a header with its size, and a map knows where blocks begin.
 *
 * No lock here: the map has none, and the host's heap is as good or bad as the process heap would be, where a thread that
 * was suspended in it leaves it locked.  The runtime takes no memory while it has suspended a thread.
 */
#include <string.h>

#include "bridge/native_heap.h"
#include "maps/block_map.h"
#include "maps/pages.h"

typedef void *(__cdecl *malloc_function)(size_t);
typedef void *(__cdecl *calloc_function)(size_t, size_t);
typedef void *(__cdecl *realloc_function)(void *, size_t);
typedef void(__cdecl *free_function)(void *);
typedef LPVOID(WINAPI *heap_alloc_function)(HANDLE, DWORD, SIZE_T);
typedef LPVOID(WINAPI *heap_realloc_function)(HANDLE, DWORD, LPVOID, SIZE_T);
typedef BOOL(WINAPI *heap_free_function)(HANDLE, DWORD, LPVOID);

/* Before every block; its size keeps the alignment of the host's. */
struct header {
    _Alignas(BLOCK_MAP_ALIGN) SIZE_T size;
};

static _Atomic(IHostMalloc *) host_heap;
static HANDLE process_heap;
static BOOLEAN(NTAPI *shutdown_in_progress)(void);
static struct block_map *blocks; /* there is one as long as there is a heap */
static _Atomic uint64_t metadata;
static atomic_size_t foreign;

bool hm_native_heap_prepare(void)
{
    blocks = pages_take(sizeof *blocks);
    if (!blocks)
        return false;
    atomic_store(&metadata, sizeof *blocks);
    hm_block_map_init(blocks, &metadata);
    process_heap = GetProcessHeap();
    shutdown_in_progress = (void *)GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "RtlDllShutdownInProgress");
    return true;
}

void hm_native_heap_publish(IHostMalloc *heap)
{
    atomic_store_explicit(&host_heap, heap, memory_order_release);
}

void hm_native_heap_forget(void)
{
    hm_pages_release(blocks, sizeof *blocks);
    blocks = NULL;
    atomic_store(&metadata, 0);
}

const void *hm_native_heap_map(void)
{
    return blocks;
}

void hm_native_heap_read(hostmem_bridge_statistics *statistics)
{
    statistics->heap_foreign = atomic_load_explicit(&foreign, memory_order_relaxed);
    statistics->heap_metadata = atomic_load_explicit(&metadata, memory_order_relaxed);
    if (atomic_load_explicit(&host_heap, memory_order_relaxed))
        statistics->state |= HOSTMEM_BRIDGE_HEAP_REDIRECTED;
}

/*
 * When a process ends, its other threads have been killed wherever they were.  Windows sees to it that none was in the
 * process heap; in the host's heap there may have been one, which left it locked for good.
 */
static bool process_ends(void)
{
    return shutdown_in_progress && shutdown_in_progress();
}

/* Where blocks are to come from; NULL: from where they came without us. */
static IHostMalloc *heap_now(void)
{
    IHostMalloc *heap = atomic_load_explicit(&host_heap, memory_order_acquire);
    return heap && !process_ends() ? heap : NULL;
}

static struct header *header_of(void *block)
{
    return (struct header *)block - 1;
}

/* `zeroed`: hosts do not zero. */
static void *block_take(IHostMalloc *heap, SIZE_T size, bool zeroed)
{
    const DWORD error = GetLastError();
    void *memory = NULL;

    if (size > SIZE_MAX - sizeof(struct header) ||
        IHostMalloc_Alloc(heap, size + sizeof(struct header), eProcessCritical, &memory) != S_OK || !memory)
        goto none;
    struct header *header = memory;
    header->size = size;
    if (!block_map_add(blocks, (uintptr_t)(header + 1))) { /* nor where a host does not align it */
        IHostMalloc_Free(heap, memory);
        goto none;
    }
    if (zeroed)
        memset(header + 1, 0, size);
    SetLastError(error);
    return header + 1;

none:
    SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    return NULL;
}

static bool block_is_ours(const void *block)
{
    return block && atomic_load_explicit(&host_heap, memory_order_acquire) &&
           block_map_has(blocks, (uintptr_t)block);
}

/* False: it is not ours.  What is freed while the process ends goes with it. */
static bool block_give(void *block)
{
    IHostMalloc *heap = atomic_load_explicit(&host_heap, memory_order_acquire);

    if (!block || !heap || !block_map_remove(blocks, (uintptr_t)block))
        return false;
    if (!process_ends()) {
        const DWORD error = GetLastError();
        IHostMalloc_Free(heap, header_of(block));
        SetLastError(error);
    }
    return true;
}

/* One of ours shrinks where it is, and what it gives up is free when it is. */
static bool block_shrink(void *block, SIZE_T size)
{
    if (size > header_of(block)->size)
        return false;
    header_of(block)->size = size;
    return true;
}

/* One of ours has become bigger, elsewhere. */
static void *block_moved(void *block, void *bigger)
{
    if (bigger) {
        memcpy(bigger, block, header_of(block)->size);
        block_give(block);
    }
    return bigger;
}

static void *counted(struct caller *caller, unsigned index, void *block)
{
    count(&caller->calls[index]);
    if (!block)
        count(&caller->failures[index]);
    return block;
}

/* The block of a call that goes on: if it has one, that is foreign. */
static void passed_on(const void *block)
{
    if (block && atomic_load_explicit(&host_heap, memory_order_relaxed))
        count(&foreign);
}

void *hm_native_malloc(struct caller *caller, size_t size)
{
    IHostMalloc *heap = heap_now();

    if (!heap)
        return ORIGINAL(caller, HOSTMEM_BRIDGE_MALLOC, malloc_function)(size);
    return counted(caller, HOSTMEM_BRIDGE_MALLOC, block_take(heap, size, false));
}

void *hm_native_calloc(struct caller *caller, size_t number, size_t size)
{
    IHostMalloc *heap = heap_now();
    size_t bytes;

    if (!heap)
        return ORIGINAL(caller, HOSTMEM_BRIDGE_CALLOC, calloc_function)(number, size);
    if (__builtin_mul_overflow(number, size, &bytes))
        bytes = SIZE_MAX;
    return counted(caller, HOSTMEM_BRIDGE_CALLOC, block_take(heap, bytes, true));
}

void *hm_native_realloc(struct caller *caller, void *block, size_t size)
{
    realloc_function original = ORIGINAL(caller, HOSTMEM_BRIDGE_REALLOC, realloc_function);
    IHostMalloc *heap = heap_now();

    if (!block_is_ours(block) && (block || !heap)) {
        passed_on(block);
        return original(block, size);
    }
    if (block && !size) {
        count(&caller->calls[HOSTMEM_BRIDGE_REALLOC]);
        block_give(block);
        return NULL;
    }
    if (block && block_shrink(block, size))
        return counted(caller, HOSTMEM_BRIDGE_REALLOC, block);
    void *bigger = heap ? block_take(heap, size, false) : original(NULL, size);
    return counted(caller, HOSTMEM_BRIDGE_REALLOC, block ? block_moved(block, bigger) : bigger);
}

void hm_native_free(struct caller *caller, void *block)
{
    if (block_give(block)) {
        count(&caller->calls[HOSTMEM_BRIDGE_FREE]);
        return;
    }
    passed_on(block);
    ORIGINAL(caller, HOSTMEM_BRIDGE_FREE, free_function)(block);
}

/* Heap functions can be told to fail by an exception. */
static LPVOID heap_result(struct caller *caller, unsigned index, DWORD flags, void *block)
{
    if (!counted(caller, index, block) && flags & HEAP_GENERATE_EXCEPTIONS)
        RaiseException((DWORD)STATUS_NO_MEMORY, 0, 0, NULL);
    return block;
}

LPVOID hm_native_heap_alloc(struct caller *caller, HANDLE of, DWORD flags, SIZE_T size)
{
    const unsigned index = HOSTMEM_BRIDGE_HEAP_ALLOC;
    IHostMalloc *heap = heap_now();

    if (!heap || of != process_heap)
        return ORIGINAL(caller, index, heap_alloc_function)(of, flags, size);
    return heap_result(caller, index, flags, block_take(heap, size, flags & HEAP_ZERO_MEMORY));
}

LPVOID hm_native_heap_realloc(struct caller *caller, HANDLE of, DWORD flags, LPVOID block, SIZE_T size)
{
    const unsigned index = HOSTMEM_BRIDGE_HEAP_REALLOC;
    IHostMalloc *heap = heap_now();

    if (of != process_heap || !block_is_ours(block)) {
        if (of == process_heap)
            passed_on(block);
        return ORIGINAL(caller, index, heap_realloc_function)(of, flags, block, size);
    }
    if (block_shrink(block, size))
        return heap_result(caller, index, flags, block);
    if (flags & HEAP_REALLOC_IN_PLACE_ONLY) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return heap_result(caller, index, flags, NULL);
    }
    const bool zeroed = flags & HEAP_ZERO_MEMORY;
    void *bigger = heap ? block_take(heap, size, zeroed) : HeapAlloc(process_heap, flags, size);
    return heap_result(caller, index, flags, block_moved(block, bigger));
}

BOOL hm_native_heap_free(struct caller *caller, HANDLE of, DWORD flags, LPVOID block)
{
    const unsigned index = HOSTMEM_BRIDGE_HEAP_FREE;

    if (of == process_heap && block_give(block)) {
        count(&caller->calls[index]);
        return TRUE;
    }
    if (of == process_heap)
        passed_on(block);
    return ORIGINAL(caller, index, heap_free_function)(of, flags, block);
}
