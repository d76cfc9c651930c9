/*
 * test_lifetimes.c - who may go when: managers and the library's thread, in every order
 *
 * The thread is stopped where it starts, within a callback, where it decides to end and where it has ended; meanwhile a
 * manager is shut down or given back, and another one comes.  In the end nothing is left: no page, no handle, no
 * thread, no reference to the module.
 */
#include <stdlib.h>
#include <string.h>

#include "support/bridge_child.h"
#include "support/crew.h"
#include "support/fake_os.h"
#include "support/fake_pages.h"
#include "support/listener.h"
#include "support/verified.h"

enum { LOW = eMemoryAvailableLow, HIGH = eMemoryAvailableHigh };

static void assert_nothing_is_left(void)
{
    wait_for(fake_os_threads() == 0);
    assert_int_equal(fake_pages_outstanding(), 0);
    assert_int_equal(fake_os_outstanding(), 0);
    assert_int_equal(fake_os_handles(), 0);
    assert_int_equal(fake_os_module_references(), 0);
}

static hostmem_manager *make(hostmem_event_callback event, void *context)
{
    hostmem_manager *manager;
    hostmem_options options = {.size = sizeof options, .event = event, .context = context};
    assert_hresult(hostmem_create(&options, &manager), S_OK);
    return manager;
}

/* What a callback may do with a manager of which it has no reference: take one, and give it back. */
static void use_for_a_moment(hostmem_manager *manager, ICLRMemoryNotificationCallback *callback)
{
    IHostMemoryManager *memory;
    IHostMalloc *heap;
    DWORD load;
    SIZE_T available;
    hostmem_get_memory_manager(manager, &memory);
    IHostMemoryManager_GetMemoryLoad(memory, &load, &available);
    IHostMemoryManager_RegisterMemoryNotificationCallback(memory, callback);
    if (IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap) == S_OK)
        IHostMalloc_Release(heap);
    hostmem_clr_started(manager);
    IHostMemoryManager_Release(memory);
}

/* A place where a thread stops until it is let go; the first that comes there. */
static struct stop {
    HANDLE reached, go;
    atomic_bool taken, inside;
} stop;

static void stop_here(void)
{
    if (atomic_exchange(&stop.taken, true))
        return;
    SetEvent(stop.reached);
    WaitForSingleObject(stop.go, WAIT_MS);
}

static void stop_make(void)
{
    stop = (struct stop){.reached = CreateEventW(NULL, TRUE, FALSE, NULL),
                         .go = CreateEventW(NULL, TRUE, FALSE, NULL)};
}

static void stop_wait(void)
{
    assert_int_equal(WaitForSingleObject(stop.reached, WAIT_MS), WAIT_OBJECT_0);
}

static void stop_end(void)
{
    CloseHandle(stop.reached);
    CloseHandle(stop.go);
}

/* Every moment, every end */

enum moment {
    AT_ITS_START,
    IN_AN_EVENT,
    IN_A_NOTIFICATION,
    WHEN_IDLE,
    AS_IT_DECIDES_TO_END,
    HAS_ENDED,
    MOMENTS
};
enum end { SHUTDOWN, RELEASE, BOTH, ENDS };

static struct case_ {
    enum end end;
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    struct listener clr, late; /* late: registered within a callback */
    bool in_event;             /* or else in a notification */
    atomic_uint events, leaks;
    unsigned events_then, notifications_then; /* when it had ended */
} c;

/* Within the callback that is stopped: `manager` may have been given back meanwhile. */
static void be_called(bool in_event)
{
    if (in_event != c.in_event || stop.taken)
        return;
    stop.inside = true;
    stop_here();
    /* The end has begun: it is closed. */
    for (uint64_t end = GetTickCount64() + WAIT_MS; GetTickCount64() < end; Sleep(1))
        if (hostmem_force_pressure(c.manager, LOW) != S_OK)
            break;
    use_for_a_moment(c.manager, &c.late.iface);
    if (c.end != SHUTDOWN)
        hostmem_shutdown(c.manager);
    stop.inside = false;
}

static void HOSTMEM_CALL hear_event(const hostmem_event *event, void *context)
{
    (void)event, (void)context;
    c.events++;
    be_called(true);
}

static void hear_notification(struct listener *listener)
{
    (void)listener;
    be_called(false);
}

/* Each end is told once. */
static HRESULT HOSTMEM_CALL hear_of_leak(const hostmem_region *region, void *context)
{
    (void)context;
    c.leaks++;
    hm_os_virtual_free(region->base, 0, MEM_RELEASE);
    return S_OK;
}

static DWORD WINAPI end_it(void *context)
{
    (void)context;
    if (c.end != RELEASE)
        hostmem_shutdown(c.manager);
    if (c.end != SHUTDOWN) {
        IHostMemoryManager_Release(c.memory);
        hostmem_release(c.manager);
    }
    c.events_then = c.events;
    c.notifications_then = c.clr.count;
    return stop.inside;
}

static void come_to(enum moment moment)
{
    static const enum fake_os_moment at[MOMENTS] = {
        [AT_ITS_START] = FAKE_OS_BEGINS, [AS_IT_DECIDES_TO_END] = FAKE_OS_CLOSES, [HAS_ENDED] = FAKE_OS_ENDS};
    stop_make();
    memset(&c.clr, 0, sizeof c.clr);
    listener_init(&c.clr, hear_notification, NULL);
    listener_init(&c.late, NULL, NULL);
    c.events = c.leaks = 0;
    if (moment == IN_AN_EVENT || moment == IN_A_NOTIFICATION)
        c.in_event = moment == IN_AN_EVENT;
    else
        stop.taken = moment == WHEN_IDLE;
    if (at[moment] != 0 || moment == AT_ITS_START)
        fake_os_at(at[moment], stop_here);
    if (moment == AS_IT_DECIDES_TO_END || moment == HAS_ENDED) {
        hostmem_release(make(hear_event, NULL)); /* one before, for which there was the thread */
        stop_wait();
    }
    void *leak;
    hostmem_options options = {.size = sizeof options, .event = hear_event, .leaked_region = hear_of_leak};
    assert_hresult(hostmem_create(&options, &c.manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(c.manager, &c.memory), S_OK);
    assert_hresult(IHostMemoryManager_VirtualAlloc(c.memory, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE,
                                                   eTaskCritical, &leak),
                   S_OK);
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(c.memory, &c.clr.iface), S_OK);
    assert_hresult(hostmem_force_pressure(c.manager, LOW), S_OK);
    if (moment == WHEN_IDLE)
        wait_for(c.events > 0 && c.clr.count > 0);
    else
        stop_wait();
}

static void check_end(enum moment moment, enum end end)
{
    fake_os_reset();
    c.end = end;
    come_to(moment);
    HANDLE thread = CreateThread(NULL, 0, end_it, NULL, 0, NULL);
    bool waits = moment == IN_AN_EVENT || moment == IN_A_NOTIFICATION;
    /* Nobody waits for a thread to start or to end; the stopped one stays where it is. */
    assert_int_equal(WaitForSingleObject(thread, waits ? 30 : WAIT_MS), waits ? WAIT_TIMEOUT : WAIT_OBJECT_0);
    /* Meanwhile another comes, and goes. */
    hostmem_manager *other = make(event_log_note, &(struct event_log){.count = 0});
    hostmem_release(other);
    SetEvent(stop.go);
    assert_int_equal(WaitForSingleObject(thread, WAIT_MS), WAIT_OBJECT_0);
    DWORD early = 1;
    GetExitCodeThread(thread, &early);
    assert_int_equal(early, 0);
    if (end == SHUTDOWN) {
        assert_true(verified(c.manager));
        assert_int_equal(IHostMemoryManager_Release(c.memory), 1);
        hostmem_release(c.manager);
    }
    assert_nothing_is_left();
    assert_int_equal(c.clr.references, 1);
    assert_int_equal(c.late.references, 1);
    assert_int_equal(c.events, c.events_then);
    assert_int_equal(c.clr.count, c.notifications_then);
    assert_int_equal(c.leaks, 1);
    assert_int_equal(c.late.count, 0);
    CloseHandle(thread);
    stop_end();
}

static void test_every_moment_and_every_end(void **state)
{
    (void)state;
    for (int moment = 0; moment < MOMENTS; moment++)
        for (int end = 0; end < ENDS; end++) {
            print_message("    moment %d, end %d\n", moment, end);
            check_end((enum moment)moment, (enum end)end);
        }
}

/* A thread is there, and whoever started it has not noticed yet */

static atomic_uint started;
static atomic_bool in_callback, callback_is_over;

static void HOSTMEM_CALL take_some_time(const hostmem_event *event, void *context)
{
    (void)event, (void)context;
    if (atomic_exchange(&in_callback, true))
        return;
    Sleep(300);
    callback_is_over = true;
}

static void HOSTMEM_CALL hear_nothing(const hostmem_event *event, void *context)
{
    (void)event, (void)context;
}

static void dawdle(void)
{
    started++;
    Sleep(1500);
}

static DWORD WINAPI make_another(void *manager)
{
    *(hostmem_manager **)manager = make(hear_nothing, NULL);
    return 0;
}

static void test_a_thread_that_has_just_started(void **state)
{
    (void)state;
    hostmem_manager *other, *manager;
    fake_os_reset();
    hostmem_release(make(hear_nothing, NULL)); /* a first thread comes and goes */
    wait_for(fake_os_threads() == 0);
    fake_os_at(FAKE_OS_STARTED, dawdle);
    HANDLE thread = CreateThread(NULL, 0, make_another, &other, 0, NULL);
    wait_for(started == 1);
    manager = make(take_some_time, NULL);
    assert_hresult(hostmem_force_pressure(manager, LOW), S_OK);
    wait_for(in_callback);
    hostmem_release(manager);
    assert_true(callback_is_over);
    assert_int_equal(WaitForSingleObject(thread, WAIT_MS), WAIT_OBJECT_0);
    CloseHandle(thread);
    hostmem_release(other);
    assert_nothing_is_left();
}

/* Whoever wakes the thread when it is on its way out: the event is still there, and closed by the last */

static hostmem_manager *looked_at;

static void end_the_thread(void)
{
    fake_os_at(FAKE_OS_SETS, NULL);
    hostmem_shutdown(looked_at);
    for (uint64_t end = GetTickCount64() + WAIT_MS; fake_os_threads() != 0 && GetTickCount64() < end;)
        Sleep(1);
}

static void test_woken_while_it_ends(void **state)
{
    (void)state;
    fake_os_reset();
    looked_at = make(hear_nothing, NULL);
    fake_os_at(FAKE_OS_SETS, end_the_thread);
    assert_hresult(hostmem_force_pressure(looked_at, LOW), S_OK);
    assert_int_equal(fake_os_threads(), 0);
    hostmem_release(looked_at);
    assert_nothing_is_left();
}

/* Many at once, which come and go as they like */

static void HOSTMEM_CALL look_back(const hostmem_event *event, void *context)
{
    (void)event;
    use_for_a_moment(*(hostmem_manager **)context, NULL);
}

static void come_and_go(struct member *member, void *context)
{
    (void)context;
    for (int i = 0; i < 150; i++) {
        hostmem_manager *manager = NULL;
        IHostMemoryManager *memory;
        hostmem_options options = {.size = sizeof options, .event = look_back, .context = &manager};
        HRESULT result = hostmem_create(&options, &manager);
        crew_check(member, result == S_OK, result);
        unsigned random = crew_random(member, 16);
        hostmem_get_memory_manager(manager, &memory);
        hostmem_force_pressure(manager, random & 1 ? LOW : HIGH);
        if (random & 2)
            Sleep(1);
        if (random & 4)
            hostmem_shutdown(manager);
        IHostMemoryManager_Release(memory);
        hostmem_release(manager);
        if (random == 15)
            Sleep(3); /* now and then nobody is there */
    }
}

static void test_many_come_and_go(void **state)
{
    (void)state;
    static struct crew crew;
    fake_os_reset();
    crew_run(&crew, 4, come_and_go, NULL);
    assert_true(fake_os_count(FAKE_OS_THREAD) > 1);
    print_message("    %ld threads\n", fake_os_count(FAKE_OS_THREAD));
    assert_nothing_is_left();
}

/* At the end of a process all threads but one are killed wherever they are; then DLLs are told, and may call us. */

static hostmem_manager *at_exit;

static void give_back_at_exit(void)
{
    hostmem_shutdown(at_exit);
    hostmem_release(at_exit);
    TerminateProcess(GetCurrentProcess(), 42);
}

static void HOSTMEM_CALL stay_for_ever(const hostmem_event *event, void *context)
{
    (void)event, (void)context;
    SetEvent(stop.reached);
    Sleep(INFINITE);
}

static void sleep_for_ever(void)
{
    SetEvent(stop.reached);
    Sleep(INFINITE);
}

static int exit_while(const char *what)
{
    hostmem_manager *other;
    stop_make();
    at_exit = make(strcmp(what, "called") == 0 ? stay_for_ever : hear_nothing, NULL);
    if (strcmp(what, "called") == 0) {
        hostmem_force_pressure(at_exit, LOW);
    } else { /* a thread has the mutex */
        hostmem_shutdown(at_exit);
        while (fake_os_threads() != 0)
            Sleep(1);
        fake_os_at(FAKE_OS_STARTED, sleep_for_ever);
        CreateThread(NULL, 0, make_another, &other, 0, NULL);
    }
    WaitForSingleObject(stop.reached, WAIT_MS);
    HMODULE module = LoadLibraryA("on_exit.dll");
    void (*on_exit_call)(void (*)(void)) = (void *)GetProcAddress(module, "on_exit_call");
    on_exit_call(give_back_at_exit);
    ExitProcess(1);
}

static void test_at_process_exit(void **state)
{
    (void)state;
    static const wchar_t *const whats[] = {L"called", L"locked"};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(bridge_child(whats[i], WAIT_MS), 42);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return exit_while(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_moment_and_every_end),
        cmocka_unit_test(test_a_thread_that_has_just_started),
        cmocka_unit_test(test_woken_while_it_ends),
        cmocka_unit_test(test_many_come_and_go),
        cmocka_unit_test(test_at_process_exit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
