/*
 * malloc.c - Alloc, DebugAlloc, Free, and the leak list
 *
 * Below manager.c, which makes managers and hands out their heaps; above lifetime.c, since a heap keeps its manager.
 * An object lives in its manager's pool, so a walk may look at an object that is going: it takes a reference
 * only if there is one left to share.
 */
#include "com/malloc.h"

#include "com/unknown.h"
#include "maps/pages.h"
#include "memory/hresult.h"
#include "memory/os.h"
#include "memory/patience.h"

enum { FILE_NAME_BYTES = 128 };

/* Before every block; its size is a multiple of the heap's alignment. */
struct block_header {
    SIZE_T bytes;
    struct debug_info *debug; /* behind the caller's bytes, NULL from Alloc */
};

struct debug_info {
    int32_t line;
    bool has_file;
    char file[FILE_NAME_BYTES];
};

_Static_assert(sizeof(struct block_header) == BLOCK_MAP_ALIGN, "blocks keep the alignment of HeapAlloc");

static struct malloc_object *impl_from_IHostMalloc(IHostMalloc *iface)
{
    return CONTAINING_RECORD(iface, struct malloc_object, iface);
}

static struct vm *vm_of(struct malloc_object *object)
{
    return &object->manager->vm;
}

/* The next live block at or above *from, copied out under the heap's lock so that Free cannot take it
 * away. */
static bool next_block(struct malloc_object *object, uintptr_t *from, hostmem_block *block, char *file)
{
    bool serialized = (object->flags & MALLOC_THREADSAFE) != 0;
    for (;;) {
        uintptr_t address = hm_block_map_next(object->blocks, *from);
        if (address == 0)
            return false;
        *from = address + 1;
        if (serialized && !hm_os_heap_lock(object->heap))
            return false;
        bool live = block_map_has(object->blocks, address);
        if (live) {
            const struct block_header *header = (const struct block_header *)address - 1;
            *block = (hostmem_block){.size = sizeof *block,
                                     .address = (void *)address,
                                     .bytes = header->bytes,
                                     .heap = &object->iface,
                                     .malloc_flags = object->flags};
            if (header->debug != NULL) {
                block->line = header->debug->line;
                for (unsigned i = 0; i < FILE_NAME_BYTES; i++)
                    file[i] = header->debug->file[i];
                block->file = header->debug->has_file ? file : NULL;
            }
        }
        if (serialized)
            hm_os_heap_unlock(object->heap);
        if (live)
            return true;
    }
}

static HRESULT walk(struct malloc_object *object, bool stop_early, hostmem_block_callback callback,
                    void *context)
{
    uintptr_t from = 0;
    hostmem_block block;
    char file[FILE_NAME_BYTES];
    while (next_block(object, &from, &block, file)) {
        HRESULT result = callback(&block, context);
        if (result != S_OK && stop_early)
            return result;
    }
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE malloc_QueryInterface(IHostMalloc *iface, REFIID riid, void **out)
{
    return unknown_query(iface, &IID_IHostMalloc, riid, out);
}

static ULONG STDMETHODCALLTYPE malloc_AddRef(IHostMalloc *iface)
{
    return references_add(&impl_from_IHostMalloc(iface)->references);
}

static HRESULT HOSTMEM_CALL add_block(const hostmem_block *block, void *context)
{
    struct block_sums *sums = context;
    sums->blocks++;
    sums->bytes += block->bytes;
    return S_OK;
}

/* The last reference has gone.  A heap with live blocks stays: somebody may still hold them. */
static void malloc_destroy(struct malloc_object *object)
{
    struct hostmem_manager *manager = object->manager;
    if (manager->options.leaked_block != NULL)
        walk(object, false, manager->options.leaked_block, manager->options.context);
    struct block_sums left = {.objects = 0};
    walk(object, false, add_block, &left);
    atomic_fetch_add_explicit(&manager->orphans, left.blocks, memory_order_relaxed);
    atomic_fetch_add_explicit(&manager->orphan_bytes, left.bytes, memory_order_relaxed);
    /* Not by what was counted: the walk ends where the heap's lock cannot be had. */
    if (hm_block_map_next(object->blocks, 0) == 0)
        hm_os_heap_destroy(object->heap);
    hm_block_map_destroy(object->blocks);
    hm_pages_release(object->blocks, sizeof *object->blocks);
    atomic_fetch_sub_explicit(&manager->vm.stats.metadata, sizeof *object->blocks, memory_order_relaxed);
    hm_pool_give(&manager->mallocs, object->number);
    hm_manager_release(manager);
}

static ULONG STDMETHODCALLTYPE malloc_Release(IHostMalloc *iface)
{
    struct malloc_object *object = impl_from_IHostMalloc(iface);
    uint32_t left;
    if (references_give(&object->references, &left))
        malloc_destroy(object);
    return left;
}

/* The end of a file name tells more than its beginning. */
static void copy_file_name(struct debug_info *debug, const char *file)
{
    if (file == NULL)
        return;
    debug->has_file = true;
    SIZE_T length = 0;
    while (file[length] != 0)
        length++;
    if (length >= FILE_NAME_BYTES)
        file += length - (FILE_NAME_BYTES - 1);
    for (unsigned i = 0; i < FILE_NAME_BYTES - 1 && file[i] != 0; i++)
        debug->file[i] = file[i];
}

/* Where a block came from. */
struct site {
    const char *file;
    int line;
};

/* Behind the caller's bytes, with what it takes to align it. */
enum { DEBUG_ALIGN = _Alignof(struct debug_info), DEBUG_BYTES = sizeof(struct debug_info) + DEBUG_ALIGN - 1 };

static void note_site(struct block_header *header, const struct site *site)
{
    uintptr_t behind = (uintptr_t)(header + 1) + header->bytes + DEBUG_ALIGN - 1;
    header->debug = (struct debug_info *)(behind & ~(uintptr_t)(DEBUG_ALIGN - 1));
    header->debug->line = site->line;
    copy_file_name(header->debug, site->file);
}

/* Charge a block, have it from the heap, zeroed, and let it be known as one; it is still to be counted.  `site`: NULL from
 * Alloc.  False: nothing is charged. */
static inline bool try_block(struct malloc_object *object, struct charge *charge, unsigned level,
                             const struct site *site, void **memory, struct shortage *shortage)
{
    struct vm *vm = vm_of(object);
    const SIZE_T bytes = (SIZE_T)charge->bytes;
    const SIZE_T total = sizeof(struct block_header) + bytes + (site != NULL ? DEBUG_BYTES : 0);
    *shortage = (struct shortage){.error = 0};
    if (total < bytes)
        return false;
    if (!blocks_charge(&vm->quota, charge)) {
        hm_vm_refuse(vm, charge, level, HOSTMEM_USE_OTHER);
        return false;
    }
    struct block_header *header = hm_os_heap_alloc(object->heap, total);
    if (header == NULL) {
        hm_blocks_cancel(&vm->quota, charge);
        shortage->error = ERROR_NOT_ENOUGH_MEMORY; /* a heap leaves none, and there is no other */
        return false;
    }
    header->bytes = bytes;
    if (site != NULL)
        note_site(header, site);
    if (!block_map_add(object->blocks, (uintptr_t)(header + 1))) {
        hm_os_heap_free(object->heap, header);
        hm_blocks_cancel(&vm->quota, charge);
        *shortage = shortage_of_metadata(bytes);
        return false;
    }
    const struct budget *overrun = blocks_settle(&vm->quota, charge);
    if (overrun != NULL)
        hm_vm_notify_overrun(vm, charge, level, HOSTMEM_USE_OTHER, overrun);
    *memory = header + 1;
    RECORD_TOO(vm, HOSTMEM_TRACE_BLOCKS, TRACE_BLOCK_ALLOC, (uintptr_t)*memory, bytes, level);
    return true;
}

static inline HRESULT alloc(struct malloc_object *object, hostmem_method method, SIZE_T bytes, unsigned level,
                            const struct site *site, void **memory)
{
    struct vm *vm = vm_of(object);
    HRESULT result = E_POINTER;
    level = level_or_none(level);
    if (memory != NULL) {
        struct charge charge = {.bytes = bytes, .level = level, .kind = CHARGE_COMMIT};
        struct patience patience = patience_for(level, bytes);
        struct shortage shortage;
        bool made;
        *memory = NULL;
        while (!(made = try_block(object, &charge, level, site, memory, &shortage)) &&
               hm_patience_again(&patience, &shortage, vm, level, HOSTMEM_USE_OTHER))
            ;
        if (made)
            patience_forget(&patience);
        result = made ? S_OK : E_OUTOFMEMORY;
    }
    return stats_call(&vm->stats, method, level, result);
}

static HRESULT STDMETHODCALLTYPE malloc_Alloc(IHostMalloc *iface, SIZE_T bytes, EMemoryCriticalLevel level,
                                              void **memory)
{
    return alloc(impl_from_IHostMalloc(iface), HOSTMEM_MALLOC_ALLOC, bytes, level, NULL, memory);
}

static HRESULT STDMETHODCALLTYPE malloc_DebugAlloc(IHostMalloc *iface, SIZE_T bytes,
                                                   EMemoryCriticalLevel level, char *file, int line,
                                                   void **memory)
{
    const struct site site = {file, line};
    return alloc(impl_from_IHostMalloc(iface), HOSTMEM_MALLOC_DEBUG_ALLOC, bytes, level, &site, memory);
}

static HRESULT STDMETHODCALLTYPE malloc_Free(IHostMalloc *iface, void *memory)
{
    struct malloc_object *object = impl_from_IHostMalloc(iface);
    HRESULT result = S_OK;
    if (memory == NULL) {
        stats_count(&vm_of(object)->stats, STATS_BLOCKS, 1); /* one more than this call takes off */
    } else if (!block_map_remove(object->blocks, (uintptr_t)memory)) {
        result = HOST_E_INVALIDOPERATION;
    } else {
        struct block_header *header = (struct block_header *)memory - 1;
        SIZE_T bytes = header->bytes;
        /* Before somebody else can be given it. */
        RECORD_TOO(vm_of(object), HOSTMEM_TRACE_BLOCKS, TRACE_BLOCK_FREE, (uintptr_t)memory, bytes);
        if (!hm_os_heap_free(object->heap, header)) {
            stats_count(&vm_of(object)->stats, STATS_BLOCKS, -1); /* a block no more */
            result = E_FAIL;
        }
        blocks_refund(&vm_of(object)->quota, bytes);
    }
    return stats_call(&vm_of(object)->stats, HOSTMEM_MALLOC_FREE, HOSTMEM_LEVEL_NONE, result);
}

static const IHostMallocVtbl malloc_vtbl = {
    malloc_QueryInterface, malloc_AddRef, malloc_Release, malloc_Alloc, malloc_DebugAlloc, malloc_Free,
};

HRESULT hm_malloc_create(struct hostmem_manager *manager, DWORD flags, IHostMalloc **out)
{
    HRESULT result;
    uint32_t number = hm_pool_take(&manager->mallocs);
    if (number == 0)
        return hm_vm_no_memory(&manager->vm, 0, HOSTMEM_LEVEL_NONE, HOSTMEM_USE_OTHER);
    struct malloc_object *object = pool_item(&manager->mallocs, number);

    struct block_map *blocks = pages_take(sizeof *blocks);
    if (blocks == NULL) {
        result = hm_vm_no_memory(&manager->vm, 0, HOSTMEM_LEVEL_NONE, HOSTMEM_USE_OTHER);
        goto give_object;
    }
    HANDLE heap = hm_os_heap_create((flags & MALLOC_THREADSAFE) != 0, (flags & MALLOC_EXECUTABLE) != 0);
    if (heap == NULL) {
        result = hresult_from_last_error();
        goto release_blocks;
    }
    atomic_fetch_add_explicit(&manager->vm.stats.metadata, sizeof *blocks, memory_order_relaxed);
    hm_block_map_init(blocks, &manager->vm.stats.metadata);
    object->flags = flags;
    object->iface.lpVtbl = &malloc_vtbl;
    object->heap = heap;
    object->blocks = blocks;
    object->manager = manager;
    object->number = number;
    manager_add_reference(manager);
    references_init(&object->references);
    *out = &object->iface;
    return S_OK;

release_blocks:
    hm_pages_release(blocks, sizeof *blocks);
give_object:
    hm_pool_give(&manager->mallocs, number);
    return result;
}

/* The first object above *number, up to `last`, that lives, with a reference; NULL: none. */
static struct malloc_object *next_object(struct hostmem_manager *manager, uint32_t *number, uint32_t last)
{
    while (*number < last) {
        struct malloc_object *object = pool_item(&manager->mallocs, ++*number);
        if (references_try_add(&object->references))
            return object;
    }
    return NULL;
}

HRESULT HOSTMEM_CALL hostmem_walk_blocks(hostmem_manager *manager, hostmem_block_callback callback,
                                         void *context)
{
    if (manager == NULL || callback == NULL)
        return E_POINTER;
    HRESULT result = S_OK;
    const uint32_t last = pool_used(&manager->mallocs);
    struct malloc_object *object;
    uint32_t number = 0;
    manager_add_reference(manager); /* the callback may give back the caller's */
    while (result == S_OK && (object = next_object(manager, &number, last)) != NULL) {
        result = walk(object, true, callback, context);
        IHostMalloc_Release(&object->iface);
    }
    hm_manager_release(manager);
    return result;
}

/* The first block whose header is not in committed memory; NULL: none. */
static void *first_lost(struct malloc_object *object)
{
    MEMORY_BASIC_INFORMATION info = {.RegionSize = 0};
    for (uintptr_t from = 0; (from = hm_block_map_next(object->blocks, from)) != 0; from++) {
        uintptr_t header = from - sizeof(struct block_header);
        bool known = header - (uintptr_t)info.BaseAddress < info.RegionSize;
        if (!known && hm_os_virtual_query((void *)header, &info, sizeof info) == 0)
            info.RegionSize = 0;
        else if (info.State != MEM_COMMIT)
            return (void *)from;
    }
    return NULL;
}

void hm_malloc_sum(struct hostmem_manager *manager, struct block_sums *sums)
{
    *sums = (struct block_sums){.pool = &manager->mallocs,
                                .blocks = atomic_load_explicit(&manager->orphans, memory_order_relaxed),
                                .bytes = atomic_load_explicit(&manager->orphan_bytes, memory_order_relaxed)};
    const uint32_t last = pool_used(&manager->mallocs);
    struct malloc_object *object;
    uint32_t number = 0;
    while ((object = next_object(manager, &number, last)) != NULL) {
        sums->objects++;
        void *lost = first_lost(object);
        if (lost == NULL)
            walk(object, false, add_block, sums); /* reads headers */
        else
            sums->lost = lost;
        IHostMalloc_Release(&object->iface);
    }
}
