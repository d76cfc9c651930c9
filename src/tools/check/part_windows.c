/*
 * part_windows.c - what only Windows itself shows: memory that it has no more of, its own low-memory event, placeholders,
 * limits of jobs
 */
#include "tools/check/check.h"

#include <hostmem/verify.h>

#include "tools/check/listener.h"
#include "tools/check/rows.h"

enum { PAGE = 4096, GRANULE = 65536, PATIENCE_MS = 5000, JOB_MIB = 256 };

static const struct row_text rows[] = {
    {"commit-refused",
     "a commit that Windows refuses is E_OUTOFMEMORY with Windows' error, and leaves no trace"},
    {"low-memory", "the manager sees what Windows' memory notifications say"},
    {"placeholders", "placeholders (VirtualAlloc2) are not the manager's, and stay whole"},
    {0},
};

static const struct row_text job_rows[] = {
    {"limit", "GetMemoryLoad is of the job's limit"},
    {"low", "the CLR is notified of Low near the job's limit"},
    {"refused",
     "a commit beyond it is E_OUTOFMEMORY after the tries that its level has, and leaves no trace"},
    {0},
};

static hostmem_manager *manager;
static IHostMemoryManager *memory;

static void HOSTMEM_CALL on_event(const hostmem_event *event, void *context)
{
    (void)event, (void)context; /* somebody to tell: else the manager does not look */
}

static bool manager_make(void)
{
    const hostmem_options options = {.size = sizeof options, .event = on_event};

    if (hostmem_create(&options, &manager) == S_OK && hostmem_get_memory_manager(manager, &memory) == S_OK)
        return true;
    row_fail(ROW_THE_REST, "no manager can be made");
    return false;
}

static hostmem_statistics statistics(void)
{
    hostmem_statistics now = {.size = sizeof now};

    hostmem_get_statistics(manager, &now);
    return now;
}

/* More than any machine can commit: refused at once, nothing is grown for it. */
#if defined(_WIN64)
static const SIZE_T too_much = (SIZE_T)1 << 44;
#else
static const SIZE_T too_much = 0x7C000000;
#endif

static void check_commit_refused(void)
{
    struct row row = row_begin("commit-refused");
    void *at = (void *)(uintptr_t)1;

    void *raw = VirtualAlloc(NULL, too_much, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    DWORD raw_error = GetLastError();
    if (raw) {
        VirtualFree(raw, 0, MEM_RELEASE);
        row_skip("commit-refused", "%.0f MiB are granted here", mebibytes(too_much));
        return;
    }
    HRESULT hr = IHostMemoryManager_VirtualAlloc(memory, NULL, too_much, MEM_RESERVE | MEM_COMMIT,
                                                 PAGE_READWRITE, eTaskCritical, &at);
    DWORD error = GetLastError();
    row_expect(&row, hr == E_OUTOFMEMORY && error == raw_error && !at, "0x%08lx, error %lu; raw error %lu",
               (unsigned long)hr, error, raw_error);
    row_expect(&row, statistics().regions == 0 && statistics().charged.now == 0, "%llu bytes are left",
               (unsigned long long)statistics().charged.now);
    row_end(&row, "error %lu for %.0f MiB", error, mebibytes(too_much));
}

static void check_low_memory(void)
{
    struct row row = row_begin("low-memory");
    HANDLE notifications[] = {CreateMemoryResourceNotification(LowMemoryResourceNotification),
                              CreateMemoryResourceNotification(HighMemoryResourceNotification)};
    BOOL low = FALSE, high = FALSE, known = TRUE;
    uint32_t seen = 0;

    for (unsigned waited = 0; waited < PATIENCE_MS; waited += 100) {
        known = QueryMemoryResourceNotification(notifications[0], &low) &&
                QueryMemoryResourceNotification(notifications[1], &high);
        seen = statistics().pressure;
        if (!known || (low ? seen == eMemoryAvailableLow : high ? seen == eMemoryAvailableHigh : false))
            break;
        Sleep(100);
    }
    for (unsigned i = 0; i < ARRAYSIZE(notifications); i++)
        if (notifications[i])
            CloseHandle(notifications[i]);
    if (!known || (!low && !high)) {
        row_skip("low-memory", "%s",
                 wine_version() ? "Wine never says that memory is low or plenty"
                                : "Windows says neither that memory is low nor that it is plenty");
        return;
    }
    row_expect(&row, seen == (uint32_t)(low ? eMemoryAvailableLow : eMemoryAvailableHigh),
               "Windows says %s, and the manager %lu", low ? "low" : "plenty", (unsigned long)seen);
    row_end(&row, "%s", low ? "low" : "plenty; low could not be seen");
}

typedef PVOID(WINAPI *alloc2_function)(HANDLE process, PVOID address, SIZE_T size, ULONG type, ULONG protect,
                                       void *parameters, ULONG count);
enum { RESERVE_PLACEHOLDER = 0x40000, PRESERVE_PLACEHOLDER = 2 };

static void check_placeholders(void)
{
    struct row row = row_begin("placeholders");
    MEMORY_BASIC_INFORMATION found;
    alloc2_function alloc2 =
        (alloc2_function)(void *)GetProcAddress(GetModuleHandleW(L"kernelbase.dll"), "VirtualAlloc2");
    char *at =
        alloc2 ? alloc2(NULL, NULL, 4 * GRANULE, MEM_RESERVE | RESERVE_PLACEHOLDER, PAGE_NOACCESS, NULL, 0)
               : NULL;

    if (!at) {
        row_skip("placeholders", alloc2 ? "VirtualAlloc2 makes none: error %lu" : "there is no VirtualAlloc2",
                 GetLastError());
        return;
    }
    HRESULT split = IHostMemoryManager_VirtualFree(memory, at, GRANULE, MEM_RELEASE | PRESERVE_PLACEHOLDER);
    HRESULT whole = IHostMemoryManager_VirtualFree(memory, at, 0, MEM_RELEASE);
    row_expect(&row, split == HOST_E_INVALIDOPERATION && whole == HOST_E_INVALIDOPERATION,
               "a split 0x%08lx, a release 0x%08lx", (unsigned long)split, (unsigned long)whole);
    VirtualQuery(at, &found, sizeof found);
    row_expect(&row, found.State == MEM_RESERVE && found.RegionSize == 4 * GRANULE, "it has been touched");
    BOOL done = VirtualFree(at, GRANULE, MEM_RELEASE | PRESERVE_PLACEHOLDER);
    row_expect(&row, done, "Windows does not split it: error %lu", GetLastError());
    VirtualFree(at, 0, MEM_RELEASE);
    if (done)
        VirtualFree(at + GRANULE, 0, MEM_RELEASE);
    row_end(&row, "256 KiB, split by Windows alone");
}

static void run(const struct check *check)
{
    (void)check;
    if (!manager_make())
        return;
    check_low_memory();
    check_commit_refused();
    check_placeholders();
}

/* In a job of JOB_MIB. */

static bool low_is_told(void)
{
    return listener_was_told(eMemoryAvailableLow);
}

static void check_job_limit(void)
{
    struct row row = row_begin("limit");
    DWORD load = 0;
    SIZE_T available = 0;

    HRESULT hr = IHostMemoryManager_GetMemoryLoad(memory, &load, &available);
    row_expect(&row, hr == S_OK && available > 0 && available < JOB_MIB * MIB, "0x%08lx, %.1f MiB available",
               (unsigned long)hr, mebibytes(available));
    row_end(&row, "%.1f of %u MiB available, load %lu %%", mebibytes(available), JOB_MIB, load);
}

/* Commits until Windows refuses; takes note of the refusal. */
static void check_job_refusals(void)
{
    struct row low = row_begin("low"), refused = row_begin("refused");
    enum { PIECE = 4 << 20 };
    void *at = NULL, *base = NULL;
    SIZE_T have = 0;

    IHostMemoryManager_RegisterMemoryNotificationCallback(memory, listener());
    hostmem_clr_started(manager);
    HRESULT hr = IHostMemoryManager_VirtualAlloc(memory, NULL, 2 * JOB_MIB * MIB, MEM_RESERVE, PAGE_READWRITE,
                                                 eTaskCritical, &base);
    while (hr == S_OK && have < 2 * JOB_MIB * MIB) {
        const uint64_t before = statistics().committed.now;
        hr = IHostMemoryManager_VirtualAlloc(memory, (char *)base + have, PIECE, MEM_COMMIT, PAGE_READWRITE,
                                             eTaskCritical, &at);
        DWORD error = GetLastError();
        if (hr == S_OK) {
            have += PIECE;
            continue;
        }
        row_expect(&refused, hr == E_OUTOFMEMORY && !at, "0x%08lx", (unsigned long)hr);
        row_expect(&refused, error == ERROR_COMMITMENT_LIMIT || error == ERROR_NOT_ENOUGH_MEMORY, "error %lu",
                   error);
        row_expect(&refused, statistics().committed.now == before, "a refusal is accounted for");
    }
    row_expect(&refused, hr != S_OK && have > 0, "nothing is refused, %.0f MiB", mebibytes(have));
    row_expect(&refused, statistics().os_retries == 2, "%llu more tries, not 2", statistics().os_retries);
    row_expect(&low, comes_true(low_is_told, PATIENCE_MS), "not notified with %.0f MiB of %u",
               mebibytes(have), JOB_MIB);
    row_expect(&refused, hostmem_verify(manager, NULL) == S_OK, "the accounting disagrees");
    hr = IHostMemoryManager_VirtualFree(memory, base, 0, MEM_RELEASE);
    row_expect(&refused, hr == S_OK, "the memory is not released");
    row_end(&low, " ");
    row_end(&refused, "after %.0f MiB", mebibytes(have));
}

static void run_in_job(const struct check *check)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION job = {0};

    (void)check;
    BOOL known = QueryInformationJobObject(NULL, JobObjectExtendedLimitInformation, &job, sizeof job, NULL);
    if (wine_version() && (!known || job.JobMemoryLimit == 0)) {
        row_skip(ROW_THE_REST, "Wine takes a limit of a job and ignores it");
        return;
    }
    if (!known || job.JobMemoryLimit != JOB_MIB * MIB) {
        row_fail(ROW_THE_REST, "the job's limit is not seen: error %lu, %.0f MiB", GetLastError(),
                 mebibytes(job.JobMemoryLimit));
        return;
    }
    if (!manager_make())
        return;
    check_job_limit();
    check_job_refusals();
}

const struct part part_windows = {"windows", "What Windows itself says", run, rows, 0};
const struct part part_job = {"job", "In a job object with a memory limit", run_in_job, job_rows,
                              JOB_MIB *MIB};
