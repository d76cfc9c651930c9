/*
 * test_trace_moments.c - a trace when its file is being opened, when its thread dies, and when the loader lock is held
 *
 * Functions of the library are wrapped, so that things happen just there.  What is in the file is read by hostmem-report's
 * reader.
 */
#include "support/manager_fixture.h"

#include <hostmem/trace.h>

#include "com/manager.h"
#include "memory/os.h"
#include "nettrace/trace_file.h"
#include "support/bridge_child.h"
#include "support/read_trace.h"
#include "trace/walk.h"

enum { WAIT_MS = 20000 };

static wchar_t path[MAX_PATH];

static int setup(void **state)
{
    wchar_t folder[MAX_PATH];
    return GetTempPathW(MAX_PATH, folder) == 0 || GetTempFileNameW(folder, L"hm", 0, path) == 0
               ? -1
               : fixture_setup(state);
}

static int teardown(void **state)
{
    int result = fixture_teardown(state);
    DeleteFileW(path);
    return result;
}

#define trace_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static HRESULT start(hostmem_manager *manager, uint32_t flags, uint32_t lane_events)
{
    const hostmem_trace_options options = {
        .size = sizeof options, .flags = flags, .path = path, .lane_events = lane_events};
    return hostmem_trace_start(manager, &options);
}

static void reserve_and_release(struct fixture *f, unsigned granules)
{
    void *base = fixture_alloc(f, NULL, granules * GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fixture_free(f, base, 0, MEM_RELEASE);
}

/* What is written: times, and the date */

static uint64_t last_point; /* the time of a sequence point; nothing behind it is earlier */
static bool falls;

static SYSTEMTIME began; /* as the file says, and at which count */
static uint64_t began_at;

static void look_at_times(const uint8_t *block)
{
    uint64_t time;
    if (memcmp(block, "Nettrace", 8) == 0) {
        memcpy(&began, block + 24, sizeof began);
        memcpy(&began_at, block + 40, sizeof began_at);
    }
    const bool is_point = block[3] == BLOCK_SEQUENCE_POINT;
    if (!is_point && block[3] != BLOCK_EVENT)
        return;
    memcpy(&time, block + (is_point ? 4 : 8), sizeof time);
    falls |= time < last_point;
    if (is_point)
        last_point = time;
}

/* The file is being opened: calls are recorded already */

static void (*at_file)(void);
static struct fixture *at_file_fixture;

HANDLE __real_hm_os_file_create(const wchar_t *name);

HANDLE __wrap_hm_os_file_create(const wchar_t *name)
{
    if (at_file != NULL)
        at_file();
    return __real_hm_os_file_create(name);
}

static void make_ten_pairs(void)
{
    for (unsigned i = 0; i < 10; i++)
        reserve_and_release(at_file_fixture, 1);
}

static void test_lost_while_the_file_is_opened(void **state)
{
    struct trace_read found;
    at_file_fixture = *state;
    at_file = make_ten_pairs;
    assert_hresult(start(at_file_fixture->manager, 0, 4), S_OK);
    at_file = NULL;
    assert_hresult(hostmem_trace_stop(at_file_fixture->manager), S_OK);
    read_trace(path, &found);
    assert_true(found.complete);
    assert_int_equal(found.count[TRACE_ALLOC] + found.count[TRACE_FREE], 4);
    assert_int_equal(found.lost, 16);
    assert_int_equal(found.told, 16);
}

/* However long it takes: the date of the trace is that of the count which is beside it. */
static void take_a_second(void)
{
    Sleep(1000);
}

static void test_date(void **state)
{
    struct fixture *f = *state;
    FILETIME now, then;
    at_file = take_a_second;
    assert_hresult(start(f->manager, 0, 64), S_OK);
    at_file = NULL;
    const uint64_t since = hm_os_counter() - began_at;
    GetSystemTimeAsFileTime(&now);
    assert_true(SystemTimeToFileTime(&began, &then));
    const int64_t passed = (int64_t)(((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime) -
                                     ((uint64_t)then.dwHighDateTime << 32 | then.dwLowDateTime)) /
                           10000;
    const int64_t counted = (int64_t)(since * 1000 / hm_os_counter_frequency());
    print_message("    %d ms by the clock, %d ms by the counter\n", (int)passed, (int)counted);
    assert_true(passed - counted < 500 && counted - passed < 500);
    assert_hresult(hostmem_trace_stop(f->manager), S_OK);
}

/* An image that was unloaded while nobody listened: what lies there now is no unwind data. */
static void *gone;
static bool is_found, own_is_found;

static void look_for_images(void)
{
    is_found = hm_images_find(&hm_process_images, (uintptr_t)gone) != NULL;
    own_is_found = hm_images_find(&hm_process_images, (uintptr_t)GetModuleHandleW(NULL)) != NULL;
}

static void test_no_stale_image_is_walked(void **state)
{
    struct fixture *f = *state;
    if (sizeof(void *) == 4)
        skip();
    gone = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_NOACCESS);
    hm_images_add(&hm_process_images, (uintptr_t)gone, GRANULE, gone, 1);
    look_for_images();
    assert_true(is_found && !own_is_found);
    at_file = look_for_images;
    assert_hresult(start(f->manager, HOSTMEM_TRACE_STACKS, 4), S_OK);
    at_file = NULL;
    assert_hresult(hostmem_trace_stop(f->manager), S_OK);
    assert_true(!is_found && own_is_found);
    VirtualFree(gone, 0, MEM_RELEASE);
}

/* The thread of the trace is killed, as at the end of a process, while it writes */

enum place {
    NOWHERE,
    IN_AN_EVENT,
    BEFORE_A_THREADS_ROW,
    BEFORE_A_SLOT_IS_FREE,
    WHEN_A_BLOCK_IS_WRITTEN,
    BEFORE_THE_NEXT_BLOCK,
    PLACES,
    BEFORE_LOST_IS_TOLD = PLACES
};

static _Thread_local bool ours; /* no thread of the library's */
static _Atomic enum place to_die_at;
static HANDLE dying, victim;

static bool is_to_die(enum place place)
{
    return atomic_load(&to_die_at) == place && !ours;
}

static _Noreturn void die(void)
{
    atomic_store(&to_die_at, NOWHERE);
    DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &victim, SYNCHRONIZE, FALSE,
                    0);
    SetEvent(dying);
    ExitThread(0);
}

void __real_hm_event_block_add(struct event_block *block, const struct event_head *head,
                               const struct bytes *payload);
void __real_hm_event_block_begin(struct event_block *block);
void __real_hm_thread_row(struct bytes *block, uint64_t number, const char *name, uint64_t process,
                          uint64_t system);
void __real_hm_trace_file_add(struct trace_file *file, const struct file_event *event);
void __real_hm_ring_free(struct ring *ring, unsigned lane);
bool __real_hm_os_file_write(HANDLE file, uint64_t offset, const void *bytes, size_t count);

enum { LOOKS = 12 };
static uint64_t written[2][LOOKS]; /* times of allocations and of frees, by their bytes; 0: not yet */

void __wrap_hm_event_block_add(struct event_block *block, const struct event_head *head,
                               const struct bytes *payload)
{
    const unsigned number = head->event <= TRACE_FREE ? payload->at[8] : LOOKS;
    if (number < LOOKS)
        written[head->event == TRACE_FREE][number] = head->time;
    if (is_to_die(IN_AN_EVENT)) {
        put_number(&block->bytes, 0x0587, 3);
        die();
    }
    __real_hm_event_block_add(block, head, payload);
}

void __wrap_hm_event_block_begin(struct event_block *block)
{
    if (is_to_die(BEFORE_THE_NEXT_BLOCK) && block->before.event == TRACE_FREE)
        die();
    __real_hm_event_block_begin(block);
}

static DWORD caller; /* the thread whose calls are recorded */

void __wrap_hm_thread_row(struct bytes *block, uint64_t number, const char *name, uint64_t process,
                          uint64_t system)
{
    if (is_to_die(BEFORE_A_THREADS_ROW) && system == caller)
        die();
    __real_hm_thread_row(block, number, name, process, system);
}

void __wrap_hm_trace_file_add(struct trace_file *file, const struct file_event *event)
{
    if (is_to_die(BEFORE_LOST_IS_TOLD) && event->event == TRACE_LOST)
        die();
    __real_hm_trace_file_add(file, event);
}

void __wrap_hm_ring_free(struct ring *ring, unsigned lane)
{
    if (is_to_die(BEFORE_A_SLOT_IS_FREE))
        die();
    __real_hm_ring_free(ring, lane);
}

bool __wrap_hm_os_file_write(HANDLE file, uint64_t offset, const void *bytes, size_t count)
{
    look_at_times(bytes);
    const bool written = __real_hm_os_file_write(file, offset, bytes, count);
    if (is_to_die(WHEN_A_BLOCK_IS_WRITTEN))
        die();
    return written;
}

enum { PAIRS = 8 };

static DWORD WINAPI make_calls(void *fixture)
{
    ours = true;
    caller = GetCurrentThreadId();
    for (unsigned i = 1; i <= PAIRS; i++)
        reserve_and_release(fixture, i);
    const bool died = WaitForSingleObject(dying, WAIT_MS) == WAIT_OBJECT_0 &&
                      WaitForSingleObject(victim, WAIT_MS) == WAIT_OBJECT_0;
    for (unsigned i = PAIRS + 1; i <= 2 * PAIRS; i++)
        reserve_and_release(fixture, i);
    return died;
}

static void die_at(struct fixture *f, enum place place)
{
    struct trace_read found;
    DWORD died = false;
    ours = true;
    dying = CreateEventW(NULL, FALSE, FALSE, NULL);
    assert_hresult(start(f->manager, 0, 64), S_OK);
    atomic_store(&to_die_at, place);
    HANDLE thread = CreateThread(NULL, 0, make_calls, f, 0, NULL);
    assert_int_equal(WaitForSingleObject(thread, 3 * WAIT_MS), WAIT_OBJECT_0);
    GetExitCodeThread(thread, &died);
    assert_true(died);
    assert_hresult(hostmem_trace_stop(f->manager), S_OK);
    read_trace(path, &found);
    print_message("    place %d: %u and %u events, %u lost, %u without a thread\n", place,
                  found.count[TRACE_ALLOC], found.count[TRACE_FREE], (unsigned)found.lost,
                  found.unknown_threads);
    assert_true(found.complete);
    assert_int_equal(found.unknown_threads, 0);
    assert_int_equal(found.reserved_rubbish, 0);
    for (unsigned i = 1; i <= 2 * PAIRS; i++)
        assert_true(found.reserved[i] == 1 || (found.reserved[i] == 0 && i <= PAIRS));
    assert_true(found.count[TRACE_ALLOC] + found.count[TRACE_FREE] + found.lost >= 4 * PAIRS);
    CloseHandle(thread);
    CloseHandle(victim);
    CloseHandle(dying);
}

static void test_a_writer_that_dies(void **state)
{
    for (int place = NOWHERE + 1; place < PLACES; place++)
        die_at(*state, (enum place)place);
}

/* It has seen that events are lost, and the file does not say so yet. */
static void test_a_writer_that_dies_before_it_tells(void **state)
{
    enum { SLOTS = 4 };
    unsigned made = 0;
    struct fixture *f = *state;
    struct trace_read found;
    ours = true;
    dying = CreateEventW(NULL, FALSE, FALSE, NULL);
    assert_hresult(start(f->manager, 0, SLOTS), S_OK);
    atomic_store(&to_die_at, BEFORE_LOST_IS_TOLD);
    for (; made < 20 * SLOTS; made += 2)
        reserve_and_release(f, 1);
    /* The next event that finds room tells the writer. */
    for (; made < 1000 && WaitForSingleObject(dying, 100) != WAIT_OBJECT_0; made += 2)
        reserve_and_release(f, 1);
    assert_int_equal(WaitForSingleObject(victim, WAIT_MS), WAIT_OBJECT_0);
    assert_hresult(hostmem_trace_stop(f->manager), S_OK);
    read_trace(path, &found);
    assert_true(found.complete);
    assert_true(found.told > 0);
    assert_true(found.count[TRACE_ALLOC] + found.count[TRACE_FREE] + found.lost >= made);
    CloseHandle(victim);
    CloseHandle(dying);
}

/* A lane that is half full wakes the writer of its own trace, and not another one in its stead. */

enum { LOOK_MS = 50 };
static _Atomic bool no_looks; /* now and then */
static void (*_Atomic before_a_look)(void);

void __real_hm_os_wait(HANDLE event, const struct hm_os_resources *now, DWORD milliseconds);

void __wrap_hm_os_wait(HANDLE event, const struct hm_os_resources *now, DWORD milliseconds)
{
    __real_hm_os_wait(event, now,
                      milliseconds == LOOK_MS && atomic_load(&no_looks) ? 10 * WAIT_MS : milliseconds);
    if (milliseconds == LOOK_MS && atomic_load(&before_a_look) != NULL)
        atomic_load (&before_a_look)();
}

static uint64_t file_bytes(const wchar_t *name)
{
    LARGE_INTEGER bytes = {.QuadPart = 0};
    HANDLE file =
        CreateFileW(name, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    assert_true(file != INVALID_HANDLE_VALUE && GetFileSizeEx(file, &bytes));
    CloseHandle(file);
    return (uint64_t)bytes.QuadPart;
}

static void test_half_full(void **state)
{
    enum { SLOTS = 64, TRACES = 4 };
    struct fixture traced[TRACES];
    wchar_t name[TRACES][MAX_PATH + 2];
    (void)state;
    for (unsigned i = 0; i < TRACES; i++) {
        wcscpy(name[i], path);
        wcscat(name[i], (const wchar_t[]){(wchar_t)(L'0' + i), 0});
        const hostmem_trace_options options = {.size = sizeof options, .path = name[i], .lane_events = SLOTS};
        assert_hresult(hostmem_create(NULL, &traced[i].manager), S_OK);
        assert_hresult(hostmem_get_memory_manager(traced[i].manager, &traced[i].memory), S_OK);
        assert_hresult(hostmem_trace_start(traced[i].manager, &options), S_OK);
    }
    atomic_store(&no_looks, true);
    Sleep(4 * LOOK_MS);
    for (unsigned i = 0; i < TRACES; i++) {
        const uint64_t before = file_bytes(name[i]);
        for (unsigned pair = 0; pair < SLOTS / 4 + 1; pair++)
            reserve_and_release(&traced[i], 1);
        for (unsigned tries = 0; tries < WAIT_MS / 10 && file_bytes(name[i]) == before; tries++)
            Sleep(10);
        assert_true(file_bytes(name[i]) > before);
    }
    atomic_store(&no_looks, false);
    for (unsigned i = 0; i < TRACES; i++) {
        IHostMemoryManager_Release(traced[i].memory);
        hostmem_release(traced[i].manager);
        DeleteFileW(name[i]);
    }
}

/* A thread is held up in the middle of its event, and another one's is behind it in the lane: that is written late, and still
 * with its time, before what a third did afterwards. */

static struct ring *ring;
static _Atomic unsigned look;

static void put_event(unsigned lane, enum trace_kind kind, uint64_t number)
{
    bool half;
    struct trace_event *event = hm_ring_claim(ring, lane, &half);
    memset(event->value, 0, sizeof event->value);
    event->time = hm_os_stamp();
    event->thread = GetCurrentThreadId();
    event->kind = (uint8_t)kind;
    event->frames = 0;
    event->value[1] = number;
    ring_finish(event);
}

static void hold_up_a_thread(void)
{
    static struct trace_event *held[2];
    bool half;
    const unsigned number = atomic_load(&look);
    if (number == LOOKS)
        return;
    if (number >= 2)
        ring_finish(held[number % 2]);
    held[number % 2] = hm_ring_claim(ring, 1, &half);
    put_event(1, TRACE_ALLOC, number);
    Sleep(2); /* more than times can be wrong by */
    put_event(2, TRACE_FREE, number);
    atomic_store(&look, number + 1);
}

static void test_held_up(void **state)
{
    struct fixture *f = *state;
    memset(written, 0, sizeof written);
    assert_hresult(start(f->manager, 0, 64), S_OK);
    ring = &atomic_load(&f->manager->vm.recorders.running)->ring;
    atomic_store(&before_a_look, hold_up_a_thread);
    for (unsigned i = 0; i < WAIT_MS / 10 && atomic_load(&look) != LOOKS; i++)
        Sleep(10);
    Sleep(4 * LOOK_MS);
    atomic_store(&before_a_look, NULL);
    assert_hresult(hostmem_trace_stop(f->manager), S_OK);
    for (unsigned i = 0; i < LOOKS; i++) {
        assert_true(written[0][i] != 0 && written[1][i] != 0);
        assert_true(written[0][i] <= written[1][i]);
    }
}

/* More threads than the file keeps apart: their numbers begin anew behind a point, which no event that is still to come is
 * earlier than. */
static void add_threads(struct trace_file *file, uint64_t time, uint32_t first, uint32_t count)
{
    const uint64_t figures[TRACE_VALUES] = {0};
    for (uint32_t i = 0; i < count; i++) {
        const struct file_event event = {
            .event = TRACE_FREE, .time = time + i, .thread = 4 * (first + i), .figures = figures};
        hm_trace_file_add(file, &event);
    }
}

static void test_many_threads(void **state)
{
    static struct trace_file file;
    const uint64_t figures[TRACE_VALUES] = {0}, begin = hm_os_counter() - hm_os_counter_frequency();
    (void)state;
    last_point = 0;
    falls = false;
    file.file = hm_os_file_create(path);
    assert_non_null(file.file);
    hm_trace_file_begin(&file, begin);
    add_threads(&file, begin + 1000, 1, 600);
    hm_trace_file_point(&file, begin + 2000);
    /* With room for as many again, what another lane has keeps its time. */
    add_threads(&file, begin + 4000, 601, 600);
    const struct file_event other = {
        .capture = 1, .event = TRACE_FREE, .time = begin + 3000, .thread = 4, .figures = figures};
    hm_trace_file_add(&file, &other);
    assert_int_equal(file.capture[1].time, begin + 3000);
    add_threads(&file, begin + 5000, 1201, 600); /* and without */
    hm_trace_file_point(&file, begin + 6000);
    hm_trace_file_end(&file);
    hm_os_close(file.file);
    assert_int_equal(last_point, begin + 6000);
    assert_false(falls);
}

/* Whoever ends a trace may have the loader lock, and the trace's thread may want it: a process of its own, which hangs if one
 * waits for the other. */

static HANDLE pointing;
static hostmem_manager *to_stop;
static HRESULT stopped;

void __real_hm_trace_file_point(struct trace_file *file, uint64_t now);

void __wrap_hm_trace_file_point(struct trace_file *file, uint64_t now)
{
    if (pointing != NULL && !ours)
        SetEvent(pointing);
    __real_hm_trace_file_point(file, now);
}

/* A module that the trace's thread has not seen, and the moment at which it is about to look. */
static void stop_with_the_loader_lock(void)
{
    LoadLibraryW(L"hid.dll");
    ResetEvent(pointing);
    WaitForSingleObject(pointing, 2000);
    stopped = hostmem_trace_stop(to_stop);
}

static int stop_in_dllmain(void)
{
    struct trace_read found;
    wchar_t folder[MAX_PATH];
    ours = true;
    pointing = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (GetTempPathW(MAX_PATH, folder) == 0 || GetTempFileNameW(folder, L"hm", 0, path) == 0 ||
        hostmem_create(NULL, &to_stop) != S_OK || start(to_stop, 0, 64) != S_OK ||
        WaitForSingleObject(pointing, WAIT_MS) != WAIT_OBJECT_0) /* a thread starts with the loader lock */
        return 1;
    HMODULE module = LoadLibraryA("on_exit.dll");
    void (*on_exit_call)(void (*)(void)) = (void *)GetProcAddress(module, "on_exit_call");
    if (on_exit_call == NULL)
        return 2;
    on_exit_call(stop_with_the_loader_lock);
    stopped = E_FAIL;
    FreeLibrary(module);
    read_trace(path, &found);
    DeleteFileW(path);
    hostmem_release(to_stop);
    return stopped == S_OK && found.complete ? 42 : 3;
}

static void test_stop_with_the_loader_lock(void **state)
{
    (void)state;
    assert_int_equal(bridge_child(L"stop", WAIT_MS), 42);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        trace_test(test_lost_while_the_file_is_opened),
        trace_test(test_date),
        trace_test(test_no_stale_image_is_walked),
        trace_test(test_a_writer_that_dies),
        trace_test(test_a_writer_that_dies_before_it_tells),
        trace_test(test_many_threads),
        trace_test(test_half_full),
        trace_test(test_held_up),
        cmocka_unit_test(test_stop_with_the_loader_lock),
    };
    (void)argv;
    if (argc == 2)
        return stop_in_dllmain();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
