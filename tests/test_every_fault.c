/*
 * test_every_fault.c - each call of Windows in each operation is made to fail in turn
 *
 * An operation is done once without a failure, to see what it calls.  Then, on a new manager each time, its n-th call of
 * one function fails, with each error that Windows may give; also while VirtualQuery, to which the accounting turns in doubt,
 * does not answer.  Whatever comes of it, the accounting agrees with itself and with the real VirtualQuery; a failure is
 * reported as what it was and has changed nothing; and the operation, done again, ends where it ends without
 * a failure.
 */
#include "support/scene.h"

#include <string.h>

#include "memory/hresult.h"
#include "support/fake_os.h"
#include "support/fake_pages.h"
#include "support/free_space.h"
#include "support/verified.h"

/* The operations */

static HRESULT take(struct scene *s, void *address, SIZE_T pages, DWORD type)
{
    void *memory = (void *)1;
    SetLastError(NO_ERROR_SET); /* `address` may have been looked for */
    HRESULT result = IHostMemoryManager_VirtualAlloc(s->f.memory, address, pages * PAGE, type, PAGE_READWRITE,
                                                     eTaskCritical, &memory);
    assert_true((result == S_OK) == (memory != NULL));
    if (result == S_OK && (address == NULL || (type & MEM_RESERVE)))
        s->made = memory;
    return result;
}

static HRESULT give(struct scene *s, SIZE_T first, SIZE_T pages, DWORD type)
{
    HRESULT result =
        IHostMemoryManager_VirtualFree(s->f.memory, s->region + first * PAGE, pages * PAGE, type);
    if (result == S_OK && type == MEM_RELEASE)
        s->region = NULL;
    return result;
}

static HRESULT reserve_small(struct scene *s)
{
    return take(s, NULL, SCENE_SMALL, MEM_RESERVE);
}
static HRESULT reserve_middle(struct scene *s)
{
    return take(s, NULL, SCENE_MIDDLE, MEM_RESERVE);
}
static HRESULT reserve_big(struct scene *s)
{
    return take(s, NULL, SCENE_BIG, MEM_RESERVE);
}
static HRESULT allocate_small(struct scene *s)
{
    return take(s, NULL, SCENE_SMALL, MEM_RESERVE | MEM_COMMIT);
}
static HRESULT allocate_middle(struct scene *s)
{
    return take(s, NULL, SCENE_MIDDLE, MEM_COMMIT);
}
static HRESULT allocate_big(struct scene *s)
{
    return take(s, NULL, SCENE_BIG, MEM_RESERVE | MEM_COMMIT);
}
static HRESULT reserve_there(struct scene *s)
{
    return take(s, free_space_find(GRANULE), SCENE_SMALL / 4, MEM_RESERVE);
}
static HRESULT reserve_where_a_view_was(struct scene *s)
{
    return take(s, s->old_view, GRANULE / PAGE, MEM_RESERVE | MEM_COMMIT);
}

static HRESULT commit(struct scene *s)
{
    return take(s, s->region + PAGE, 10, MEM_COMMIT);
}
static HRESULT commit_again(struct scene *s)
{
    return take(s, s->region + 3 * PAGE, 1, MEM_COMMIT);
}
static HRESULT commit_far(struct scene *s)
{
    return take(s, s->region + 16380 * PAGE, 17000, MEM_COMMIT);
}
static HRESULT commit_foreign(struct scene *s)
{
    return take(s, s->foreign, 3, MEM_COMMIT);
}
static HRESULT commit_in_view(struct scene *s)
{
    return take(s, s->view + PAGE, 3, MEM_COMMIT);
}
static HRESULT reset(struct scene *s)
{
    return take(s, s->region + 2 * PAGE, 2, MEM_RESET);
}
static HRESULT decommit(struct scene *s)
{
    return give(s, 3, 2, MEM_DECOMMIT);
}
static HRESULT decommit_all(struct scene *s)
{
    return give(s, 0, 0, MEM_DECOMMIT);
}
static HRESULT release_it(struct scene *s)
{
    return give(s, 0, 0, MEM_RELEASE);
}

static HRESULT query(struct scene *s)
{
    MEMORY_BASIC_INFORMATION info;
    SIZE_T written = 99;
    HRESULT result = IHostMemoryManager_VirtualQuery(s->f.memory, s->region, &info, sizeof info, &written);
    assert_int_equal(written, result == S_OK ? sizeof info : 0);
    return result;
}

static HRESULT protect(struct scene *s)
{
    DWORD old = 99;
    return IHostMemoryManager_VirtualProtect(s->f.memory, s->region + 2 * PAGE, PAGE, PAGE_READWRITE, &old);
}

static HRESULT load(struct scene *s)
{
    DWORD percent = 99;
    SIZE_T available = 99;
    HRESULT result = IHostMemoryManager_GetMemoryLoad(s->f.memory, &percent, &available);
    assert_int_equal(available, result == S_OK ? 1 << 20 : 0);
    return result;
}

static HRESULT acquired(struct scene *s)
{
    return IHostMemoryManager_AcquiredVirtualAddressSpace(s->f.memory, s->view, 0);
}

static HRESULT released(struct scene *s)
{
    return IHostMemoryManager_ReleasedVirtualAddressSpace(s->f.memory, s->old_view);
}

static HRESULT needs(struct scene *s)
{
    return IHostMemoryManager_NeedsVirtualAddressSpace(s->f.memory, free_space_find(GRANULE), PAGE);
}

static HRESULT create_malloc(struct scene *s)
{
    s->second_heap = (IHostMalloc *)1;
    HRESULT result = IHostMemoryManager_CreateMalloc(s->f.memory, MALLOC_EXECUTABLE, &s->second_heap);
    assert_true((result == S_OK) == (s->second_heap != NULL));
    return result;
}

static HRESULT block_alloc(struct scene *s)
{
    s->block = (void *)1;
    HRESULT result = IHostMalloc_Alloc(s->heap, 1000, eTaskCritical, &s->block);
    assert_true((result == S_OK) == (s->block != NULL));
    return result;
}

static HRESULT block_debug_alloc(struct scene *s)
{
    s->block = (void *)1;
    HRESULT result = IHostMalloc_DebugAlloc(s->heap, 1000, eTaskCritical, "file", 5, &s->block);
    assert_true((result == S_OK) == (s->block != NULL));
    return result;
}

static HRESULT block_free(struct scene *s)
{
    HRESULT result = IHostMalloc_Free(s->heap, s->block);
    s->block = NULL; /* nobody's, whatever the heap says */
    return result;
}

static HRESULT HOSTMEM_CALL go_on(const hostmem_region *region, void *context)
{
    (void)region;
    (void)context;
    return S_OK;
}

static HRESULT HOSTMEM_CALL go_on_block(const hostmem_block *block, void *context)
{
    (void)block;
    (void)context;
    return S_OK;
}

static HRESULT walk(struct scene *s)
{
    hostmem_walk_blocks(s->f.manager, go_on_block, NULL);
    return hostmem_walk_regions(s->f.manager, go_on, NULL);
}

static HRESULT verify(struct scene *s)
{
    return hostmem_verify(s->f.manager, NULL);
}

static HRESULT create(struct scene *s)
{
    s->second = (hostmem_manager *)1;
    HRESULT result = hostmem_create(NULL, &s->second);
    assert_true((result == S_OK) == (s->second != NULL));
    return result;
}

static void HOSTMEM_CALL hear(const hostmem_event *event, void *context)
{
    (void)event;
    (void)context;
}

static HRESULT create_with_events(struct scene *s)
{
    hostmem_options options = {.size = sizeof options, .shared = s->budget, .event = hear};
    s->second = (hostmem_manager *)1;
    HRESULT result = hostmem_create(&options, &s->second);
    assert_true((result == S_OK) == (s->second != NULL));
    return result;
}

static HRESULT create_budget(struct scene *s)
{
    s->second_budget = (hostmem_budget *)1;
    HRESULT result = hostmem_create_budget(NULL, &s->second_budget);
    assert_true((result == S_OK) == (s->second_budget != NULL));
    return result;
}

static HRESULT create_control(struct scene *s)
{
    s->control = (IHostControl *)1;
    HRESULT result = hostmem_create_host_control(s->f.manager, NULL, &s->control);
    assert_true((result == S_OK) == (s->control != NULL));
    return result;
}

static HRESULT enlist(struct scene *s)
{
    return IHostMemoryManager_RegisterMemoryNotificationCallback(s->f.memory, s->callback);
}

static HRESULT enlist_and_shut_down(struct scene *s)
{
    enlist(s);
    hostmem_force_pressure(s->f.manager, eMemoryAvailableLow);
    return hostmem_shutdown(s->f.manager);
}

enum {
    QUIET = 1, /* S_OK even if it fails: it has no way to say so */
    FINAL = 2, /* done even if it fails: there is no second time */
    OWN = 4    /* stands for no function of Windows': when it is done, the last error says nothing */
};

static const struct operation {
    const char *name;
    HRESULT (*run)(struct scene *scene);
    unsigned with, manners;
} operations[] = {
    {"reserve 160 KiB", reserve_small, 0, 0},
    {"reserve 4 MB", reserve_middle, 0, 0},
    {"reserve 160 MB", reserve_big, 0, 0},
    {"reserve at an address", reserve_there, 0, 0},
    {"reserve where a view was", reserve_where_a_view_was, WITH_OLD_VIEW, 0},
    {"allocate 160 KiB", allocate_small, 0, 0},
    {"allocate 4 MB", allocate_middle, 0, 0},
    {"allocate 160 MB", allocate_big, 0, 0},
    {"commit in 160 KiB", commit, WITH_SMALL, 0},
    {"commit in 4 MB", commit, WITH_MIDDLE, 0},
    {"commit in 160 MB", commit, WITH_BIG, 0},
    {"commit what is committed", commit_again, WITH_SMALL, 0},
    {"first commit in 160 MB", commit, WITH_BIG | WITH_NO_PAGE, 0},
    {"commit over stripes", commit_far, WITH_BIG | WITH_TWINS, 0},
    {"first commit over stripes", commit_far, WITH_BIG | WITH_NO_PAGE, 0},
    {"commit in foreign memory", commit_foreign, WITH_FOREIGN, 0},
    {"commit in a view", commit_in_view, WITH_VIEW, 0},
    {"MEM_RESET", reset, WITH_SMALL, 0},
    {"decommit in 160 KiB", decommit, WITH_SMALL, 0},
    {"decommit in 160 MB", decommit, WITH_BIG, 0},
    {"decommit all of 160 KiB", decommit_all, WITH_SMALL, 0},
    {"decommit all of 160 MB", decommit_all, WITH_BIG, 0},
    {"release 160 KiB", release_it, WITH_SMALL, 0},
    {"release 4 MB", release_it, WITH_MIDDLE, 0},
    {"release 160 MB", release_it, WITH_BIG, 0},
    {"VirtualQuery", query, WITH_SMALL, 0},
    {"VirtualProtect", protect, WITH_SMALL, 0},
    {"GetMemoryLoad", load, 0, 0},
    {"AcquiredVirtualAddressSpace", acquired, WITH_NEW_VIEW, QUIET},
    {"ReleasedVirtualAddressSpace", released, WITH_OLD_VIEW, QUIET},
    {"NeedsVirtualAddressSpace", needs, 0, QUIET},
    {"CreateMalloc", create_malloc, 0, 0},
    {"Alloc", block_alloc, WITH_HEAP, 0},
    {"DebugAlloc", block_debug_alloc, WITH_HEAP, 0},
    {"Free", block_free, WITH_BLOCK, FINAL},
    {"walk", walk, WITH_SMALL | WITH_BLOCK, OWN},
    {"hostmem_verify", verify, WITH_SMALL | WITH_BLOCK, QUIET},
    {"hostmem_create", create, 0, OWN},
    {"hostmem_create with events", create_with_events, 0, OWN},
    {"hostmem_create_budget", create_budget, 0, OWN},
    {"hostmem_create_host_control", create_control, 0, OWN},
    {"RegisterMemoryNotificationCallback", enlist, 0, QUIET},
    {"hostmem_shutdown", enlist_and_shut_down, WITH_SMALL, QUIET},
};

/* The failures */

enum { PAGES = FAKE_OS_CALLS, SEAMS };
static const char *const seams[SEAMS] = {"VirtualAlloc",  "VirtualFree",  "VirtualProtect", "VirtualQuery",
                                         "memory status", "HeapCreate",   "HeapAlloc",      "HeapFree",
                                         "HeapLock",      "CreateThread", "CreateEvent",    "CreateMutex",
                                         "pages"};

static const DWORD errors[] = {ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY,    ERROR_NO_SYSTEM_RESOURCES,
                               ERROR_WORKING_SET_QUOTA, ERROR_PAGEFILE_QUOTA, ERROR_COMMITMENT_LIMIT,
                               ERROR_NOT_ENOUGH_QUOTA,  ERROR_ACCESS_DENIED,  ERROR_INVALID_PARAMETER,
                               ERROR_INVALID_ADDRESS,   ERROR_NOACCESS,       ERROR_SUCCESS};
enum { ERRORS = sizeof errors / sizeof errors[0] };

/* Functions that fail without saying why: they have one error. */
static unsigned errors_of(unsigned seam)
{
    bool say = seam <= FAKE_OS_HEAP_CREATE;
    return say ? ERRORS : 1;
}

static long calls_of(unsigned seam)
{
    return seam == PAGES ? fake_pages_calls() : fake_os_count((enum fake_os_call)seam);
}

/* The n-th call fails; `blind`: and VirtualQuery all the while. */
static void order_failure(unsigned seam, long n, DWORD error, bool blind)
{
    fake_os_count_again();
    fake_pages_fail_from(0);
    if (blind)
        fake_os_fail_times(FAKE_OS_QUERY, 1, LONG_MAX / 2, ERROR_ACCESS_DENIED);
    if (seam == PAGES)
        fake_pages_fail_once(n);
    else if (n != 0)
        fake_os_fail((enum fake_os_call)seam, n, error);
}

static HRESULT expected_of(unsigned seam, DWORD error)
{
    return seam <= FAKE_OS_HEAP_CREATE ? hresult_from_win32(error)
           : seam == FAKE_OS_HEAP_FREE ? E_FAIL
                                       : E_OUTOFMEMORY;
}

/* Where the operation works; 0 bytes: nowhere yet. */
static const char *place_of(const struct scene *s, SIZE_T *size)
{
    const char *place = s->region != NULL ? s->region : s->view != NULL ? s->view : s->foreign;
    *size = place == NULL ? 0 : place == s->region ? s->pages * PAGE : GRANULE;
    return place;
}

static unsigned tried, failed_calls;

/* One failure; false: there is no n-th call. */
static bool try_failure(const struct operation *operation, unsigned seam, long n, DWORD error, bool blind,
                        const struct scene_figures *in_the_end)
{
    struct scene s;
    char what[120];
    snprintf(what, sizeof what, "%s, %ld. %s fails with %lu%s", operation->name, n, seams[seam], error,
             blind ? ", blind" : "");
    scene_make(&s, operation->with);
    const struct scene_figures before = scene_figures(&s);
    SIZE_T size;
    const char *place = place_of(&s, &size);
    const struct picture picture = picture_take(place, size);
    order_failure(seam, n, error, blind);
    SetLastError(NO_ERROR_SET);
    HRESULT result = operation->run(&s);
    DWORD last = GetLastError();
    bool reached = calls_of(seam) >= n;
    order_failure(0, 0, 0, false);

    tried += reached;
    failed_calls += result != S_OK;
    if (!verified(s.f.manager))
        fail_msg("%s", what);
    struct scene_figures now = scene_figures(&s);
    bool quiet = (operation->manners & QUIET) != 0, final = (operation->manners & FINAL) != 0;
    if (result == S_OK && !(operation->manners & (QUIET | OWN)) && last != NO_ERROR_SET)
        fail_msg("%s: done, and last error %lu", what, last);
    if (result != S_OK && !quiet) {
        if (result != expected_of(seam, error) &&
            !(blind && result == HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED)))
            fail_msg("%s: result %08lx", what, (unsigned long)result);
        /* Blind, it may be VirtualQuery that failed; but the last error is then the result's, too. */
        if (seam <= FAKE_OS_HEAP_CREATE && (blind ? hresult_from_win32(last) != result : last != error))
            fail_msg("%s: last error %lu", what, last);
        if (!final) {
            assert_figures(what, &now, &before);
            if (size != 0)
                assert_picture(&picture, place, size);
        }
    }
    if (!final && (result != S_OK || quiet)) {
        assert_hresult(operation->run(&s), S_OK);
        if (!verified(s.f.manager))
            fail_msg("%s, and then not", what);
    }
    now = scene_figures(&s);
    assert_figures(what, &now, in_the_end);
    scene_end(&s);
    return reached;
}

static void test_operation(void **state)
{
    const struct operation *operation = *state;
    struct scene s;
    long calls[SEAMS];
    scene_make(&s, operation->with);
    order_failure(0, 0, 0, false);
    assert_hresult(operation->run(&s), S_OK);
    for (unsigned seam = 0; seam < SEAMS; seam++)
        calls[seam] = calls_of(seam);
    const struct scene_figures in_the_end = scene_figures(&s);
    assert_true(verified(s.f.manager));
    scene_end(&s);

    tried = failed_calls = 0;
    for (unsigned seam = 0; seam < SEAMS; seam++)
        for (unsigned e = 0; calls[seam] != 0 && e < errors_of(seam); e++)
            for (int blind = 0; blind < (seam == FAKE_OS_QUERY ? 1 : 2); blind++)
                for (long n = 1; try_failure(operation, seam, n, errors[e], blind, &in_the_end);)
                    n++;
    print_message("    %u failures tried, %u made it fail\n", tried, failed_calls);
    assert_true(tried > 0);
}

/* What a thread needs, when there is none. */
static void test_the_first_thread(void **state)
{
    (void)state;
    static const enum fake_os_call calls[] = {FAKE_OS_MUTEX, FAKE_OS_EVENT, FAKE_OS_MODULE, FAKE_OS_THREAD};
    struct scene s;
    scene_make(&s, 0);
    const struct scene_figures before = scene_figures(&s);
    for (unsigned i = 0; i < 4; i++) {
        order_failure(calls[i], 1, ERROR_NOT_ENOUGH_MEMORY, false);
        assert_hresult(create_with_events(&s), E_OUTOFMEMORY);
        assert_int_equal(fake_os_count(calls[i]), 1);
        struct scene_figures now = scene_figures(&s);
        assert_figures("the first thread", &now, &before);
        assert_true(verified(s.f.manager));
    }
    order_failure(0, 0, 0, false);
    assert_hresult(create_with_events(&s), S_OK);
    scene_end(&s);
}

int main(void)
{
    enum { COUNT = sizeof operations / sizeof operations[0] };
    struct CMUnitTest tests[1 + COUNT] = {cmocka_unit_test(test_the_first_thread)};
    for (unsigned i = 0; i < COUNT; i++)
        tests[1 + i] = (struct CMUnitTest){
            .name = operations[i].name, .test_func = test_operation, .initial_state = (void *)&operations[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
