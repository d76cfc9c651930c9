/*
 * part_budget.c - limits, to the byte, by criticality and by threads; and low memory, told in time
 */
#include "tools/check/check.h"

#include <stdatomic.h>

#include <hostmem/verify.h>

#include "tools/check/listener.h"
#include "tools/check/rows.h"

enum { PAGE = 4096, RUN = 16 * PAGE, THREADS = 4, PATIENCE_MS = 5000 };

static const struct row_text rows[] = {
    {"exact", "a limit is exact to the page, and a refusal leaves no trace"},
    {"levels", "task_limit, limit and margin are for their levels of criticality"},
    {"threads", "threads that allocate at once do not exceed a limit together"},
    {"event", "the host is notified of a refusal"},
    {"low", "the CLR is notified of Low above the soft mark, and that it is over below it"},
    {"shared", "managers that share a budget do not exceed it together"},
    {0},
};

static atomic_uint refusals_told;

static void HOSTMEM_CALL on_event(const hostmem_event *event, void *context)
{
    (void)context;
    if (event->kind == HOSTMEM_EVENT_REFUSED && event->reason == HOSTMEM_REASON_TASK_LIMIT)
        atomic_fetch_add(&refusals_told, 1);
}

struct tenant {
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    char *base; /* of a reservation of 64 MiB */
};

enum { SPACE = 64 << 20 };

static HRESULT tenant_make(struct tenant *tenant, const hostmem_limits *limits, hostmem_budget *shared)
{
    const hostmem_options options = {
        .size = sizeof options, .limits = limits, .shared = shared, .event = on_event};
    void *base = NULL;

    HRESULT hr = hostmem_create(&options, &tenant->manager);
    if (hr == S_OK)
        hr = hostmem_get_memory_manager(tenant->manager, &tenant->memory);
    if (hr == S_OK)
        hr = IHostMemoryManager_VirtualAlloc(tenant->memory, NULL, SPACE, MEM_RESERVE, PAGE_READWRITE,
                                             eTaskCritical, &base);
    tenant->base = base;
    return hr;
}

static void tenant_end(const struct tenant *tenant)
{
    IHostMemoryManager_VirtualFree(tenant->memory, tenant->base, 0, MEM_RELEASE);
    IHostMemoryManager_Release(tenant->memory);
    hostmem_release(tenant->manager);
}

static HRESULT commit(const struct tenant *tenant, SIZE_T offset, SIZE_T size, EMemoryCriticalLevel level)
{
    void *at = NULL;
    return IHostMemoryManager_VirtualAlloc(tenant->memory, tenant->base + offset, size, MEM_COMMIT,
                                           PAGE_READWRITE, level, &at);
}

static HRESULT decommit(const struct tenant *tenant, SIZE_T offset, SIZE_T size)
{
    return IHostMemoryManager_VirtualFree(tenant->memory, tenant->base + offset, size, MEM_DECOMMIT);
}

static uint64_t committed(const struct tenant *tenant, bool peak)
{
    hostmem_statistics now = {.size = sizeof now};

    hostmem_get_statistics(tenant->manager, &now);
    return peak ? now.committed.peak : now.committed.now;
}

static void check_exact(void)
{
    struct row row = row_begin("exact");
    const hostmem_limits limits = {.size = sizeof limits, .limit = MIB};
    MEMORY_BASIC_INFORMATION found;
    struct tenant tenant;

    HRESULT hr = tenant_make(&tenant, &limits, NULL);
    if (row_expect(&row, hr == S_OK, "hostmem_create: 0x%08lx", (unsigned long)hr)) {
        hr = commit(&tenant, 0, MIB, eTaskCritical);
        row_expect(&row, hr == S_OK, "the last page of the limit is refused: 0x%08lx", (unsigned long)hr);
        SetLastError(0);
        hr = commit(&tenant, MIB, PAGE, eTaskCritical);
        row_expect(&row, hr == E_OUTOFMEMORY && GetLastError() == ERROR_COMMITMENT_LIMIT,
                   "one page more: 0x%08lx, error %lu", (unsigned long)hr, GetLastError());
        VirtualQuery(tenant.base + MIB, &found, sizeof found);
        row_expect(&row, found.State == MEM_RESERVE && committed(&tenant, false) == MIB,
                   "a refusal has left something: state 0x%lx, %llu bytes", found.State,
                   (unsigned long long)committed(&tenant, false));
        row_expect(&row, decommit(&tenant, 0, PAGE) == S_OK, "a page is not decommitted");
        hr = commit(&tenant, MIB, PAGE, eTaskCritical);
        row_expect(&row, hr == S_OK, "the page that was given back is refused: 0x%08lx", (unsigned long)hr);
        row_expect(&row, hostmem_verify(tenant.manager, NULL) == S_OK, "the accounting disagrees");
        tenant_end(&tenant);
    }
    row_end(&row, "E_OUTOFMEMORY at 1 MiB and a page");
}

static void check_levels(void)
{
    static const EMemoryCriticalLevel levels[] = {eTaskCritical, eAppDomainCritical, eProcessCritical};
    struct row row = row_begin("levels");
    const hostmem_limits limits = {.size = sizeof limits,
                                   .flags = HOSTMEM_LIMITS_STRICT,
                                   .limit = 2 * MIB,
                                   .task_limit = MIB,
                                   .margin = MIB};
    struct tenant tenant;

    HRESULT hr = tenant_make(&tenant, &limits, NULL);
    if (row_expect(&row, hr == S_OK, "hostmem_create: 0x%08lx", (unsigned long)hr)) {
        for (unsigned i = 0; i < ARRAYSIZE(levels); i++) {
            hr = commit(&tenant, i * MIB, MIB, levels[i]);
            row_expect(&row, hr == S_OK, "level %u up to %u MiB: 0x%08lx", i, i + 1, (unsigned long)hr);
            hr = commit(&tenant, 4 * MIB, PAGE, levels[i]);
            row_expect(&row, hr == E_OUTOFMEMORY, "level %u above %u MiB: 0x%08lx", i, i + 1,
                       (unsigned long)hr);
        }
        tenant_end(&tenant);
    }
    row_end(&row, "1, 2 and 3 MiB");
}

/* Commits and decommits runs until all threads have had their turn at being refused. */
struct worker {
    const struct tenant *tenant;
    unsigned number;
    unsigned refused;
};

static DWORD WINAPI work(void *context)
{
    struct worker *worker = context;
    const SIZE_T first = worker->number * (SIZE_T)(SPACE / THREADS);

    for (unsigned round = 0; round < 50; round++) {
        unsigned have = 0;
        while (have < SPACE / THREADS / RUN &&
               commit(worker->tenant, first + have * RUN, RUN, eTaskCritical) == S_OK)
            have++;
        worker->refused += have < SPACE / THREADS / RUN;
        decommit(worker->tenant, first, SPACE / THREADS);
    }
    return 0;
}

static void check_threads(void)
{
    struct row row = row_begin("threads");
    const hostmem_limits limits = {.size = sizeof limits, .limit = 2 * MIB};
    struct worker workers[THREADS];
    HANDLE threads[THREADS];
    unsigned refused = 0;
    struct tenant tenant;

    HRESULT hr = tenant_make(&tenant, &limits, NULL);
    if (row_expect(&row, hr == S_OK, "hostmem_create: 0x%08lx", (unsigned long)hr)) {
        for (unsigned i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){.tenant = &tenant, .number = i};
            threads[i] = CreateThread(NULL, 0, work, &workers[i], 0, NULL);
        }
        WaitForMultipleObjects(THREADS, threads, TRUE, INFINITE);
        for (unsigned i = 0; i < THREADS; i++) {
            CloseHandle(threads[i]);
            refused += workers[i].refused;
        }
        row_expect(&row, refused > THREADS, "only %u refusals", refused);
        row_expect(&row, committed(&tenant, true) <= 2 * MIB, "%llu bytes at peak",
                   (unsigned long long)committed(&tenant, true));
        row_expect(&row, committed(&tenant, false) == 0, "%llu bytes are left",
                   (unsigned long long)committed(&tenant, false));
        row_expect(&row, hostmem_verify(tenant.manager, NULL) == S_OK, "the accounting disagrees");
        row_end(&row, "%u threads, %u refusals, at most %llu of 2097152 bytes", THREADS, refused,
                (unsigned long long)committed(&tenant, true));
        tenant_end(&tenant);
    } else {
        row_end(&row, " ");
    }
}

static bool refusal_is_told(void)
{
    return atomic_load(&refusals_told) != 0;
}

static bool low_is_told(void)
{
    return listener_was_told(eMemoryAvailableLow);
}

static bool end_is_told(void)
{
    return listener_told_last() != eMemoryAvailableLow;
}

static void check_low_and_event(void)
{
    struct row row = row_begin("low"), event = row_begin("event");
    const hostmem_limits limits = {.size = sizeof limits, .limit = 8 * MIB, .soft = 4 * MIB};
    struct tenant tenant;

    HRESULT hr = tenant_make(&tenant, &limits, NULL);
    if (!row_expect(&row, hr == S_OK, "hostmem_create: 0x%08lx", (unsigned long)hr) ||
        !row_expect(&event, hr == S_OK, "hostmem_create: 0x%08lx", (unsigned long)hr))
        goto end;
    IHostMemoryManager_RegisterMemoryNotificationCallback(tenant.memory, listener());
    hostmem_clr_started(tenant.manager);
    hr = commit(&tenant, 0, 3 * MIB, eTaskCritical);
    Sleep(200);
    row_expect(&row, hr == S_OK && !low_is_told(),
               "notified of Low below the mark (or Windows has little memory)");
    hr = commit(&tenant, 3 * MIB, 3 * MIB, eTaskCritical);
    row_expect(&row, hr == S_OK && comes_true(low_is_told, PATIENCE_MS),
               "not notified of Low above the mark");
    decommit(&tenant, 0, 6 * MIB);
    row_expect(&row, comes_true(end_is_told, PATIENCE_MS), "not notified of its end");
    hr = commit(&tenant, 0, 9 * MIB, eTaskCritical);
    row_expect(&event, hr == E_OUTOFMEMORY, "9 of 8 MiB: 0x%08lx", (unsigned long)hr);
    row_expect(&event, comes_true(refusal_is_told, PATIENCE_MS), "no event of a refusal");
    IHostMemoryManager_RegisterMemoryNotificationCallback(tenant.memory, NULL);
    tenant_end(&tenant);
end:
    row_end(&event, "by the library's thread");
    row_end(&row, "Low above 4 MiB, then %s",
            listener_told_last() == eMemoryAvailableHigh ? "High" : "Neutral");
}

static void check_shared(void)
{
    struct row row = row_begin("shared");
    const hostmem_limits limits = {.size = sizeof limits, .limit = 2 * MIB};
    hostmem_budget *budget = NULL;
    struct tenant first, second;

    HRESULT hr = hostmem_create_budget(&limits, &budget);
    if (hr == S_OK)
        hr = tenant_make(&first, NULL, budget);
    if (hr == S_OK)
        hr = tenant_make(&second, NULL, budget);
    row_expect(&row, hr == S_OK, "hostmem_create_budget: 0x%08lx", (unsigned long)hr);
    if (hr == S_OK) {
        row_expect(&row, commit(&first, 0, MIB, eTaskCritical) == S_OK, "the first manager's MiB");
        row_expect(&row, commit(&second, 0, MIB, eTaskCritical) == S_OK, "the second manager's MiB");
        hr = commit(&second, MIB, PAGE, eTaskCritical);
        row_expect(&row, hr == E_OUTOFMEMORY, "a page too much: 0x%08lx", (unsigned long)hr);
        decommit(&first, 0, PAGE);
        hr = commit(&second, MIB, PAGE, eTaskCritical);
        row_expect(&row, hr == S_OK, "the page that the other has given back: 0x%08lx", (unsigned long)hr);
        tenant_end(&first);
        tenant_end(&second);
        hostmem_release_budget(budget);
    }
    row_end(&row, "2 managers, 2 MiB");
}

static void run(const struct check *check)
{
    (void)check;
    check_exact();
    check_levels();
    check_threads();
    check_low_and_event();
    check_shared();
}

const struct part part_budget = {"budget", "Limits", run, rows, 0};
