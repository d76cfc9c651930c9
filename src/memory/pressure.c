/*
 * pressure.c - the pressure thread; the argument is in docs/architecture.md
 */
#include "memory/pressure.h"

#include "memory/shared_handle.h"

/* The thread's; others refer to them for as long as they use them. */
static struct shared_handle mutex, wake;

/* Guarded by the mutex. */
static struct tenant *tenants;
static bool running; /* there is a thread, which has not decided to end */

static void lock(void)
{
    hm_os_mutex_lock(shared_handle(&mutex));
}

static void unlock(void)
{
    hm_os_mutex_unlock(shared_handle(&mutex));
}

void hm_pressure_wake(void)
{
    hm_shared_handle_set(&wake); /* if there is a thread */
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
    if (!os_memory_has_job_limit(memory))
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
    uint64_t process;   /* use of the whole process */
};

static void look_around(struct surroundings *around)
{
    struct os_memory memory = {.job_limit = UINT64_MAX, .working_set_limit = UINT64_MAX};
    hm_os_resources_look(&around->resources);
    hm_os_memory_status(&memory);
    hm_os_process_use(&memory);
    around->job = hm_pressure_of_job(&memory, around->job);
    around->process = memory.process_commit + atomic_load_explicit(&hm_views_committed, memory_order_relaxed);
    enum budget_pressure machine = around->resources.low    ? BUDGET_LOW
                                   : around->resources.high ? BUDGET_HIGH
                                                            : BUDGET_NEUTRAL;
    around->all = hm_pressure_tightest(machine, around->job);
    around->now = hm_os_ticks();
    /* There is no event for a job object's use, nor for the end of low memory.  (Nor for plenty: that can wait.) */
    bool blind = around->job != BUDGET_HIGH || around->resources.low;
    around->next_look = blind ? PRESSURE_LOOK_MS : PRESSURE_IDLE_MS;
}

/* The pressure in one budget. */
static enum budget_pressure pressure_in(struct budget *budget, bool *changed)
{
    enum budget_pressure before = atomic_load_explicit(&budget->pressure, memory_order_relaxed);
    enum budget_pressure now = hm_budget_pressure(budget);
    *changed = *changed || now != before;
    return now;
}

/* Note the process' use for a tenant, if it has a process_soft; no event says when that is passed. */
static void sample_process(struct quota *quota, struct surroundings *around)
{
    bool wanted = false;
    for (struct quota *q = quota; q != NULL; q = q->parent)
        wanted = wanted || budget_soft(&q->process) != BUDGET_UNLIMITED;
    if (!wanted)
        return;
    for (struct quota *q = quota; q != NULL; q = q->parent) {
        atomic_store_explicit(&q->process.used, around->process, memory_order_relaxed);
        raise_to(&q->process.peak, around->process);
    }
    if (around->next_look > PRESSURE_LOOK_MS)
        around->next_look = PRESSURE_LOOK_MS;
}

/* What a tenant is to be notified of, and why. */
struct finding {
    enum budget_pressure pressure, of_process, of_all_else;
    const struct budget *process; /* that with the least process_soft */
};

static struct finding pressure_now(struct tenant *tenant, struct surroundings *around)
{
    uint32_t forced = atomic_load(&tenant->forced);
    struct finding found = {
        .of_process = BUDGET_HIGH, .of_all_else = around->all, .process = &tenant->vm->quota.process};
    sample_process(&tenant->vm->quota, around);
    for (struct quota *q = &tenant->vm->quota; q != NULL; q = q->parent) {
        bool changed = false;
        found.of_all_else = hm_pressure_tightest(found.of_all_else, pressure_in(&q->commit, &changed));
        found.of_all_else = hm_pressure_tightest(found.of_all_else, pressure_in(&q->heap, &changed));
        found.of_process = hm_pressure_tightest(found.of_process, pressure_in(&q->process, &changed));
        if (budget_soft(&q->process) < budget_soft(found.process))
            found.process = &q->process;
        if (changed && q != &tenant->vm->quota)
            around->next_look = 0; /* tenants that were visited before are to be notified, too */
    }
    if (forced != 0)
        found.of_process = found.of_all_else = (enum budget_pressure)forced;
    found.pressure = hm_pressure_tightest(found.of_process, found.of_all_else);
    return found;
}

/* Has the last Low freed something of the process, or is there more to be freed by now?  Else, as with a native leak,
 * another one is a full collection for nothing. */
static bool is_worth_repeating(const struct tenant *tenant, const struct finding *found)
{
    if (found->of_all_else == BUDGET_LOW)
        return true;
    const uint64_t used = hm_budget_used(found->process), before = tenant->notified_process,
                   soft = budget_soft(found->process);
    const uint64_t above = before > soft ? before - soft : 0;
    const uint64_t step = (above > soft / 8 ? above : soft / 8) / 16;
    return used + step <= before || used >= before + step;
}

static void notify_host(struct tenant *tenant, hostmem_event *event)
{
    event->pressure = tenant->notified;
    if (atomic_load(&tenant->joined))
        tenant->notify_host(tenant, event);
}

/* The budget with the least left for eTaskCritical. */
static const struct budget *tightest_budget(const struct quota *quota)
{
    const struct budget *tightest = &quota->commit;
    uint64_t least = UINT64_MAX;
    for (const struct quota *q = quota; q != NULL; q = q->parent)
        for (unsigned i = 0; i < 2; i++) {
            const struct budget *budget = i == 0 ? &q->commit : &q->heap;
            const uint64_t ceiling = budget_ceiling(budget, BUDGET_TASK), used = hm_budget_used(budget),
                           left = used < ceiling ? ceiling - used : 0;
            if (ceiling != BUDGET_UNLIMITED && left < least) {
                least = left;
                tightest = budget;
            }
        }
    return tightest;
}

static void notify_pressure(struct tenant *tenant, struct surroundings *around)
{
    const struct finding found = pressure_now(tenant, around);
    enum budget_pressure pressure = found.pressure;
    if (tenant->notified == BUDGET_LOW && pressure == BUDGET_HIGH) {
        pressure = BUDGET_NEUTRAL; /* first that it is over, then that there is plenty */
        around->next_look = 0;
    }
    atomic_store_explicit(&tenant->vm->stats.pressure, (uint32_t)pressure, memory_order_relaxed);
    bool renotified = atomic_exchange(&tenant->renotify, false);
    bool changed = pressure != tenant->notified;
    bool repeated = pressure == BUDGET_LOW && around->now - tenant->notified_at >= PRESSURE_REPEAT_MS &&
                    is_worth_repeating(tenant, &found);
    if (changed || repeated || (renotified && pressure != BUDGET_NEUTRAL)) {
        tenant->notified = pressure;
        tenant->notified_at = around->now;
        tenant->notified_process = around->process;
        if (changed)
            RECORD(tenant->vm, TRACE_PRESSURE, pressure, hm_budget_used(&tenant->vm->quota.commit));
        if (tenant->notify_clr(tenant, pressure)) {
            stats_bump(&tenant->vm->stats.notifications[pressure]);
            RECORD(tenant->vm, TRACE_NOTIFICATION, pressure);
        }
    }
    if (changed) {
        const bool by_process = found.of_process < found.of_all_else;
        const struct budget *budget = by_process ? found.process : tightest_budget(&tenant->vm->quota);
        hostmem_event event = {.size = sizeof event,
                               .kind = HOSTMEM_EVENT_PRESSURE,
                               .critical_level = HOSTMEM_LEVEL_NONE,
                               .limit =
                                   by_process ? budget_soft(budget) : budget_ceiling(budget, BUDGET_TASK),
                               .used = hm_budget_used(budget)};
        notify_host(tenant, &event);
    }
    if (pressure == BUDGET_LOW) {
        uint64_t rest = tenant->notified_at + PRESSURE_REPEAT_MS - around->now;
        if (rest < around->next_look)
            around->next_look = rest;
    }
}

static void visit(struct tenant *tenant, struct surroundings *around)
{
    hostmem_event event;
    for (unsigned i = 0;
         i < EVENTS_MOST && atomic_load(&tenant->joined) && hm_events_read(&tenant->vm->events, &event); i++)
        notify_host(tenant, &event);
    if (atomic_load(&tenant->joined))
        notify_pressure(tenant, around);
    if (!atomic_load(&tenant->joined))
        return;
    uint64_t shown = hm_quota_shown(&tenant->vm->quota);
    if (shown != tenant->shown) {
        tenant->shown = shown;
        void (*changed)(void) = atomic_load(&tenant->shown_changed);
        if (changed != NULL)
            changed();
    }
}

/* The next tenant that this pass has not visited, with a reference.  Whoever leaves now waits for end_visit. */
static struct tenant *begin_visit(uint32_t pass)
{
    lock();
    struct tenant *tenant = tenants;
    while (tenant != NULL && tenant->pass == pass)
        tenant = tenant->next;
    if (tenant != NULL) {
        tenant->pass = pass;
        atomic_fetch_add(&tenant->references, 1);
        hm_os_mutex_lock(tenant->visit);
    }
    unlock();
    return tenant;
}

/* Nobody has a reference. */
static void end_tenant(struct tenant *tenant)
{
    if (tenant->visit != NULL)
        hm_os_close(tenant->visit);
    tenant->gone(tenant);
}

static void end_visit(struct tenant *tenant)
{
    HANDLE visit = tenant->visit;
    /* Given back before others may go on: unless the tenant has left within the visit, the last one is its owner's. */
    bool last = atomic_fetch_sub(&tenant->references, 1) == 1;
    hm_os_mutex_unlock(visit);
    if (last)
        end_tenant(tenant);
}

static bool nobody_left(void)
{
    lock();
    const bool left = tenants == NULL;
    running = !left;
    unlock();
    return left;
}

/* What a thread of ours lives on. */
static void give_handles(void)
{
    hm_shared_handle_give(&wake);
    hm_shared_handle_give(&mutex);
}

static bool take_handles_and_module(void)
{
    if (hm_shared_handle_take(&mutex, hm_os_mutex_create) == NULL)
        return false;
    if (hm_shared_handle_take(&wake, hm_os_event_create) == NULL) {
        hm_shared_handle_give(&mutex);
        return false;
    }
    if (hm_os_module_keep())
        return true;
    give_handles();
    return false;
}

static void run(struct hm_os_thread *thread)
{
    (void)thread;
    struct surroundings around = {.job = BUDGET_HIGH};
    for (uint32_t pass = 1; !nobody_left(); pass++) {
        struct tenant *tenant;
        look_around(&around);
        while ((tenant = begin_visit(pass)) != NULL) {
            visit(tenant, &around);
            end_visit(tenant);
        }
        hm_os_wait(shared_handle(&wake), &around.resources, (DWORD)around.next_look);
    }
    hm_os_resources_close(&around.resources);
    give_handles();
}

bool hm_pressure_join(struct tenant *tenant)
{
    static struct hm_os_thread thread = {run};
    if (atomic_load(&tenant->joined))
        return true;
    /* The first question of a process is asked here: while it is under way, Wine 8 answers zeros to other threads. */
    struct os_memory memory;
    hm_os_memory_status(&memory);
    /* For a thread, if one is to be started: not with the mutex, for which somebody may wait under the loader lock. */
    if (!take_handles_and_module())
        return false;
    lock();
    bool started = false, joined = atomic_load(&tenant->joined);
    if (!joined && !vm_is_closed(tenant->vm)) {
        if (tenant->visit == NULL)
            tenant->visit = hm_os_mutex_create();
        started = tenant->visit != NULL && !running && hm_os_thread_start(&thread);
        running = running || started;
        joined = tenant->visit != NULL && running;
        if (joined) {
            tenant->notified = BUDGET_NEUTRAL; /* what a CLR takes for granted at first */
            tenant->shown = hm_quota_shown(&tenant->vm->quota);
            tenant->next = tenants;
            tenants = tenant;
            atomic_store(&tenant->joined, true);
        }
    }
    unlock();
    hm_pressure_wake();
    if (!started) {
        give_handles();
        hm_os_module_release();
    }
    return joined;
}

void hm_pressure_leave(struct tenant *tenant)
{
    if (hm_shared_handle_take(&mutex, NULL) == NULL)
        return; /* nobody has joined */
    lock();
    struct tenant **link = &tenants;
    while (*link != NULL && *link != tenant)
        link = &(*link)->next;
    if (*link != NULL)
        *link = tenant->next;
    atomic_store(&tenant->joined, false);
    HANDLE visit = tenant->visit;
    unlock();
    hm_pressure_wake();
    hm_shared_handle_give(&mutex);
    if (visit != NULL) {
        hm_os_mutex_lock(visit);
        hm_os_mutex_unlock(visit);
    }
}

void hm_pressure_release(struct tenant *tenant)
{
    if (atomic_fetch_sub(&tenant->references, 1) == 1)
        end_tenant(tenant);
}
