/*
 * pressure.c - the pressure thread
 *
 * The list of tenants and `calling` are changed under a kernel mutex, which is held for a few instructions and never
 * during a callback.  It is a mutex since one whose owner was killed at process exit can still be had.
 */
#include "memory/pressure.h"

static _Atomic(HANDLE) mutex, wake, thread;
static _Atomic(struct tenant *) calling; /* the thread is, or may be, in a callback of this one */
static _Atomic uint32_t thread_id;
static struct tenant *tenants;
static bool running; /* there is a thread, which has not decided to end */

/* Made once, by whoever comes first. */
static bool make(_Atomic(HANDLE) *slot, HANDLE (*create)(void))
{
    HANDLE none = NULL;
    if (atomic_load(slot) != NULL)
        return true;
    HANDLE made = create();
    if (made != NULL && !atomic_compare_exchange_strong(slot, &none, made))
        hm_os_close(made);
    return atomic_load(slot) != NULL;
}

void hm_pressure_wake(void)
{
    HANDLE event = atomic_load_explicit(&wake, memory_order_acquire);
    if (event != NULL)
        hm_os_event_set(event);
}

enum budget_pressure hm_pressure_tightest(enum budget_pressure a, enum budget_pressure b)
{
    return a < b ? a : b;
}

/* Low from nine tenths of a limit on until use is under eight; a job never says that there is plenty. */
static bool limit_is_low(uint64_t limit, uint64_t used, bool before)
{
    if (limit == UINT64_MAX)
        return false;
    uint64_t tenth = limit / 10;
    return used >= limit - (before ? 2 * tenth : tenth);
}

enum budget_pressure hm_pressure_of_job(const struct os_memory *memory, enum budget_pressure before)
{
    if (memory->job_limit == UINT64_MAX && memory->working_set_limit == UINT64_MAX)
        return BUDGET_HIGH;
    bool low = limit_is_low(memory->job_limit, memory->process_commit, before == BUDGET_LOW) ||
               limit_is_low(memory->working_set_limit, memory->process_working_set, before == BUDGET_LOW);
    return low ? BUDGET_LOW : BUDGET_NEUTRAL;
}

/* Machine and job, which are the same for all tenants. */
struct surroundings {
    struct hm_os_resources resources;
    enum budget_pressure job, all;
    uint64_t now;
    uint64_t next_look; /* milliseconds until somebody has to look again */
};

static void look_around(struct surroundings *around)
{
    struct os_memory memory;
    around->resources = hm_os_resources();
    around->job = hm_os_memory_status(&memory) ? hm_pressure_of_job(&memory, around->job) : BUDGET_HIGH;
    enum budget_pressure machine = around->resources.low    ? BUDGET_LOW
                                   : around->resources.high ? BUDGET_HIGH
                                                            : BUDGET_NEUTRAL;
    around->all = hm_pressure_tightest(machine, around->job);
    around->now = hm_os_ticks();
    /* No event tells of a job object's use, nor of the end of low memory.  (Nor of plenty: that can wait.) */
    bool blind = around->job != BUDGET_HIGH || around->resources.low;
    around->next_look = blind ? PRESSURE_LOOK_MS : PRESSURE_IDLE_MS;
}

/* The pressure in one budget. */
static enum budget_pressure pressure_in(struct budget *budget, bool *changed)
{
    uint32_t before = atomic_load_explicit(&budget->pressure, memory_order_relaxed);
    enum budget_pressure now = hm_budget_pressure(budget);
    *changed = *changed || now != before;
    return now;
}

static enum budget_pressure pressure_now(struct tenant *tenant, struct surroundings *around)
{
    uint32_t forced = atomic_load(&tenant->forced);
    enum budget_pressure pressure = around->all;
    for (struct quota *q = &tenant->vm->quota; q != NULL; q = q->parent) {
        bool changed = false;
        pressure = hm_pressure_tightest(pressure, pressure_in(&q->commit, &changed));
        pressure = hm_pressure_tightest(pressure, pressure_in(&q->heap, &changed));
        if (changed && q != &tenant->vm->quota)
            around->next_look = 0; /* tenants that were visited before have to hear of it, too */
    }
    return forced != 0 ? (enum budget_pressure)forced : pressure;
}

static void tell_host(struct tenant *tenant, hostmem_event *event)
{
    event->pressure = tenant->told;
    if (!tenant->left)
        tenant->event(tenant, event);
}

/* The budget with the least left for eTaskCritical. */
static const struct budget *tightest_budget(const struct quota *quota)
{
    const struct budget *tightest = &quota->commit;
    uint64_t least = UINT64_MAX;
    for (const struct quota *q = quota; q != NULL; q = q->parent)
        for (const struct budget *b = &q->commit; b != NULL; b = b == &q->commit ? &q->heap : NULL) {
            uint64_t ceiling = budget_ceiling(b, BUDGET_TASK), used = hm_budget_used(b);
            uint64_t left = used < ceiling ? ceiling - used : 0;
            if (ceiling != BUDGET_UNLIMITED && left < least) {
                least = left;
                tightest = b;
            }
        }
    return tightest;
}

static void tell_pressure(struct tenant *tenant, struct surroundings *around)
{
    enum budget_pressure pressure = pressure_now(tenant, around);
    if (tenant->told == BUDGET_LOW && pressure == BUDGET_HIGH) {
        pressure = BUDGET_NEUTRAL; /* first that it is over, then that there is plenty */
        around->next_look = 0;
    }
    bool restated = atomic_exchange(&tenant->restate, false);
    bool changed = pressure != tenant->told;
    bool repeated = pressure == BUDGET_LOW && around->now - tenant->told_at >= PRESSURE_REPEAT_MS;
    if (changed || repeated || (restated && pressure != BUDGET_NEUTRAL)) {
        tenant->told = pressure;
        tenant->told_at = around->now;
        atomic_store_explicit(&tenant->vm->stats.pressure, (uint32_t)pressure, memory_order_relaxed);
        if (tenant->tell(tenant, pressure))
            stats_bump(&tenant->vm->stats.notifications[pressure]);
    }
    if (changed) {
        const struct budget *budget = tightest_budget(&tenant->vm->quota);
        hostmem_event event = {.size = sizeof event,
                               .kind = HOSTMEM_EVENT_PRESSURE,
                               .critical_level = HOSTMEM_LEVEL_NONE,
                               .limit = budget_ceiling(budget, BUDGET_TASK),
                               .used = hm_budget_used(budget)};
        tell_host(tenant, &event);
    }
    if (pressure == BUDGET_LOW) {
        uint64_t rest = tenant->told_at + PRESSURE_REPEAT_MS - around->now;
        if (rest < around->next_look)
            around->next_look = rest;
    }
}

static void visit(struct tenant *tenant, struct surroundings *around)
{
    hostmem_event event;
    for (unsigned i = 0; i < EVENTS_MOST && !tenant->left && hm_events_read(&tenant->vm->events, &event); i++)
        tell_host(tenant, &event);
    if (!tenant->left)
        tell_pressure(tenant, around);
    uint64_t shown = tenant->left ? tenant->shown : hm_quota_shown(&tenant->vm->quota);
    if (shown != tenant->shown) {
        tenant->shown = shown;
        void (*changed)(void) = atomic_load(&tenant->shown_changed);
        if (changed != NULL)
            changed();
    }
}

/* The next tenant that this pass has not visited; `calling` keeps it where it is. */
static struct tenant *next_tenant(uint32_t pass)
{
    hm_os_mutex_lock(mutex);
    struct tenant *tenant = tenants;
    while (tenant != NULL && tenant->pass == pass)
        tenant = tenant->next;
    if (tenant != NULL)
        tenant->pass = pass;
    atomic_store(&calling, tenant);
    hm_os_mutex_unlock(mutex);
    return tenant;
}

static bool nobody_left(void)
{
    hm_os_mutex_lock(mutex);
    running = tenants != NULL;
    bool left = !running;
    hm_os_mutex_unlock(mutex);
    return left;
}

static void run(void)
{
    static uint32_t pass; /* one thread at a time */
    struct surroundings around = {.job = BUDGET_HIGH};
    atomic_store(&thread_id, GetCurrentThreadId());
    while (!nobody_left()) {
        struct tenant *tenant;
        look_around(&around);
        pass++;
        while ((tenant = next_tenant(pass)) != NULL) {
            visit(tenant, &around);
            bool doomed = tenant->doomed;
            atomic_store(&calling, NULL);
            if (doomed)
                tenant->gone(tenant);
        }
        hm_os_wait(wake, around.resources, (DWORD)around.next_look);
    }
}

static void unlink_tenant(struct tenant *tenant)
{
    if (atomic_load(&mutex) == NULL)
        return; /* nobody has ever joined */
    hm_os_mutex_lock(mutex);
    struct tenant **link = &tenants;
    while (*link != NULL && *link != tenant)
        link = &(*link)->next;
    if (*link != NULL)
        *link = tenant->next;
    atomic_store(&tenant->joined, false);
    hm_os_mutex_unlock(mutex);
    hm_pressure_wake();
}

/*
 * Without the mutex: a thread's start takes the loader lock, under which somebody else may wait for the mutex.  If it
 * fails, tenants that have joined meanwhile get a thread with the next one that joins.
 */
static bool start_thread(void)
{
    /* The first question of a process is asked here: while it is under way, Wine 8 answers zeros to other threads. */
    struct os_memory memory;
    hm_os_memory_status(&memory);
    HANDLE started = hm_os_thread_start(run);
    if (started == NULL) {
        hm_os_mutex_lock(mutex);
        running = false;
        hm_os_mutex_unlock(mutex);
        return false;
    }
    HANDLE before = atomic_exchange(&thread, started);
    if (before != NULL)
        hm_os_close(before);
    return true;
}

bool hm_pressure_join(struct tenant *tenant)
{
    if (atomic_load(&tenant->joined))
        return true;
    if (!make(&mutex, hm_os_mutex_create) || !make(&wake, hm_os_event_create))
        return false;
    hm_os_mutex_lock(mutex);
    bool joined = atomic_load(&tenant->joined);
    /* hostmem_shutdown closes before it takes the mutex to leave: one of us sees the other. */
    bool closed = atomic_load(&tenant->vm->closed);
    bool start = !joined && !closed && !running;
    if (!joined && !closed) {
        running = true;
        tenant->told = BUDGET_NEUTRAL; /* what a CLR takes for granted that was told nothing */
        tenant->shown = hm_quota_shown(&tenant->vm->quota);
        tenant->next = tenants;
        tenants = tenant;
        atomic_store(&tenant->joined, true);
        joined = true;
    }
    hm_os_mutex_unlock(mutex);
    if (start && !start_thread()) {
        unlink_tenant(tenant);
        return false;
    }
    hm_pressure_wake();
    return joined;
}

bool hm_pressure_leave(struct tenant *tenant, bool for_good)
{
    unlink_tenant(tenant);
    if (atomic_load(&calling) != tenant)
        return true;
    if (atomic_load(&thread_id) == GetCurrentThreadId()) {
        tenant->left = true;
        tenant->doomed = for_good;
        return false;
    }
    while (atomic_load(&calling) == tenant && !hm_os_thread_ended(atomic_load(&thread), 1))
        ;
    return true;
}
