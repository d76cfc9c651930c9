/*
 * test_host_control.c - the ready IHostControl: which IIDs it answers itself, what it passes on,
 * and its references
 */
#include "support/manager_fixture.h"
#include "support/verified.h"

/* The host's own IHostControl: answers one IID with itself, and remembers what it was told. */
struct host {
    IHostControl iface;
    ULONG references;
    unsigned asked, told;
    GUID iid;
    DWORD domain;
    IUnknown *manager;
    HRESULT answer;
};

static struct host *host_of(IHostControl *iface)
{
    return (struct host *)iface;
}

static HRESULT STDMETHODCALLTYPE host_QueryInterface(IHostControl *iface, REFIID riid, void **out)
{
    (void)iface;
    (void)riid;
    (void)out;
    fail(); /* it is used as it was given */
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE host_AddRef(IHostControl *iface)
{
    return ++host_of(iface)->references;
}

static ULONG STDMETHODCALLTYPE host_Release(IHostControl *iface)
{
    return --host_of(iface)->references;
}

static HRESULT STDMETHODCALLTYPE host_GetHostManager(IHostControl *iface, REFIID riid, void **out)
{
    struct host *host = host_of(iface);
    host->asked++;
    host->iid = *riid;
    assert_null(*out);
    if (host->answer == S_OK)
        *out = iface;
    return host->answer;
}

static HRESULT STDMETHODCALLTYPE host_SetAppDomainManager(IHostControl *iface, DWORD domain,
                                                          IUnknown *manager)
{
    struct host *host = host_of(iface);
    host->told++;
    host->domain = domain;
    host->manager = manager;
    return host->answer;
}

static IHostControlVtbl host_vtbl = {host_QueryInterface, host_AddRef, host_Release, host_GetHostManager,
                                     host_SetAppDomainManager};

static const GUID some_iid = {0x12345678, 0x1234, 0x5678, {1, 2, 3, 4, 5, 6, 7, 8}};

static ULONG manager_references(struct fixture *f)
{
    IHostMemoryManager_AddRef(f->memory);
    return IHostMemoryManager_Release(f->memory);
}

static void test_arguments(void **state)
{
    struct fixture *f = *state;
    IHostControl *control = (IHostControl *)1;
    assert_hresult(hostmem_create_host_control(f->manager, NULL, NULL), E_POINTER);
    assert_hresult(hostmem_create_host_control(NULL, NULL, &control), E_POINTER);
    assert_null(control);
    struct host host = {{&host_vtbl}, .references = 1};
    assert_hresult(hostmem_create_host_control(NULL, &host.iface, &control), E_POINTER);
    assert_int_equal(host.references, 1);
    assert_int_equal(manager_references(f), 2);
}

static void test_query_interface(void **state)
{
    struct fixture *f = *state;
    IHostControl *control;
    void *out;
    assert_hresult(hostmem_create_host_control(f->manager, NULL, &control), S_OK);
    assert_hresult(IHostControl_QueryInterface(control, &IID_IUnknown, &out), S_OK);
    assert_ptr_equal(out, control);
    assert_hresult(IHostControl_QueryInterface(control, &IID_IHostControl, &out), S_OK);
    assert_ptr_equal(out, control);
    assert_int_equal(IHostControl_Release(control), 2);
    assert_int_equal(IHostControl_Release(control), 1);
    const GUID *others[] = {&IID_IHostMemoryManager, &IID_IHostMalloc, &some_iid};
    for (unsigned i = 0; i < 3; i++) {
        out = (void *)1;
        assert_hresult(IHostControl_QueryInterface(control, others[i], &out), E_NOINTERFACE);
        assert_null(out);
    }
    assert_hresult(IHostControl_QueryInterface(control, &IID_IUnknown, NULL), E_POINTER);
    assert_int_equal(IHostControl_AddRef(control), 2);
    assert_int_equal(IHostControl_Release(control), 1);
    assert_int_equal(IHostControl_Release(control), 0);
}

/* The CLR keeps one reference for each answer and gives none back. */
static void test_the_memory_manager_is_ours(void **state)
{
    struct fixture *f = *state;
    struct host host = {{&host_vtbl}, .references = 1, .answer = S_OK};
    IHostControl *control;
    assert_hresult(hostmem_create_host_control(f->manager, &host.iface, &control), S_OK);
    assert_int_equal(host.references, 2);
    assert_int_equal(manager_references(f), 3);
    for (ULONG i = 1; i <= 3; i++) {
        void *out = NULL;
        assert_hresult(IHostControl_GetHostManager(control, &IID_IHostMemoryManager, &out), S_OK);
        assert_ptr_equal(out, f->memory);
        assert_int_equal(manager_references(f), 3 + i);
    }
    assert_int_equal(host.asked, 0);
    assert_hresult(IHostControl_GetHostManager(control, &IID_IHostMemoryManager, NULL), E_POINTER);
    assert_int_equal(manager_references(f), 6);
    assert_int_equal(IHostControl_Release(control), 0);
    assert_int_equal(host.references, 1);
    assert_int_equal(manager_references(f), 5);
    for (int i = 0; i < 3; i++)
        IHostMemoryManager_Release(f->memory); /* the CLR would not */
    assert_int_equal(manager_references(f), 2);
}

static void test_without_a_host_of_its_own(void **state)
{
    struct fixture *f = *state;
    IHostControl *control;
    assert_hresult(hostmem_create_host_control(f->manager, NULL, &control), S_OK);
    const GUID *others[] = {&some_iid, &IID_IUnknown, &IID_IHostMalloc, &IID_IHostGCManager};
    for (unsigned i = 0; i < 4; i++) {
        void *out = (void *)1;
        assert_hresult(IHostControl_GetHostManager(control, others[i], &out), E_NOINTERFACE);
        assert_null(out);
        assert_hresult(IHostControl_GetHostManager(control, others[i], NULL), E_POINTER);
    }
    assert_hresult(IHostControl_SetAppDomainManager(control, 1, NULL), S_OK);
    assert_int_equal(IHostControl_Release(control), 0);
}

static void test_the_rest_is_passed_on(void **state)
{
    struct fixture *f = *state;
    static const HRESULT answers[] = {S_OK, S_FALSE, E_NOINTERFACE, E_FAIL};
    struct host host = {{&host_vtbl}, .references = 1};
    IHostControl *control;
    assert_hresult(hostmem_create_host_control(f->manager, &host.iface, &control), S_OK);
    for (unsigned i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        void *out = (void *)1;
        host.answer = answers[i];
        assert_hresult(IHostControl_GetHostManager(control, &some_iid, &out), answers[i]);
        assert_ptr_equal(out, answers[i] == S_OK ? (void *)&host.iface : NULL);
        assert_int_equal(host.asked, i + 1);
        assert_memory_equal(&host.iid, &some_iid, sizeof some_iid);
        assert_hresult(IHostControl_SetAppDomainManager(control, 7 + i, (IUnknown *)f->memory), answers[i]);
        assert_int_equal(host.told, i + 1);
        assert_int_equal(host.domain, 7 + i);
        assert_ptr_equal(host.manager, f->memory);
    }
    assert_int_equal(host.references, 2);
    assert_int_equal(IHostControl_Release(control), 0);
    assert_int_equal(host.references, 1);
}

/* As the CLR does it: memory manager, its heap at once, the host control kept; then nothing is ever
 * released. */
static void test_a_host_lets_go_while_the_clr_holds_on(void **state)
{
    (void)state;
    hostmem_manager *manager;
    IHostControl *control;
    IHostMalloc *heap = NULL;
    void *out, *region, *block;
    assert_hresult(hostmem_create(NULL, &manager), S_OK);
    assert_hresult(hostmem_create_host_control(manager, NULL, &control), S_OK);
    assert_hresult(IHostControl_GetHostManager(control, &IID_IHostMemoryManager, &out), S_OK);
    IHostMemoryManager *memory = out;
    assert_hresult(IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap), S_OK);
    assert_int_equal(IHostControl_Release(control), 0); /* Stop */
    assert_hresult(hostmem_shutdown(manager), S_OK);
    assert_true(verified(manager));
    hostmem_release(manager);
    assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, PAGE, MEM_COMMIT, PAGE_READWRITE,
                                                   eProcessCritical, &region),
                   HOST_E_CLRNOTAVAILABLE);
    assert_hresult(IHostMalloc_Alloc(heap, 10, eProcessCritical, &block), S_OK);
    assert_hresult(IHostMalloc_Free(heap, block), S_OK);
    assert_int_equal(IHostMalloc_Release(heap), 0);
    assert_int_equal(IHostMemoryManager_Release(memory), 0); /* nobody else */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_arguments),
        fixture_test(test_query_interface),
        fixture_test(test_the_memory_manager_is_ours),
        fixture_test(test_without_a_host_of_its_own),
        fixture_test(test_the_rest_is_passed_on),
        cmocka_unit_test(test_a_host_lets_go_while_the_clr_holds_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
