/*
 * test_budget_threads.c - budgets, their watermarks and the ring of events, with several threads at them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "memory/events.h"
#include "memory/quota.h"
#include "support/crew.h"
#include "support/answers.h"

enum { WORKERS = 8, WATCHER = WORKERS, HOLDINGS = 32, UNIT = 100, ROUNDS = 200000 };

static void set(struct budget *budget, uint64_t limit, uint64_t soft)
{
    const struct budget_limits limits = {.limit = limit, .task_limit = limit, .soft = soft};
    hm_budget_set(budget, &limits);
}

/* Bytes that are there as soon as they are granted. */
static struct answer take(struct quota *quota, uint64_t bytes, unsigned level, enum charge_kind kind)
{
    struct charge charge = {.bytes = bytes, .level = level, .kind = kind};
    struct answer answer = quota_charged(quota, &charge);
    if (answer.verdict == CHARGE_GRANTED)
        quota_settled(quota, &charge, bytes);
    return answer;
}

/* Two quotas under one; the workers would like twice of what the shared one has, half of it as heap. */
struct contest {
    struct quota shared, own[2];
    uint64_t shared_limit, own_limit, heap_limit;
    atomic_uint working;
    atomic_uint granted, refused_by_own, refused_by_shared, refused_by_heap;
};

static void watch(struct member *member, struct contest *contest)
{
    while (contest->working != 0) {
        uint64_t shared = contest->shared.commit.used;
        crew_check(member, shared <= contest->shared_limit, shared);
        for (int i = 0; i < 2; i++) {
            uint64_t own = contest->own[i].commit.used, heap = contest->own[i].heap.used;
            crew_check(member, own <= contest->own_limit, own);
            crew_check(member, heap <= contest->heap_limit, heap);
        }
    }
}

static void contend(struct member *member, void *context)
{
    struct contest *contest = context;
    if (member->number == WATCHER) {
        watch(member, contest);
        return;
    }
    struct quota *quota = &contest->own[member->number % 2];
    uint64_t held[HOLDINGS] = {0};
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (round % 64 == 0)
            SwitchToThread(); /* so that they are at it together, on few processors too */
        const unsigned which = crew_random(member, HOLDINGS);
        const enum charge_kind kind = which % 2 ? CHARGE_HEAP : CHARGE_COMMIT;
        uint64_t *holding = &held[which];
        if (*holding != 0) {
            hm_quota_refund(quota, kind, *holding);
            *holding = 0;
            continue;
        }
        uint64_t bytes = 1 + crew_random(member, 2 * UNIT);
        struct answer answer = take(quota, bytes, crew_random(member, 2), kind);
        if (answer.verdict == CHARGE_GRANTED) {
            *holding = bytes;
            contest->granted++;
        } else {
            crew_check(member, answer.verdict == CHARGE_OVER, answer.verdict);
            crew_check(member, answer.used > answer.ceiling - bytes, answer.used);
            ++*(answer.by == &quota->commit ? &contest->refused_by_own
                : answer.by == &quota->heap ? &contest->refused_by_heap
                                            : &contest->refused_by_shared);
        }
    }
    for (unsigned i = 0; i < HOLDINGS; i++)
        hm_quota_refund(quota, i % 2 ? CHARGE_HEAP : CHARGE_COMMIT, held[i]);
    contest->working--;
}

static void test_never_above_the_limit(void **state)
{
    (void)state;
    static struct contest contest;
    struct crew crew;
    memset(&contest, 0, sizeof contest);
    hm_quota_init(&contest.shared, NULL);
    for (int i = 0; i < 2; i++) {
        hm_quota_init(&contest.own[i], NULL);
        contest.own[i].parent = &contest.shared;
    }
    /* Half of the holdings are empty at a time: appetite for WORKERS * HOLDINGS / 2 units. */
    contest.shared_limit = WORKERS * HOLDINGS / 4 * UNIT;
    contest.own_limit = contest.shared_limit * 5 / 8;
    contest.heap_limit = contest.own_limit / 2;
    set(&contest.shared.commit, contest.shared_limit, BUDGET_UNLIMITED);
    for (int i = 0; i < 2; i++) {
        set(&contest.own[i].commit, contest.own_limit, BUDGET_UNLIMITED);
        set(&contest.own[i].heap, contest.heap_limit, BUDGET_UNLIMITED);
    }
    contest.working = WORKERS;
    crew_run(&crew, WORKERS + 1, contend, &contest);

    assert_int_equal(contest.shared.commit.used, 0);
    assert_int_equal(contest.shared.heap.used, 0);
    assert_in_range(contest.shared.commit.peak, contest.shared_limit / 2, contest.shared_limit);
    for (int i = 0; i < 2; i++) {
        const struct quota *own = &contest.own[i];
        assert_int_equal(own->commit.used, 0);
        assert_int_equal(own->heap.used, 0);
        assert_in_range(own->commit.peak, contest.own_limit / 2, contest.own_limit);
        assert_in_range(own->heap.peak, contest.heap_limit / 2, contest.heap_limit);
        assert_int_equal(own->commit.overruns, 0);
    }
    print_message("%u granted; refused: %u by own, %u by heap, %u by shared\n", (unsigned)contest.granted,
                  (unsigned)contest.refused_by_own, (unsigned)contest.refused_by_heap,
                  (unsigned)contest.refused_by_shared);
    assert_true(contest.refused_by_own > 100);
    assert_true(contest.refused_by_heap > 100);
    assert_true(contest.refused_by_shared > 100);
    assert_true(contest.granted > WORKERS * ROUNDS / 8);
}

/*
 * At the limit all the time, with as little as possible around each charge: whoever was granted one counts itself
 * among those that hold one, so more than the limit show even if they are gone before anybody looks.
 */
enum { SEATS = 2, SITTINGS = 300000 };

struct seats {
    struct quota shared, own;
    atomic_int taken;
    atomic_uint granted, refused;
};

static void sit(struct member *member, void *context)
{
    struct seats *seats = context;
    unsigned granted = 0;
    bool seated = take(&seats->own, 1, BUDGET_TASK, CHARGE_HEAP).verdict == CHARGE_GRANTED;
    crew_meet(member); /* all have asked: some were refused, however they were scheduled */
    seats->refused += !seated;
    if (seated)
        hm_quota_refund(&seats->own, CHARGE_HEAP, 1);
    crew_meet(member);
    for (unsigned i = 0; i < SITTINGS; i++) {
        if (take(&seats->own, 1, BUDGET_TASK, CHARGE_HEAP).verdict != CHARGE_GRANTED)
            continue;
        int others = atomic_fetch_add(&seats->taken, 1);
        crew_check(member, others < SEATS, others);
        granted++;
        atomic_fetch_sub(&seats->taken, 1);
        hm_quota_refund(&seats->own, CHARGE_HEAP, 1);
    }
    seats->granted += granted;
    seats->refused += SITTINGS - granted;
}

static void test_never_two_for_one(void **state)
{
    (void)state;
    static struct seats seats;
    struct crew crew;
    struct budget *const row[] = {&seats.own.commit, &seats.own.heap, &seats.shared.commit,
                                  &seats.shared.heap};
    for (int limited = 0; limited < 4; limited++) {
        memset(&seats, 0, sizeof seats);
        hm_quota_init(&seats.shared, NULL);
        hm_quota_init(&seats.own, NULL);
        seats.own.parent = &seats.shared;
        set(row[limited], SEATS, BUDGET_UNLIMITED);
        crew_run(&crew, WORKERS, sit, &seats);
        for (int i = 0; i < 4; i++)
            assert_int_equal(row[i]->used, 0);
        /* (Of an unlimited one the peak may be more: it is given back after the other.) */
        assert_in_range(row[limited]->peak, 1, SEATS);
        assert_true(seats.granted > WORKERS);
        print_message("%u granted, %u refused\n", (unsigned)seats.granted, (unsigned)seats.refused);
        assert_in_range(seats.refused, WORKERS - SEATS, WORKERS * (SITTINGS + 1));
    }
}

/*
 * A strict limit of all, and heaps beyond theirs: what is an overrun of the one is no way around the other, not with
 * several under way at once.
 */
static void crowd_in(struct member *member, void *context)
{
    struct seats *seats = context;
    for (unsigned i = 0; i < SITTINGS / 8; i++) {
        struct charge charge = {.bytes = 1, .level = BUDGET_PROCESS, .kind = CHARGE_HEAP};
        if (quota_charged(&seats->own, &charge).verdict == CHARGE_OVER) {
            seats->refused++;
            SwitchToThread(); /* or all rounds pass while others are held up */
            continue;
        }
        if (crew_random(member, 16) == 0)
            SwitchToThread();
        quota_settled(&seats->own, &charge, 1);
        int others = atomic_fetch_add(&seats->taken, 1);
        crew_check(member, others < SEATS, others);
        if (crew_random(member, 16) == 0)
            SwitchToThread(); /* and has it for a while */
        atomic_fetch_sub(&seats->taken, 1);
        hm_quota_refund(&seats->own, CHARGE_HEAP, 1);
        seats->granted++;
    }
}

static void test_strict_beside_overruns(void **state)
{
    (void)state;
    static struct seats seats;
    struct crew crew;
    const struct budget_limits strict = {
        .limit = SEATS, .task_limit = SEATS, .soft = BUDGET_UNLIMITED, .strict = true};
    for (int shared = 0; shared < 2; shared++) {
        memset(&seats, 0, sizeof seats);
        hm_quota_init(&seats.shared, NULL);
        hm_quota_init(&seats.own, NULL);
        seats.own.parent = &seats.shared;
        struct quota *quota = shared ? &seats.shared : &seats.own;
        hm_quota_set(quota, &strict, 0, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
        crew_run(&crew, WORKERS, crowd_in, &seats);
        assert_int_equal(quota->commit.used, 0);
        assert_int_equal(quota->heap.used, 0);
        assert_in_range(quota->commit.peak, 1, SEATS);
        assert_int_equal(quota->commit.overruns, 0);
        assert_int_equal(quota->heap.overruns, seats.granted);
        assert_true(seats.granted > WORKERS);
        print_message("%u granted, %u refused\n", (unsigned)seats.granted, (unsigned)seats.refused);
    }
}

/*
 * The workers leave use at a level that is known; the judge looks only when it is called, and must come to know
 * it: a crossing that got lost would let it wait for good.
 */
enum { JUDGE = 4, LEVELS = 3, JUDGEMENTS = 600 };

static HANDLE woken;
static struct budget judged;
static const uint64_t level_of[LEVELS] = {0, 640, 1000}; /* soft is 800: High up to 500, Low from 800 on */

static void wake_judge(void)
{
    SetEvent(woken);
}

static void judge(struct member *member, void *context)
{
    (void)context;
    for (unsigned round = 0; round < JUDGEMENTS; round++) {
        uint64_t mine = level_of[round % LEVELS] / JUDGE;
        if (member->number == JUDGE) {
            static const enum budget_pressure expected[LEVELS] = {BUDGET_HIGH, BUDGET_NEUTRAL, BUDGET_LOW};
            enum budget_pressure now = hm_budget_pressure(&judged);
            crew_meet(member);
            while (now != expected[round % LEVELS]) {
                if (WaitForSingleObject(woken, 20000) != WAIT_OBJECT_0) {
                    crew_fault(member, "nobody woke the judge", (long)judged.used);
                    break;
                }
                now = hm_budget_pressure(&judged);
            }
        } else {
            crew_meet(member);
            for (unsigned i = 0; i < 50; i++) {
                uint64_t bytes = 1 + crew_random(member, 300);
                budget_forced(&judged, bytes);
                budget_give(&judged, bytes);
            }
            budget_forced(&judged, mine);
        }
        crew_meet(member);
        if (member->number != JUDGE)
            budget_give(&judged, mine);
        crew_meet(member);
    }
}

static void test_no_crossing_is_lost(void **state)
{
    (void)state;
    struct crew crew;
    woken = CreateEventW(NULL, FALSE, FALSE, NULL);
    memset(&judged, 0, sizeof judged);
    hm_budget_init(&judged);
    judged.crossed = wake_judge;
    set(&judged, BUDGET_UNLIMITED, 800);
    crew_run(&crew, JUDGE + 1, judge, NULL);
    assert_int_equal(judged.used, 0);
    CloseHandle(woken);
}

#ifdef _WIN32
/*
 * A crossing in the very moment of a look, after it has read use and before it arms the watermarks.  Threads would hit
 * that once in a blue moon; here the watermarks begin a page that is guarded, and whoever writes them first lets
 * somebody in.  What is read before, on the same page, moves the guard to `used`, and that moves it back.
 */
static int64_t intruder; /* what he takes, or gives back */
static unsigned intrusions, wakes;

static void count_wake(void)
{
    wakes++;
}

static struct budget *guarded;

static void guard(const volatile void *at)
{
    DWORD old;
    VirtualProtect((void *)(uintptr_t)at, 1, PAGE_READWRITE | PAGE_GUARD, &old);
}

static LONG CALLBACK let_in(EXCEPTION_POINTERS *exception)
{
    const EXCEPTION_RECORD *record = exception->ExceptionRecord;
    if (record->ExceptionCode != (DWORD)STATUS_GUARD_PAGE_VIOLATION)
        return EXCEPTION_CONTINUE_SEARCH;
    uintptr_t at = record->ExceptionInformation[1], watermarks = (uintptr_t)&guarded->wake_above;
    if (at < watermarks || at >= watermarks + 2 * sizeof guarded->wake_above) {
        guard(at < watermarks ? &guarded->wake_above : &guarded->used);
        return EXCEPTION_CONTINUE_EXECUTION;
    }
    intrusions++;
    if (intruder > 0)
        budget_forced(guarded, (uint64_t)intruder);
    else
        budget_give(guarded, (uint64_t)-intruder);
    return EXCEPTION_CONTINUE_EXECUTION;
}

static void test_a_crossing_during_a_look(void **state)
{
    (void)state;
    static const struct {
        uint64_t before, at_first, at_last; /* soft is 800 */
        enum budget_pressure pressure;
    } rows[] = {
        {0, 1000, 0, BUDGET_HIGH},      {0, 1000, 650, BUDGET_NEUTRAL},   {1000, 0, 1000, BUDGET_LOW},
        {1000, 0, 600, BUDGET_NEUTRAL}, {600, 1000, 600, BUDGET_NEUTRAL}, {600, 0, 600, BUDGET_NEUTRAL},
        {600, 0, 1000, BUDGET_LOW},     {600, 1000, 0, BUDGET_HIGH},
    };
    char *pages = VirtualAlloc(NULL, 8192, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    struct budget *budget = CONTAINING_RECORD(pages + 4096, struct budget, wake_above);
    void *handler = AddVectoredExceptionHandler(1, let_in);
    assert_true(pages != NULL && handler != NULL);
    guarded = budget;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(pages, 0, 8192);
        hm_budget_init(budget);
        budget->crossed = count_wake;
        set(budget, BUDGET_UNLIMITED, 800);
        budget_forced(budget, rows[i].before);
        hm_budget_pressure(budget);
        wakes = intrusions = 0;
        intruder = (int64_t)(rows[i].at_last - rows[i].at_first);
        budget_forced(budget, rows[i].at_first); /* never below the goal by the way */
        budget_give(budget, rows[i].before);
        assert_int_equal(wakes, 1); /* so somebody comes to look */
        guard(&budget->wake_above);
        enum budget_pressure seen = hm_budget_pressure(budget);
        assert_int_equal(intrusions, 1);
        assert_int_equal(budget->used, rows[i].at_last);
        /* Seen by the look, or by the one who came in: then there is another look. */
        if (seen != rows[i].pressure) {
            assert_int_equal(wakes, 2);
            seen = hm_budget_pressure(budget);
        }
        assert_int_equal(seen, rows[i].pressure);
    }
    RemoveVectoredExceptionHandler(handler);
    VirtualFree(pages, 0, MEM_RELEASE);
}
#endif

static hostmem_event numbered(uint64_t number)
{
    return (hostmem_event){.size = sizeof(hostmem_event), .kind = HOSTMEM_EVENT_REFUSED, .bytes = number};
}

static void write_numbers(struct event_queue *queue, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n < to; n++) {
        hostmem_event event = numbered(n);
        hm_events_write(queue, &event);
    }
}

/* Reads the next ones, and returns how many were lost before or among them. */
static uint64_t read_numbers(struct event_queue *queue, uint64_t from, uint64_t to)
{
    uint64_t lost = 0;
    for (uint64_t n = from; n < to; n++) {
        hostmem_event event = numbered(0), expected = numbered(n);
        assert_true(hm_events_read(queue, &event));
        lost += event.lost;
        expected.lost = event.lost;
        assert_memory_equal(&event, &expected, sizeof event);
    }
    return lost;
}

static void test_ring_in_order(void **state)
{
    (void)state;
    static struct event_queue queue;
    hostmem_event event;
    memset(&queue, 0, sizeof queue);
    assert_false(hm_events_read(&queue, &event));
    for (uint64_t n = 0; n < 5 * EVENTS_MOST; n += 7) {
        write_numbers(&queue, n, n + 7);
        assert_int_equal(read_numbers(&queue, n, n + 7), 0);
        assert_false(hm_events_read(&queue, &event));
    }
    assert_int_equal(queue.lost, 0);
}

/* The oldest are kept; what is lost is told with the next one that is read, and there is room again then. */
static void test_ring_when_full(void **state)
{
    (void)state;
    static struct event_queue queue;
    hostmem_event event;
    memset(&queue, 0, sizeof queue);
    write_numbers(&queue, 0, EVENTS_MOST + 6);
    assert_int_equal(queue.lost, 6);
    assert_int_equal(read_numbers(&queue, 0, 1), 6);
    write_numbers(&queue, 1000, 1001);
    write_numbers(&queue, 2000, 2003); /* full again */
    assert_int_equal(queue.lost, 9);
    assert_int_equal(read_numbers(&queue, 1, 2), 3);
    assert_int_equal(read_numbers(&queue, 2, EVENTS_MOST), 0);
    assert_int_equal(read_numbers(&queue, 1000, 1001), 0);
    assert_false(hm_events_read(&queue, &event));
}

/* Past 2^32 events. */
static void test_ring_wraps_around(void **state)
{
    (void)state;
    static struct event_queue queue;
    hostmem_event event;
    const uint32_t start = UINT32_MAX - 2 * EVENTS_MOST + 1;
    memset(&queue, 0, sizeof queue);
    queue.written = queue.read = start;
    for (unsigned i = 0; i < EVENTS_MOST; i++)
        queue.slot[i].turn = start;
    for (uint64_t n = 0; n < 6 * EVENTS_MOST; n += 40) {
        write_numbers(&queue, n, n + 40);
        assert_int_equal(read_numbers(&queue, n, n + 40), 0);
    }
    assert_true(queue.written < start); /* it did wrap */
    write_numbers(&queue, 0, EVENTS_MOST + 1);
    assert_int_equal(read_numbers(&queue, 0, EVENTS_MOST), 1);
    assert_false(hm_events_read(&queue, &event));
}

enum { WRITERS = 4, EACH = 50000 };

struct traffic {
    struct event_queue queue;
    atomic_uint writing;
    uint64_t read, lost;
};

static void read_all(struct member *member, struct traffic *traffic)
{
    uint64_t next[WRITERS] = {0};
    for (bool last = false; !last;) {
        last = traffic->writing == 0;
        hostmem_event event;
        while (hm_events_read(&traffic->queue, &event)) {
            uint64_t writer = event.used, number = event.bytes;
            crew_check(member, writer < WRITERS && event.limit == ~number, event.limit);
            if (writer < WRITERS) {
                crew_check(member, number >= next[writer], number);
                next[writer] = number + 1;
            }
            traffic->read++;
            traffic->lost += event.lost;
        }
    }
}

static void exchange(struct member *member, void *context)
{
    struct traffic *traffic = context;
    if (member->number == WRITERS) {
        read_all(member, traffic);
        return;
    }
    for (uint64_t n = 0; n < EACH; n++) {
        hostmem_event event = numbered(n);
        event.limit = ~n; /* so that a torn event shows */
        event.used = member->number;
        hm_events_write(&traffic->queue, &event);
        if (n % 16 == 0)
            SwitchToThread(); /* or the ring would always be full */
    }
    traffic->writing--;
}

static void test_writers_and_a_reader(void **state)
{
    (void)state;
    static struct traffic traffic;
    struct crew crew;
    memset(&traffic, 0, sizeof traffic);
    traffic.writing = WRITERS;
    crew_run(&crew, WRITERS + 1, exchange, &traffic);
    uint64_t untold = traffic.queue.lost - traffic.queue.reported_lost;
    assert_int_equal(traffic.read + traffic.lost + untold, WRITERS * EACH);
    assert_int_equal(traffic.queue.lost, traffic.lost + untold);
    assert_true(traffic.read > EVENTS_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_above_the_limit),
        cmocka_unit_test(test_never_two_for_one),
        cmocka_unit_test(test_strict_beside_overruns),
        cmocka_unit_test(test_no_crossing_is_lost),
#ifdef _WIN32
        cmocka_unit_test(test_a_crossing_during_a_look),
#endif
        cmocka_unit_test(test_ring_in_order),
        cmocka_unit_test(test_ring_when_full),
        cmocka_unit_test(test_ring_wraps_around),
        cmocka_unit_test(test_writers_and_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
