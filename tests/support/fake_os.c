/*
 * fake_os.c - see fake_os.h
 */
#include "support/fake_os.h"

#include <stdatomic.h>
#include <stdlib.h>

static struct {
    atomic_long count;
    long fail_at, times;
    DWORD error;
} plan[FAKE_OS_CALLS];

static atomic_long outstanding, threads, handles, module_references;
static struct os_memory memory_answer;
static bool memory_set;
static void (*before_free)(void *address);
static void (*before_alloc)(void);
static SIZE_T longest_reserve;
static void (*in_pause)(void);
static void (*_Atomic actions[FAKE_OS_MOMENTS])(void);
static atomic_bool pauses_allowed;
static atomic_long pauses;
static struct hm_os_resources resources;
static _Atomic uint64_t ticks_ahead;
static atomic_bool clock_stopped;

void fake_os_fail(enum fake_os_call call, long n, DWORD error)
{
    fake_os_fail_times(call, n, 1, error);
}

void fake_os_fail_times(enum fake_os_call call, long n, long times, DWORD error)
{
    plan[call].fail_at = n;
    plan[call].times = times;
    plan[call].error = error;
    plan[call].count = 0;
}

long fake_os_count(enum fake_os_call call)
{
    return plan[call].count;
}

long fake_os_outstanding(void)
{
    return outstanding;
}

long fake_os_threads(void)
{
    return threads;
}

long fake_os_handles(void)
{
    return handles;
}

long fake_os_module_references(void)
{
    return module_references;
}

void fake_os_at(enum fake_os_moment moment, void (*action)(void))
{
    actions[moment] = action;
}

static void come_to(enum fake_os_moment moment)
{
    void (*action)(void) = actions[moment];
    if (action != NULL)
        action();
}

void fake_os_count_again(void)
{
    for (int call = 0; call < FAKE_OS_CALLS; call++)
        fake_os_fail((enum fake_os_call)call, 0, 0);
}

void fake_os_reset(void)
{
    fake_os_count_again();
    memory_set = pauses_allowed = clock_stopped = false;
    pauses = 0;
    resources = (struct hm_os_resources){.low = false};
    ticks_ahead = 0;
    before_free = NULL;
    before_alloc = NULL;
    longest_reserve = 0;
    in_pause = NULL;
    for (int moment = 0; moment < FAKE_OS_MOMENTS; moment++)
        actions[moment] = NULL;
}

void fake_os_set_memory(const struct os_memory *memory)
{
    memory_answer = *memory;
    memory_set = true;
}

void fake_os_before_free(void (*action)(void *address))
{
    before_free = action;
}

void fake_os_before_alloc(void (*action)(void))
{
    before_alloc = action;
}

void fake_os_cut_reserves(SIZE_T most)
{
    longest_reserve = most;
}

static bool fails(enum fake_os_call call)
{
    long count = ++plan[call].count;
    if (plan[call].fail_at == 0 || count < plan[call].fail_at ||
        count >= plan[call].fail_at + plan[call].times)
        return false;
    SetLastError(plan[call].error);
    return true;
}

void *hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    void (*action)(void) = before_alloc;
    before_alloc = NULL;
    if (action != NULL)
        action();
    if (longest_reserve != 0 && type & MEM_RESERVE && size > longest_reserve)
        size = longest_reserve;
    void *memory = fails(FAKE_OS_ALLOC) ? NULL : VirtualAlloc(address, size, type, protect);
    if (memory != NULL && (address == NULL || (type & MEM_RESERVE)))
        outstanding++;
    return memory;
}

bool hm_os_virtual_free(void *address, SIZE_T size, DWORD type)
{
    if (before_free != NULL)
        before_free(address);
    bool freed = !fails(FAKE_OS_FREE) && VirtualFree(address, size, type);
    if (freed && type == MEM_RELEASE)
        outstanding--;
    return freed;
}

bool hm_os_virtual_protect(void *address, SIZE_T size, DWORD protect, DWORD *old)
{
    return !fails(FAKE_OS_PROTECT) && VirtualProtect(address, size, protect, old);
}

SIZE_T hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length)
{
    come_to(FAKE_OS_QUERIES);
    return fails(FAKE_OS_QUERY) ? 0 : VirtualQuery(address, buffer, length);
}

static atomic_uint_least64_t private_bytes;

void fake_os_set_private(uint64_t bytes)
{
    private_bytes = bytes;
}

bool hm_os_memory_status(struct os_memory *memory)
{
    if (fails(FAKE_OS_STATUS) || !(memory_set || private_bytes != 0))
        return false;
    *memory = memory_set ? memory_answer
                         : (struct os_memory){.physical_total = UINT64_MAX,
                                              .job_limit = UINT64_MAX,
                                              .working_set_limit = UINT64_MAX};
    memory->process_commit = memory->process_working_set = 0;
    return true;
}

void hm_os_process_use(struct os_memory *memory)
{
    if (fails(FAKE_OS_PROCESS) || !(memory_set || private_bytes != 0))
        return;
    memory->process_commit = private_bytes != 0 ? private_bytes : memory_answer.process_commit;
    memory->process_working_set = memory_set ? memory_answer.process_working_set : 0;
}

HANDLE hm_os_heap_create(bool serialize, bool executable)
{
    DWORD flags = (serialize ? 0 : HEAP_NO_SERIALIZE) | (executable ? HEAP_CREATE_ENABLE_EXECUTE : 0);
    return fails(FAKE_OS_HEAP_CREATE) ? NULL : HeapCreate(flags, 0, 0);
}

void hm_os_heap_destroy(HANDLE heap)
{
    HeapDestroy(heap);
}

void *hm_os_heap_alloc(HANDLE heap, SIZE_T bytes)
{
    return fails(FAKE_OS_HEAP_ALLOC) ? NULL : HeapAlloc(heap, HEAP_ZERO_MEMORY, bytes);
}

bool hm_os_heap_free(HANDLE heap, void *block)
{
    return !fails(FAKE_OS_HEAP_FREE) && HeapFree(heap, 0, block);
}

bool hm_os_heap_lock(HANDLE heap)
{
    return !fails(FAKE_OS_HEAP_LOCK) && HeapLock(heap);
}

void hm_os_heap_unlock(HANDLE heap)
{
    HeapUnlock(heap);
}

void hm_os_pin_module(void)
{
}

bool hm_os_module_keep(void)
{
    if (fails(FAKE_OS_MODULE))
        return false;
    module_references++;
    return true;
}

void hm_os_module_release(void)
{
    module_references--;
}

void fake_os_allow_pauses(bool allowed)
{
    pauses_allowed = allowed;
}

void fake_os_in_pause(void (*action)(void))
{
    in_pause = action;
}

long fake_os_pauses(void)
{
    return pauses;
}

bool hm_os_pause(DWORD milliseconds)
{
    (void)milliseconds;
    if (!pauses_allowed)
        return false;
    pauses++;
    if (in_pause != NULL)
        in_pause();
    return true;
}

void fake_os_set_resources(struct hm_os_resources now)
{
    resources = now;
}

void hm_os_resources_look(struct hm_os_resources *now)
{
    *now = resources;
}

void hm_os_resources_close(struct hm_os_resources *now)
{
    (void)now;
    come_to(FAKE_OS_CLOSES);
}

void fake_os_set_ticks_ahead(uint64_t milliseconds)
{
    ticks_ahead = milliseconds;
}

void fake_os_stop_clock(void)
{
    clock_stopped = true;
}

uint64_t hm_os_ticks(void)
{
    return (clock_stopped ? 0 : GetTickCount64()) + ticks_ahead;
}

static HANDLE counted(HANDLE handle)
{
    handles += handle != NULL;
    return handle;
}

HANDLE hm_os_event_create(void)
{
    return fails(FAKE_OS_EVENT) ? NULL : counted(CreateEventW(NULL, FALSE, FALSE, NULL));
}

void hm_os_event_set(HANDLE event)
{
    DWORD error = GetLastError();
    come_to(FAKE_OS_SETS);
    if (!SetEvent(event))
        abort();
    SetLastError(error);
}

void hm_os_wait(HANDLE event, const struct hm_os_resources *now, DWORD milliseconds)
{
    (void)now;
    WaitForSingleObject(event, milliseconds);
}

static DWORD WINAPI thread_main(void *thread)
{
    come_to(FAKE_OS_BEGINS);
    ((struct hm_os_thread *)thread)->run(thread);
    come_to(FAKE_OS_ENDS);
    module_references--;
    threads--;
    return 0;
}

bool hm_os_thread_start(struct hm_os_thread *started)
{
    if (fails(FAKE_OS_THREAD))
        return false;
    threads++;
    HANDLE thread = CreateThread(NULL, 0, thread_main, started, 0, NULL);
    if (thread == NULL)
        abort();
    CloseHandle(thread);
    come_to(FAKE_OS_STARTED);
    return true;
}

uint64_t hm_os_counter(void)
{
    LARGE_INTEGER counter;
    QueryPerformanceCounter(&counter);
    return (uint64_t)counter.QuadPart;
}

uint64_t hm_os_stamp(void)
{
    return hm_os_counter();
}

uint64_t hm_os_counter_frequency(void)
{
    LARGE_INTEGER frequency;
    QueryPerformanceFrequency(&frequency);
    return (uint64_t)frequency.QuadPart;
}

HANDLE hm_os_file_create(const wchar_t *path)
{
    if (fails(FAKE_OS_FILE))
        return NULL;
    HANDLE file = CreateFileW(path, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS, 0, NULL);
    return file == INVALID_HANDLE_VALUE ? NULL : counted(file);
}

bool hm_os_file_write(HANDLE file, uint64_t offset, const void *bytes, size_t count)
{
    OVERLAPPED at = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
    DWORD written;
    return !fails(FAKE_OS_WRITE) && WriteFile(file, bytes, (DWORD)count, &written, &at);
}

HANDLE hm_os_mutex_create(void)
{
    return fails(FAKE_OS_MUTEX) ? NULL : counted(CreateMutexW(NULL, FALSE, NULL));
}

bool hm_os_mutex_lock(HANDLE mutex)
{
    return WaitForSingleObject(mutex, INFINITE) != WAIT_ABANDONED;
}

void hm_os_mutex_unlock(HANDLE mutex)
{
    ReleaseMutex(mutex);
}

HANDLE hm_os_copy(HANDLE handle)
{
    const HANDLE process = GetCurrentProcess();
    HANDLE copy = NULL;
    if (!fails(FAKE_OS_COPY) &&
        !DuplicateHandle(process, handle, process, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS))
        abort();
    return counted(copy);
}

/* Of a handle that is none any more, or another's, whoever closes it twice would close anything. */
void hm_os_close(HANDLE handle)
{
    if (!CloseHandle(handle))
        abort();
    handles--;
}
