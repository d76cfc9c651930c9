/*
 * test_pressure_callbacks.c - the pressure thread and whom it calls: callbacks that take long, come back, are
 * replaced meanwhile or go for good, and a thread that comes and goes
 */
#include <stdlib.h>

#include "support/beacon.h"
#include "support/fake_os.h"
#include "support/fake_pages.h"
#include "support/governed.h"
#include "support/verified.h"

enum { LOW = eMemoryAvailableLow, NEUTRAL = eMemoryAvailableNeutral, HIGH = eMemoryAvailableHigh };

/* A manager whose only trace is its interface, and which has nobody to tell yet. */
struct plain {
    hostmem_manager *manager;
    IHostMemoryManager *memory;
};

static struct plain plain_make(void)
{
    struct plain plain;
    assert_hresult(hostmem_create(NULL, &plain.manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(plain.manager, &plain.memory), S_OK);
    return plain;
}

static void plain_end(struct plain *plain)
{
    assert_true(verified(plain->manager));
    assert_int_equal(IHostMemoryManager_Release(plain->memory), 1);
    hostmem_release(plain->manager);
}

static void enlist(struct plain *plain, struct listener *listener)
{
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(
                       plain->memory, listener == NULL ? NULL : &listener->iface),
                   S_OK);
}

static void force(struct plain *plain, uint32_t level)
{
    assert_hresult(hostmem_force_pressure(plain->manager, level), S_OK);
}

/* First of all, when no thread has been started yet. */
static void test_without_a_thread(void **state)
{
    (void)state;
    fake_os_reset();
    fake_os_fail_times(FAKE_OS_THREAD, 1, 4, ERROR_NOT_ENOUGH_MEMORY);
    struct event_log log = {.count = 0};
    hostmem_options options = {.size = sizeof options, .event = event_log_note, .context = &log};
    for (int i = 0; i < 2; i++) {
        hostmem_manager *manager = (hostmem_manager *)1;
        assert_hresult(hostmem_create(&options, &manager), E_OUTOFMEMORY);
        assert_null(manager);
        assert_int_equal(fake_pages_outstanding(), 0);
    }
    /* A CLR does not look at what registering answers (contract 3.1): it is kept, and not told. */
    struct listener clr;
    listener_init(&clr, NULL, NULL);
    struct plain plain = plain_make();
    enlist(&plain, &clr);
    assert_int_equal(clr.references, 2);
    force(&plain, LOW);
    enlist(&plain, &clr);
    assert_int_equal(clr.references, 2);
    assert_int_equal(fake_os_count(FAKE_OS_THREAD), 4);
    /* With memory for a thread, the next attempt finds what has been missed. */
    enlist(&plain, &clr);
    assert_int_equal(fake_os_count(FAKE_OS_THREAD), 5);
    assert_int_equal(listener_wait(&clr, 1), LOW);
    assert_int_not_equal(clr.thread[0], GetCurrentThreadId());
    plain_end(&plain);
    assert_int_equal(clr.references, 1);
    assert_int_equal(clr.count, 1);
    assert_int_equal(fake_pages_outstanding(), 0);
}

/* When the last one has gone the thread goes, and for the next one there is a new one. */
static void test_the_thread_comes_and_goes(void **state)
{
    (void)state;
    fake_os_reset();
    DWORD first = 0;
    uint64_t end = GetTickCount64() + WAIT_MS;
    for (long started = 0; started < 3;) {
        assert_true(GetTickCount64() < end);
        struct listener clr;
        listener_init(&clr, NULL, NULL);
        struct plain plain = plain_make(), other = plain_make();
        enlist(&plain, &clr);
        force(&plain, LOW);
        listener_wait(&clr, 1);
        if (started == 0)
            first = clr.thread[0];
        long now = fake_os_count(FAKE_OS_THREAD);
        assert_true(now <= started + 1); /* one, however many managers */
        started = now;
        plain_end(&plain);
        plain_end(&other);
        assert_int_equal(clr.references, 1);
        Sleep(1);
    }
    assert_int_not_equal(first, 0);
    assert_int_equal(fake_pages_outstanding(), 0);
}

static int setup(void **state)
{
    (void)state;
    beacon_light();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    beacon_put_out();
    return 0;
}

/* A callback that stays inside until it is let out. */
struct gate {
    HANDLE open;
    atomic_bool inside;
    void (*then)(struct gate *gate); /* called inside, after it was let out; may be NULL */
    struct plain *plain;
    struct listener *other;
};

static void stay(struct listener *listener)
{
    struct gate *gate = listener->context;
    if (listener->count != 1)
        return;
    gate->inside = true;
    WaitForSingleObject(gate->open, WAIT_MS);
    if (gate->then != NULL)
        gate->then(gate);
    gate->inside = false;
}

static struct gate gate_make(struct plain *plain)
{
    struct gate gate = {.open = CreateEventW(NULL, TRUE, FALSE, NULL), .plain = plain};
    assert_non_null(gate.open);
    return gate;
}

static DWORD WINAPI shut_down(void *context)
{
    struct gate *gate = context;
    hostmem_shutdown(gate->plain->manager);
    return gate->inside; /* it must have ended */
}

static DWORD WINAPI give_up(void *context)
{
    struct gate *gate = context;
    IHostMemoryManager_Release(gate->plain->memory);
    hostmem_release(gate->plain->manager);
    return gate->inside;
}

/* Shutdown and the last release wait for a callback that is under way. */
static void test_the_end_waits(void **state)
{
    (void)state;
    DWORD(WINAPI *const ends[])(void *) = {shut_down, give_up};
    for (unsigned i = 0; i < 2; i++) {
        struct plain plain = plain_make();
        struct gate gate = gate_make(&plain);
        struct listener clr;
        listener_init(&clr, stay, &gate);
        enlist(&plain, &clr);
        force(&plain, LOW);
        wait_for(gate.inside);
        HANDLE thread = CreateThread(NULL, 0, ends[i], &gate, 0, NULL);
        assert_int_equal(WaitForSingleObject(thread, 100), WAIT_TIMEOUT);
        assert_int_equal(clr.references, 2); /* in use: not given back yet */
        SetEvent(gate.open);
        assert_int_equal(WaitForSingleObject(thread, WAIT_MS), WAIT_OBJECT_0);
        DWORD early = 1;
        GetExitCodeThread(thread, &early);
        assert_int_equal(early, 0);
        assert_int_equal(clr.references, 1);
        beacon_settle();
        assert_int_equal(clr.count, 1);
        CloseHandle(thread);
        CloseHandle(gate.open);
        if (i == 0)
            plain_end(&plain);
    }
}

/* No call begins after hostmem_shutdown has returned, at whatever moment it comes. */
static atomic_bool is_over;
static atomic_uint late;

static void notice_late(struct listener *listener)
{
    (void)listener;
    late += is_over;
}

static void HOSTMEM_CALL notice_late_event(const hostmem_event *event, void *context)
{
    (void)event;
    (void)context;
    late += is_over;
}

static void test_nothing_after_shutdown(void **state)
{
    (void)state;
    unsigned told = 0;
    late = 0;
    for (unsigned i = 0; i < 400; i++) {
        struct plain plain;
        struct listener clr;
        hostmem_options options = {.size = sizeof options, .event = notice_late_event};
        is_over = false;
        listener_init(&clr, notice_late, NULL);
        assert_hresult(hostmem_create(&options, &plain.manager), S_OK);
        assert_hresult(hostmem_get_memory_manager(plain.manager, &plain.memory), S_OK);
        enlist(&plain, &clr);
        for (unsigned n = 0; n <= i % 7; n++) {
            force(&plain, n % 2 ? HIGH : LOW);
            hostmem_clr_started(plain.manager);
        }
        if (i % 3 == 0)
            wait_for(clr.count != 0);
        assert_hresult(hostmem_shutdown(plain.manager), S_OK);
        is_over = true;
        assert_int_equal(clr.references, 1);
        enlist(&plain, &clr); /* kept by nobody, told nothing */
        assert_int_equal(clr.references, 1);
        if (i % 10 == 0)
            beacon_settle();
        told += clr.count;
        plain_end(&plain);
    }
    assert_int_equal(late, 0);
    assert_true(told > 100);
}

static void unregister(struct gate *gate)
{
    IHostMemoryManager_RegisterMemoryNotificationCallback(gate->plain->memory, NULL);
}

static void register_other(struct gate *gate)
{
    IHostMemoryManager_RegisterMemoryNotificationCallback(gate->plain->memory, &gate->other->iface);
}

/* Replaced and taken away while it is being called, from outside and from within. */
static void test_replaced_while_called(void **state)
{
    (void)state;
    enum { REPLACE, REMOVE, SAME, TWICE, REMOVE_INSIDE, REPLACE_INSIDE, WAYS };
    for (unsigned way = 0; way < WAYS; way++) {
        struct plain plain = plain_make();
        struct gate gate = gate_make(&plain);
        struct listener clr, other;
        listener_init(&clr, stay, &gate);
        listener_init(&other, NULL, NULL);
        gate.other = &other;
        gate.then = way == REMOVE_INSIDE ? unregister : way == REPLACE_INSIDE ? register_other : NULL;
        enlist(&plain, &clr);
        force(&plain, LOW);
        wait_for(gate.inside);
        if (way == REPLACE || way == TWICE)
            enlist(&plain, &other);
        if (way == TWICE) {
            enlist(&plain, &clr);
            enlist(&plain, &other);
        }
        if (way == REMOVE)
            enlist(&plain, NULL);
        if (way == SAME)
            enlist(&plain, &clr);
        /* The call under way has a reference still, and one more if it is registered again. */
        assert_int_equal(clr.references, way == SAME ? 3 : 2);
        SetEvent(gate.open);
        wait_for(!gate.inside);
        beacon_settle();
        bool others = way == REPLACE || way == TWICE || way == REPLACE_INSIDE;
        assert_int_equal(clr.references, way == SAME ? 2 : 1);
        assert_int_equal(other.references, others ? 2 : 1);
        unsigned before = clr.count, before_other = other.count;
        force(&plain, NEUTRAL);
        beacon_settle();
        assert_int_equal(clr.count, before + (way == SAME));
        assert_int_equal(other.count, before_other + others);
        plain_end(&plain);
        assert_int_equal(clr.references, 1);
        assert_int_equal(other.references, 1);
        CloseHandle(gate.open);
    }
}

/* Is anything called that only its maker still refers to? */
static void look_for_a_reference(struct listener *listener)
{
    if (listener->references < 2)
        ++*(atomic_uint *)listener->context;
}

/* Registering and unregistering all the time while the thread calls. */
static void test_replaced_at_any_moment(void **state)
{
    (void)state;
    static struct listener clr[3];
    static atomic_uint called_too_late;
    struct plain plain = plain_make();
    for (unsigned i = 0; i < 3; i++)
        listener_init(&clr[i], look_for_a_reference, &called_too_late);
    for (unsigned i = 0; i < 3000; i++) {
        enlist(&plain, i % 5 == 4 ? NULL : &clr[i % 3]);
        force(&plain, i % 2 ? HIGH : LOW);
        hostmem_clr_started(plain.manager);
        if (i % 64 == 0)
            beacon_settle();
    }
    plain_end(&plain);
    unsigned calls = 0;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(clr[i].references, 1);
        calls += clr[i].count;
    }
    assert_true(calls > 50);
    assert_int_equal(called_too_late, 0);
}

/* The last reference goes inside a call of the CLR's callback. */
static void release_all(struct gate *gate)
{
    IHostMemoryManager_Release(gate->plain->memory);
    hostmem_release(gate->plain->manager);
}

static void shut_down_and_release_all(struct gate *gate)
{
    hostmem_shutdown(gate->plain->manager);
    release_all(gate);
}

static void test_the_end_inside_a_callback(void **state)
{
    (void)state;
    void (*const ends[])(struct gate *) = {release_all, shut_down_and_release_all};
    const long others = fake_pages_outstanding();
    for (unsigned i = 0; i < 20; i++) {
        struct plain plain = plain_make();
        struct gate gate = gate_make(&plain);
        struct listener clr;
        gate.then = ends[i % 2];
        listener_init(&clr, stay, &gate);
        enlist(&plain, &clr);
        force(&plain, LOW);
        SetEvent(gate.open);
        wait_for(fake_pages_outstanding() == others); /* all of the manager has gone */
        beacon_settle();
        assert_int_equal(clr.references, 1);
        assert_int_equal(clr.count, 1);
        CloseHandle(gate.open);
    }
}

/* Shut down inside, released outside while the callback is still there. */
static void shut_down_inside(struct gate *gate)
{
    hostmem_shutdown(gate->plain->manager);
}

static void test_shutdown_inside_and_release_outside(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        struct plain plain = plain_make();
        struct gate gate = gate_make(&plain);
        struct listener clr;
        gate.then = shut_down_inside;
        listener_init(&clr, stay, &gate);
        enlist(&plain, &clr);
        force(&plain, LOW);
        wait_for(gate.inside);
        SetEvent(gate.open);
        plain_end(&plain);
        assert_false(gate.inside);
        assert_int_equal(clr.references, 1);
        assert_int_equal(clr.count, 1);
        CloseHandle(gate.open);
    }
}

/* Two managers: each is told of its own, and of one that goes the other notices nothing. */
static void test_one_of_two_goes(void **state)
{
    (void)state;
    struct plain a = plain_make(), b = plain_make(), c = plain_make();
    struct listener of_a, of_b, of_c;
    listener_init(&of_a, NULL, NULL);
    listener_init(&of_b, NULL, NULL);
    listener_init(&of_c, NULL, NULL);
    enlist(&a, &of_a);
    enlist(&b, &of_b);
    enlist(&c, &of_c);
    force(&a, LOW);
    force(&b, HIGH);
    assert_int_equal(listener_wait(&of_a, 1), LOW);
    assert_int_equal(listener_wait(&of_b, 1), HIGH);
    plain_end(&b); /* from the middle of the list */
    assert_int_equal(of_b.references, 1);
    force(&a, HIGH);
    force(&c, LOW);
    assert_int_equal(listener_wait(&of_a, 2), NEUTRAL); /* first that Low is over */
    assert_int_equal(listener_wait(&of_a, 3), HIGH);
    assert_int_equal(listener_wait(&of_c, 1), LOW);
    assert_hresult(hostmem_shutdown(c.manager), S_OK);
    plain_end(&c);
    force(&a, 0);
    assert_int_equal(listener_wait(&of_a, 4), NEUTRAL);
    beacon_settle();
    assert_int_equal(of_b.count, 1);
    assert_int_equal(of_c.count, 1);
    plain_end(&a);
    assert_int_equal(of_a.references, 1);
}

/* Inside a call of the callback everything may be called. */
static atomic_uint done, failed;

static void call_everything(struct listener *listener)
{
    IHostMemoryManager *memory = listener->context;
    void *region = NULL;
    DWORD load;
    SIZE_T available;
    HRESULT results[] = {
        IHostMemoryManager_VirtualAlloc(memory, NULL, PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE,
                                        eTaskCritical, &region),
        IHostMemoryManager_GetMemoryLoad(memory, &load, &available),
        IHostMemoryManager_VirtualFree(memory, region, 0, MEM_RELEASE),
    };
    for (unsigned i = 0; i < sizeof results / sizeof results[0]; i++)
        failed += results[i] != S_OK;
    done++;
}

static void test_calls_from_the_callback(void **state)
{
    (void)state;
    const struct os_memory machine = {
        .physical_available = 1 << 20, .job_limit = UINT64_MAX, .working_set_limit = UINT64_MAX};
    fake_os_set_memory(&machine);
    struct plain plain = plain_make();
    struct listener clr;
    done = failed = 0;
    listener_init(&clr, call_everything, plain.memory);
    enlist(&plain, &clr);
    force(&plain, LOW);
    wait_for(done == 1);
    assert_int_equal(failed, 0);
    plain_end(&plain);
}

#define callback_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_thread), /* the first */
        cmocka_unit_test(test_the_thread_comes_and_goes),
        callback_test(test_the_end_waits),
        callback_test(test_nothing_after_shutdown),
        callback_test(test_replaced_while_called),
        callback_test(test_replaced_at_any_moment),
        callback_test(test_the_end_inside_a_callback),
        callback_test(test_shutdown_inside_and_release_outside),
        callback_test(test_one_of_two_goes),
        callback_test(test_calls_from_the_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
