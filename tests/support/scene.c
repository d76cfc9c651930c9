/*
 * scene.c - see scene.h
 */
#include "support/scene.h"

#include <stdlib.h>
#include <string.h>

#include "support/fake_os.h"
#include "support/fake_pages.h"

static char *map_view(void)
{
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_RESERVE, 0, 2 * GRANULE, NULL);
    char *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    assert_non_null(view);
    CloseHandle(section);
    return view;
}

static void report_view(struct scene *scene, char *view)
{
    assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(scene->f.memory, view, 0), S_OK);
}

static ULONG STDMETHODCALLTYPE one_more_or_less(ICLRMemoryNotificationCallback *iface)
{
    (void)iface;
    return 1;
}

static HRESULT STDMETHODCALLTYPE hear(ICLRMemoryNotificationCallback *iface, EMemoryAvailable available)
{
    (void)iface;
    (void)available;
    return S_OK;
}

static ICLRMemoryNotificationCallbackVtbl callback_vtbl = {
    .AddRef = one_more_or_less, .Release = one_more_or_less, .OnMemoryNotification = hear};
static ICLRMemoryNotificationCallback callback = {.lpVtbl = &callback_vtbl};

static HRESULT HOSTMEM_CALL relieve(void *start, SIZE_T size, void *context)
{
    (void)start;
    (void)size;
    (void)context;
    return S_OK;
}

void scene_make(struct scene *scene, unsigned with)
{
    static const struct os_memory machine = {
        .physical_available = 1 << 20, .job_limit = UINT64_MAX, .working_set_limit = UINT64_MAX};
    memset(scene, 0, sizeof *scene);
    /* The last one's pressure thread: the next one needs its own. */
    for (uint64_t end = GetTickCount64() + 30000; fake_os_threads() != 0; Sleep(1))
        assert_true(GetTickCount64() < end);
    fake_os_reset();
    fake_pages_fail_from(0);
    fake_os_set_memory(&machine);
    assert_hresult(hostmem_create_budget(NULL, &scene->budget), S_OK);
    hostmem_options options = {.size = sizeof options, .shared = scene->budget, .relief = relieve};
    assert_hresult(hostmem_create(&options, &scene->f.manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(scene->f.manager, &scene->f.memory), S_OK);
    scene->callback = &callback;
    scene->pages = with & WITH_SMALL    ? SCENE_SMALL
                   : with & WITH_MIDDLE ? SCENE_MIDDLE
                   : with & WITH_BIG    ? SCENE_BIG
                                        : 0;
    if (scene->pages != 0) {
        scene->region = fixture_alloc(&scene->f, NULL, scene->pages * PAGE, MEM_RESERVE, PAGE_READWRITE);
        if (!(with & WITH_NO_PAGE))
            fixture_alloc(&scene->f, scene->region + 2 * PAGE, SCENE_COMMITTED * PAGE, MEM_COMMIT,
                          PAGE_READWRITE);
    }
    for (unsigned i = 0; i < 2 && (with & WITH_TWINS); i++) {
        const SIZE_T stripe = (SIZE_T)64 << 20; /* of bits; eight come with the first */
        scene->twins[i] = fixture_alloc(&scene->f, NULL, SCENE_BIG * PAGE, MEM_RESERVE, PAGE_READWRITE);
        for (SIZE_T at = 0; at < SCENE_BIG * PAGE; at += stripe)
            fixture_alloc(&scene->f, scene->twins[i] + at, PAGE, MEM_COMMIT, PAGE_READWRITE);
    }
    if (with & WITH_FOREIGN)
        scene->foreign = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    if (with & (WITH_VIEW | WITH_NEW_VIEW | WITH_OLD_VIEW))
        scene->view = map_view();
    if (with & (WITH_VIEW | WITH_OLD_VIEW))
        report_view(scene, scene->view);
    if (with & WITH_OLD_VIEW) {
        UnmapViewOfFile(scene->view);
        scene->old_view = scene->view;
        scene->view = NULL;
    }
    if (with & (WITH_HEAP | WITH_BLOCK))
        assert_hresult(IHostMemoryManager_CreateMalloc(scene->f.memory, MALLOC_THREADSAFE, &scene->heap),
                       S_OK);
    if (with & WITH_BLOCK)
        assert_hresult(IHostMalloc_Alloc(scene->heap, 100, eTaskCritical, &scene->block), S_OK);
}

static void give_back_made(struct scene *scene)
{
    if (scene->second != NULL)
        hostmem_release(scene->second);
    if (scene->control != NULL)
        IHostControl_Release(scene->control);
    hostmem_release_budget(scene->second_budget);
    if (scene->second_heap != NULL)
        IHostMalloc_Release(scene->second_heap);
    if (scene->made != NULL)
        fixture_free(&scene->f, scene->made, 0, MEM_RELEASE);
}

void scene_end(struct scene *scene)
{
    fake_os_reset();
    fake_pages_fail_from(0);
    give_back_made(scene);
    if (scene->block != NULL)
        assert_hresult(IHostMalloc_Free(scene->heap, scene->block), S_OK);
    if (scene->heap != NULL)
        IHostMalloc_Release(scene->heap);
    if (scene->region != NULL)
        fixture_free(&scene->f, scene->region, 0, MEM_RELEASE);
    for (unsigned i = 0; i < 2; i++)
        if (scene->twins[i] != NULL)
            fixture_free(&scene->f, scene->twins[i], 0, MEM_RELEASE);
    if (scene->foreign != NULL)
        VirtualFree(scene->foreign, 0, MEM_RELEASE);
    if (scene->view != NULL)
        UnmapViewOfFile(scene->view);
    char *views[] = {scene->view, scene->old_view};
    for (int i = 0; i < 2; i++)
        if (views[i] != NULL)
            IHostMemoryManager_ReleasedVirtualAddressSpace(scene->f.memory, views[i]);
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *f = scene->f;
    void *state = f;
    fixture_teardown(&state); /* and frees */
    hostmem_release_budget(scene->budget);
    assert_int_equal(fake_pages_outstanding(), 0);
    assert_int_equal(fake_os_outstanding(), 0);
}

struct scene_figures scene_figures(struct scene *scene)
{
    hostmem_statistics statistics = fixture_statistics(scene->f.manager);
    return (struct scene_figures){.reserved = statistics.reserved.now,
                                  .committed = statistics.committed.now,
                                  .mapped = statistics.mapped.now,
                                  .view_committed = statistics.view_committed.now,
                                  .heap = statistics.heap.now,
                                  .charged = statistics.charged.now,
                                  .regions = statistics.regions,
                                  .views = statistics.views,
                                  .blocks = statistics.blocks,
                                  .outstanding = (uint64_t)fake_os_outstanding()};
}

void assert_figures(const char *what, const struct scene_figures *now, const struct scene_figures *expected)
{
    if (memcmp(now, expected, sizeof *now) == 0)
        return;
    const uint64_t *a = &now->reserved, *b = &expected->reserved;
    for (unsigned i = 0; i < sizeof *now / sizeof *a; i++)
        print_message("figure %u: %llu, expected %llu\n", i, (unsigned long long)a[i],
                      (unsigned long long)b[i]);
    fail_msg("%s: other figures", what);
}
