/*
 * test_trace.c - starting and stopping a trace: results, what is left behind, files that cannot be written
 *
 * What is in the file is looked at by a reader that is not ours (test_trace.sh).
 */
#include "support/manager_fixture.h"

#include <hostmem/trace.h>

#include <stdatomic.h>

#include "com/manager.h"
#include "memory/lane.h"
#include "support/fake_os.h"
#include "support/fake_pages.h"

static wchar_t path[MAX_PATH];

static int setup(void **state)
{
    wchar_t folder[MAX_PATH];
    fake_os_reset();
    fake_pages_fail_from(0);
    return GetTempPathW(MAX_PATH, folder) == 0 || GetTempFileNameW(folder, L"hm", 0, path) == 0 ||
                   fixture_setup(state) != 0
               ? -1
               : 0;
}

static void wait_for_threads(void)
{
    for (unsigned i = 0; i < 500 && fake_os_threads() != 0; i++)
        Sleep(10);
    assert_int_equal(fake_os_threads(), 0);
}

static int teardown(void **state)
{
    fake_os_reset();
    fake_pages_fail_from(0);
    int result = fixture_teardown(state);
    wait_for_threads();
    assert_int_equal(fake_os_handles(), 0);
    assert_int_equal(fake_os_module_references(), 0);
    assert_int_equal(fake_pages_outstanding(), 0);
    DeleteFileW(path);
    return result;
}

#define trace_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static hostmem_trace_options plain(void)
{
    return (hostmem_trace_options){.size = sizeof(hostmem_trace_options), .path = path, .lane_events = 64};
}

static HRESULT start(struct fixture *f)
{
    const hostmem_trace_options options = plain();
    return hostmem_trace_start(f->manager, &options);
}

/* Does the file begin and end as one does? */
static bool is_whole(void)
{
    static char bytes[1 << 20];
    DWORD count = 0;
    HANDLE file =
        CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    assert_true(file != INVALID_HANDLE_VALUE);
    assert_true(ReadFile(file, bytes, sizeof bytes, &count, NULL));
    CloseHandle(file);
    static const char end[4];
    return count > 100 && count < sizeof bytes && memcmp(bytes, "Nettrace", 8) == 0 &&
           memcmp(bytes + count - sizeof end, end, sizeof end) == 0;
}

static void test_misuse(void **state)
{
    struct fixture *f = *state;
    hostmem_trace_options options = plain();
    assert_hresult(hostmem_trace_start(NULL, &options), E_POINTER);
    assert_hresult(hostmem_trace_start(f->manager, NULL), E_POINTER);
    options.path = NULL;
    assert_hresult(hostmem_trace_start(f->manager, &options), E_POINTER);
    options = plain();
    options.size--;
    assert_hresult(hostmem_trace_start(f->manager, &options), E_INVALIDARG);
    /* Nothing is read behind a size that is not known. */
    char *pages = VirtualAlloc(NULL, 2 * PAGE, MEM_RESERVE, PAGE_NOACCESS);
    uint32_t *size_alone = (uint32_t *)(void *)(pages + PAGE) - 1;
    assert_ptr_equal(VirtualAlloc(pages, PAGE, MEM_COMMIT, PAGE_READWRITE), pages);
    *size_alone = sizeof *size_alone;
    assert_hresult(hostmem_trace_start(f->manager, (void *)size_alone), E_INVALIDARG);
    VirtualFree(pages, 0, MEM_RELEASE);
    options = plain();
    options.flags = 0x8;
    assert_hresult(hostmem_trace_start(f->manager, &options), E_INVALIDARG);
    options = plain();
    options.reserved = 1;
    assert_hresult(hostmem_trace_start(f->manager, &options), E_INVALIDARG);
    static const uint32_t wrong[] = {1, 2, 3, 5, 100, 1 << 17, UINT32_MAX};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        options = plain();
        options.lane_events = wrong[i];
        assert_hresult(hostmem_trace_start(f->manager, &options), E_INVALIDARG);
    }
    options = plain();
    options.path = L"Z:\\no such folder\\file";
    assert_win32(hostmem_trace_start(f->manager, &options), ERROR_PATH_NOT_FOUND);
    assert_hresult(hostmem_trace_collections(NULL, (const uint64_t[3]){0}), E_POINTER);
    assert_hresult(hostmem_trace_collections(f->manager, NULL), E_POINTER);
    assert_hresult(hostmem_trace_stop(NULL), E_POINTER);
    assert_hresult(hostmem_trace_stop(f->manager), S_FALSE);
    if (sizeof(void *) == 4) {
        options = plain();
        options.flags = HOSTMEM_TRACE_STACKS;
        assert_hresult(hostmem_trace_start(f->manager, &options), E_NOTIMPL);
    }
    hostmem_shutdown(f->manager);
    assert_hresult(start(f), HOST_E_CLRNOTAVAILABLE);
}

static void test_once_at_a_time(void **state)
{
    struct fixture *f = *state;
    assert_hresult(start(f), S_OK);
    assert_hresult(start(f), HOST_E_INVALIDOPERATION);
    /* That takes no memory, of which there may be none. */
    const uint64_t metadata = fixture_statistics(f->manager).metadata;
    hostmem_trace_options options = plain();
    options.lane_events *= 2;
    assert_hresult(hostmem_trace_start(f->manager, &options), HOST_E_INVALIDOPERATION);
    assert_int_equal(fixture_statistics(f->manager).metadata, metadata);
    fake_pages_fail_from(1);
    assert_hresult(hostmem_trace_start(f->manager, &options), HOST_E_INVALIDOPERATION);
    fake_pages_fail_from(0);
    assert_hresult(hostmem_trace_stop(f->manager), S_OK);
    assert_true(is_whole());
    assert_hresult(hostmem_trace_stop(f->manager), S_FALSE);
}

/* The memory of the first is the second's, and so on. */
static void test_again_and_again(void **state)
{
    struct fixture *f = *state;
    uint64_t metadata = 0;
    for (unsigned i = 0; i < 20; i++) {
        assert_hresult(start(f), S_OK);
        void *region = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
        fixture_free(f, region, 0, MEM_RELEASE);
        assert_hresult(hostmem_trace_stop(f->manager), S_OK);
        assert_true(is_whole());
        const uint64_t now = fixture_statistics(f->manager).metadata;
        assert_true(i < 2 || now == metadata);
        metadata = now;
    }
    wait_for_threads();
}

static void test_end_of_the_manager(void **state)
{
    (void)state;
    hostmem_manager *manager;
    const hostmem_trace_options options = plain();
    assert_hresult(hostmem_create(NULL, &manager), S_OK);
    assert_hresult(hostmem_trace_start(manager, &options), S_OK);
    hostmem_release(manager);
    assert_true(is_whole());
}

/* Whatever there is no memory for: nothing is left, and the next trace begins as if it were the first. */
static void test_start_that_fails(void **state)
{
    struct fixture *f = *state;
    static const enum fake_os_call calls[] = {FAKE_OS_MUTEX, FAKE_OS_EVENT,  FAKE_OS_COPY,  FAKE_OS_FILE,
                                              FAKE_OS_WRITE, FAKE_OS_MODULE, FAKE_OS_THREAD};
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        const long handles = fake_os_handles(), modules = fake_os_module_references();
        fake_os_fail(calls[i], 1, ERROR_NOT_ENOUGH_MEMORY);
        assert_hresult(start(f), E_OUTOFMEMORY);
        assert_int_equal(fake_os_count(calls[i]), 1);
        assert_int_equal(fake_os_handles(), handles);
        assert_int_equal(fake_os_module_references(), modules);
        assert_hresult(hostmem_trace_stop(f->manager), S_FALSE);
    }
    for (long n = 1;; n++) {
        fake_pages_fail_from(n);
        const HRESULT result = start(f);
        fake_pages_fail_from(0);
        if (result == S_OK)
            break;
        assert_hresult(result, E_OUTOFMEMORY);
        assert_int_equal(fake_os_handles(), 0);
    }
    assert_hresult(hostmem_trace_stop(f->manager), S_OK);
    assert_true(is_whole());
}

/* The trace goes on without its file, and says so in the end. */
static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    assert_hresult(start(f), S_OK);
    fake_os_fail(FAKE_OS_WRITE, 1, ERROR_DISK_FULL);
    void *region = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    fixture_free(f, region, 0, MEM_RELEASE);
    for (unsigned i = 0; i < 500 && fake_os_count(FAKE_OS_WRITE) == 0; i++)
        Sleep(10);
    assert_win32(hostmem_trace_stop(f->manager), ERROR_DISK_FULL);
    assert_int_equal(fake_os_count(FAKE_OS_WRITE), 1); /* not tried again: it would stand behind a hole */
}

static void test_last_error(void **state)
{
    struct fixture *f = *state;
    const hostmem_trace_options options = {.size = sizeof options,
                                           .path = path,
                                           .lane_events = 4,
                                           .flags = sizeof(void *) == 8 ? HOSTMEM_TRACE_STACKS : 0};
    assert_hresult(hostmem_trace_start(f->manager, &options), S_OK);
    for (unsigned i = 0; i < 50; i++) {
        void *region;
        SetLastError(NO_ERROR_SET);
        assert_hresult(IHostMemoryManager_VirtualAlloc(f->memory, NULL, GRANULE, MEM_RESERVE | MEM_COMMIT,
                                                       PAGE_READWRITE, eTaskCritical, &region),
                       S_OK);
        assert_hresult(IHostMemoryManager_VirtualFree(f->memory, region, 0, MEM_RELEASE), S_OK);
        assert_int_equal(GetLastError(), NO_ERROR_SET);
        assert_hresult(IHostMemoryManager_VirtualFree(f->memory, region, 0, MEM_RELEASE),
                       HOST_E_INVALIDOPERATION);
        assert_int_equal(GetLastError(), NO_ERROR_SET);
    }
    assert_hresult(hostmem_trace_stop(f->manager), S_OK);
}

/* Several at once, each with its file; and one that stops while the other goes on. */
static atomic_uint events, wrong_levels;

static void HOSTMEM_CALL see_level(const hostmem_event *event, void *context)
{
    (void)context;
    if (event->kind == HOSTMEM_EVENT_PRESSURE)
        return;
    wrong_levels += event->critical_level != HOSTMEM_LEVEL_NONE;
    events++;
}

/* A criticality that is none of the three is told as such everywhere: to the host, and in each event of a trace. */
static void test_a_level_of_no_name(void **state)
{
    static const struct {
        enum trace_kind kind;
        unsigned level; /* which of its values is that */
    } levels[] = {{TRACE_ALLOC, 4}, {TRACE_REFUSAL, 1}, {TRACE_OVERRUN, 1}, {TRACE_BLOCK_ALLOC, 2}};
    (void)state;
    struct fixture f;
    for (unsigned strict = 0; strict < 2; strict++) {
        const hostmem_limits limits = {
            .size = sizeof limits, .flags = strict ? HOSTMEM_LIMITS_STRICT : 0, .limit = PAGE};
        const hostmem_options options = {.size = sizeof options, .limits = &limits, .event = see_level};
        events = wrong_levels = 0;
        assert_hresult(hostmem_create(&options, &f.manager), S_OK);
        assert_hresult(hostmem_get_memory_manager(f.manager, &f.memory), S_OK);
        struct vm *vm = &f.manager->vm;
        struct recorder *recorder = hm_recorder_take(&vm->recorders, &vm->stats.metadata, 64, 0);
        assert_non_null(recorder);
        recorder->flags = HOSTMEM_TRACE_BLOCKS;
        atomic_store(&vm->recorders.running, recorder);
        const EMemoryCriticalLevel none = (EMemoryCriticalLevel)7;
        const HRESULT expected = strict ? E_OUTOFMEMORY : S_OK;
        void *memory, *block;
        IHostMalloc *heap;
        assert_hresult(IHostMemoryManager_CreateMalloc(f.memory, MALLOC_THREADSAFE, &heap), S_OK);
        assert_hresult(IHostMemoryManager_VirtualAlloc(f.memory, NULL, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE,
                                                       none, &memory),
                       expected);
        assert_hresult(IHostMalloc_Alloc(heap, 2 * PAGE, none, &block), expected);
        atomic_store(&vm->recorders.running, NULL);
        const unsigned lane = lane_here();
        const struct trace_event *event;
        unsigned seen = 0;
        for (; (event = hm_ring_next(&recorder->ring, lane, true)) != NULL;
             hm_ring_free(&recorder->ring, lane))
            for (unsigned i = 0; i < sizeof levels / sizeof *levels; i++)
                if (event->kind == levels[i].kind) {
                    assert_int_equal(event->value[levels[i].level], HOSTMEM_LEVEL_NONE);
                    seen++;
                }
        assert_int_equal(seen, strict ? 3 : 4);
        hm_recorder_give(&vm->recorders, recorder);
        for (unsigned i = 0; i < 1000 && events < 2; i++)
            Sleep(10);
        assert_int_equal(events, 2);
        assert_int_equal(wrong_levels, 0);
        if (!strict) {
            fixture_free(&f, memory, 0, MEM_RELEASE);
            assert_hresult(IHostMalloc_Free(heap, block), S_OK);
        }
        assert_int_equal(IHostMalloc_Release(heap), 0);
        IHostMemoryManager_Release(f.memory);
        hostmem_release(f.manager);
    }
}

static void test_two_managers(void **state)
{
    struct fixture *f = *state;
    wchar_t folder[MAX_PATH], other[MAX_PATH];
    hostmem_manager *manager;
    assert_true(GetTempPathW(MAX_PATH, folder) != 0 && GetTempFileNameW(folder, L"hm", 0, other) != 0);
    const hostmem_trace_options options = {.size = sizeof options, .path = other};
    assert_hresult(hostmem_create(NULL, &manager), S_OK);
    assert_hresult(start(f), S_OK);
    assert_hresult(hostmem_trace_start(manager, &options), S_OK);
    assert_hresult(hostmem_trace_stop(manager), S_OK);
    hostmem_release(manager);
    assert_hresult(hostmem_trace_stop(f->manager), S_OK);
    assert_true(is_whole());
    assert_true(DeleteFileW(other)); /* nobody has it open */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        trace_test(test_misuse),
        trace_test(test_once_at_a_time),
        trace_test(test_again_and_again),
        trace_test(test_end_of_the_manager),
        trace_test(test_start_that_fails),
        trace_test(test_full_disk),
        trace_test(test_last_error),
        trace_test(test_two_managers),
        trace_test(test_a_level_of_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
