/*
 * test_references.c - objects that are referred to while they end: by whom they tell of leaks, by what they release, and by
 * the callbacks of walks
 */
#include "support/fake_os.h"
#include "support/fake_pages.h"
#include "support/listener.h"
#include "support/verified.h"

static hostmem_manager *make(void)
{
    hostmem_manager *manager;
    assert_hresult(hostmem_create(NULL, &manager), S_OK);
    return manager;
}

static unsigned told;

/* A manager that tells of leaks, in *manager; its interface. */
static IHostMemoryManager *make_that_tells(const hostmem_options *options, hostmem_manager **manager)
{
    IHostMemoryManager *memory;
    fake_os_reset();
    told = 0;
    assert_hresult(hostmem_create(options, manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(*manager, &memory), S_OK);
    return memory;
}

static HRESULT HOSTMEM_CALL leaked_region(const hostmem_region *region, void *context)
{
    IHostMemoryManager *memory;
    hm_os_virtual_free(region->base, 0, MEM_RELEASE); /* what leaked is the host's now */
    if (++told == 1) {
        hostmem_get_memory_manager(*(hostmem_manager **)context, &memory);
        IHostMemoryManager_AddRef(memory);
        assert_int_equal(IHostMemoryManager_Release(memory), 1);
        assert_int_equal(IHostMemoryManager_Release(memory), 0);
    }
    return S_OK;
}

static void test_a_manager_that_tells_of_leaks(void **state)
{
    (void)state;
    hostmem_manager *manager;
    void *base;
    hostmem_options options = {.size = sizeof options, .leaked_region = leaked_region, .context = &manager};
    IHostMemoryManager *memory = make_that_tells(&options, &manager);
    assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE,
                                                   eTaskCritical, &base),
                   S_OK);
    IHostMemoryManager_Release(memory);
    hostmem_release(manager);
    assert_int_equal(told, 1);
    assert_int_equal(fake_pages_outstanding(), 0);
}

static HRESULT HOSTMEM_CALL leaked_block(const hostmem_block *block, void *context)
{
    if (++told == 1) {
        IHostMalloc_AddRef(block->heap);
        assert_int_equal(IHostMalloc_Release(block->heap), 0);
        assert_hresult(hostmem_walk_blocks(*(hostmem_manager **)context, leaked_block, context), S_OK);
        assert_hresult(IHostMalloc_Free(block->heap, block->address), S_OK);
    }
    return S_OK;
}

static void test_a_heap_that_tells_of_leaks(void **state)
{
    (void)state;
    hostmem_manager *manager;
    hostmem_options options = {.size = sizeof options, .leaked_block = leaked_block, .context = &manager};
    IHostMemoryManager *memory = make_that_tells(&options, &manager);
    for (int i = 0; i < 2; i++) { /* the second in the place of the first */
        IHostMalloc *heap;
        void *block;
        told = 0;
        assert_hresult(IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap), S_OK);
        assert_hresult(IHostMalloc_Alloc(heap, 100, eTaskCritical, &block), S_OK);
        assert_int_equal(IHostMalloc_Release(heap), 0);
        assert_int_equal(told, 1);
        assert_true(verified(manager));
    }
    assert_int_equal(IHostMemoryManager_Release(memory), 1);
    hostmem_release(manager);
    assert_int_equal(fake_pages_outstanding(), 0);
}

/* A host's own IHostControl, and a CLR's callback, which look back when they are released. */
static IHostControl *control;
static hostmem_manager *looked_at;
static unsigned released;

static ULONG STDMETHODCALLTYPE next_addref(IHostControl *iface)
{
    (void)iface;
    return 2;
}

static ULONG STDMETHODCALLTYPE next_release(IHostControl *iface)
{
    (void)iface;
    if (++released == 1) {
        IHostControl_AddRef(control);
        IHostControl_Release(control);
    }
    return 1;
}

static void test_a_host_control(void **state)
{
    (void)state;
    static const IHostControlVtbl vtable = {.AddRef = next_addref, .Release = next_release};
    static IHostControl next = {.lpVtbl = (IHostControlVtbl *)&vtable};
    fake_os_reset();
    released = 0;
    hostmem_manager *manager = make();
    assert_hresult(hostmem_create_host_control(manager, &next, &control), S_OK);
    assert_int_equal(IHostControl_Release(control), 0);
    assert_int_equal(released, 1);
    assert_true(verified(manager));
    hostmem_release(manager);
    assert_int_equal(fake_pages_outstanding(), 0);
}

static ULONG STDMETHODCALLTYPE callback_addref(ICLRMemoryNotificationCallback *iface)
{
    (void)iface;
    return 2;
}

static ULONG STDMETHODCALLTYPE callback_release(ICLRMemoryNotificationCallback *iface)
{
    IHostMemoryManager *memory;
    if (++released == 1) {
        hostmem_get_memory_manager(looked_at, &memory);
        IHostMemoryManager_RegisterMemoryNotificationCallback(memory, iface);
        IHostMemoryManager_Release(memory);
    }
    return 1;
}

static HRESULT STDMETHODCALLTYPE callback_call(ICLRMemoryNotificationCallback *iface, EMemoryAvailable level)
{
    (void)iface, (void)level;
    return S_OK;
}

static void test_a_callback_that_is_released(void **state)
{
    (void)state;
    static const ICLRMemoryNotificationCallbackVtbl vtable = {
        .AddRef = callback_addref, .Release = callback_release, .OnMemoryNotification = callback_call};
    static ICLRMemoryNotificationCallback callback = {.lpVtbl =
                                                          (ICLRMemoryNotificationCallbackVtbl *)&vtable};
    IHostMemoryManager *memory;
    fake_os_reset();
    released = 0;
    looked_at = make();
    assert_hresult(hostmem_get_memory_manager(looked_at, &memory), S_OK);
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(memory, &callback), S_OK);
    IHostMemoryManager_Release(memory);
    hostmem_release(looked_at);
    assert_int_equal(released, 2); /* and the one that it registered, which was not kept */
    wait_for(fake_os_threads() == 0);
    assert_int_equal(fake_pages_outstanding(), 0);
}

/* A walk's callback may call anything. */
static HRESULT HOSTMEM_CALL release_at_region(const hostmem_region *region, void *context)
{
    (void)region;
    if (++told == 1)
        hostmem_release(context);
    return S_OK;
}

static HRESULT HOSTMEM_CALL release_at_block(const hostmem_block *block, void *context)
{
    if (++told == 1) {
        IHostMalloc_Release(block->heap);
        hostmem_release(context);
    }
    return S_OK;
}

static void test_the_last_reference_goes_within_a_walk(void **state)
{
    (void)state;
    fake_os_reset();
    for (int i = 0; i < 2; i++) {
        hostmem_manager *manager = make();
        IHostMemoryManager *memory;
        IHostMalloc *heap;
        void *region[3], *block;
        assert_hresult(hostmem_get_memory_manager(manager, &memory), S_OK);
        for (int n = 0; n < 3; n++)
            assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE,
                                                           eTaskCritical, &region[n]),
                           S_OK);
        if (i == 1) {
            assert_hresult(IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap), S_OK);
            assert_hresult(IHostMalloc_Alloc(heap, 100, eTaskCritical, &block), S_OK);
            assert_hresult(IHostMalloc_Alloc(heap, 100, eTaskCritical, &block), S_OK);
        }
        IHostMemoryManager_Release(memory);
        told = 0;
        assert_hresult(i == 0 ? hostmem_walk_regions(manager, release_at_region, manager)
                              : hostmem_walk_blocks(manager, release_at_block, manager),
                       S_OK);
        assert_int_equal(told, i == 0 ? 3 : 2);
        assert_int_equal(fake_pages_outstanding(), 0);
        for (int n = 0; n < 3; n++)
            hm_os_virtual_free(region[n], 0, MEM_RELEASE);
    }
}

/* The last reference to a heap is given back while hostmem_verify looks at it, and the last to the manager by whoever is
 * told of what leaked. */
static IHostMalloc *looked_into;

static void release_what_is_looked_into(void)
{
    fake_os_at(FAKE_OS_QUERIES, NULL);
    assert_int_equal(IHostMalloc_Release(looked_into), 1);
}

static HRESULT HOSTMEM_CALL release_at_leak(const hostmem_block *block, void *context)
{
    (void)block;
    told++;
    hostmem_release(*(hostmem_manager **)context);
    return S_OK;
}

static void test_the_last_reference_goes_within_a_check(void **state)
{
    (void)state;
    hostmem_manager *manager;
    void *block;
    hostmem_options options = {.size = sizeof options, .leaked_block = release_at_leak, .context = &manager};
    IHostMemoryManager *memory = make_that_tells(&options, &manager);
    assert_hresult(IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &looked_into), S_OK);
    assert_hresult(IHostMalloc_Alloc(looked_into, 100, eTaskCritical, &block), S_OK);
    IHostMemoryManager_Release(memory);
    fake_os_at(FAKE_OS_QUERIES, release_what_is_looked_into);
    assert_hresult(hostmem_verify(manager, NULL), S_OK);
    assert_int_equal(told, 1);
    assert_int_equal(fake_pages_outstanding(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_manager_that_tells_of_leaks),
        cmocka_unit_test(test_a_heap_that_tells_of_leaks),
        cmocka_unit_test(test_a_host_control),
        cmocka_unit_test(test_a_callback_that_is_released),
        cmocka_unit_test(test_the_last_reference_goes_within_a_walk),
        cmocka_unit_test(test_the_last_reference_goes_within_a_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
