/*
 * fake_os.c - see fake_os.h
 */
#include "support/fake_os.h"

#include <stdatomic.h>

static struct {
    atomic_long count;
    long fail_at;
    DWORD error;
} plan[FAKE_OS_CALLS];

static atomic_long outstanding;
static struct os_memory memory_answer;
static bool memory_set;
static void (*before_free)(void *address);

void fake_os_fail(enum fake_os_call call, long n, DWORD error)
{
    plan[call].fail_at = n;
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

void fake_os_reset(void)
{
    for (int call = 0; call < FAKE_OS_CALLS; call++)
        fake_os_fail((enum fake_os_call)call, 0, 0);
    memory_set = false;
    before_free = NULL;
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

static bool fails(enum fake_os_call call)
{
    if (++plan[call].count != plan[call].fail_at)
        return false;
    SetLastError(plan[call].error);
    return true;
}

void *os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    void *memory = fails(FAKE_OS_ALLOC) ? NULL : VirtualAlloc(address, size, type, protect);
    if (memory != NULL && (address == NULL || (type & MEM_RESERVE)))
        outstanding++;
    return memory;
}

bool os_virtual_free(void *address, SIZE_T size, DWORD type)
{
    if (before_free != NULL)
        before_free(address);
    bool freed = !fails(FAKE_OS_FREE) && VirtualFree(address, size, type);
    if (freed && type == MEM_RELEASE)
        outstanding--;
    return freed;
}

bool os_virtual_protect(void *address, SIZE_T size, DWORD protect, DWORD *old)
{
    return !fails(FAKE_OS_PROTECT) && VirtualProtect(address, size, protect, old);
}

SIZE_T os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length)
{
    return fails(FAKE_OS_QUERY) ? 0 : VirtualQuery(address, buffer, length);
}

bool os_memory_status(struct os_memory *memory)
{
    if (fails(FAKE_OS_STATUS) || !memory_set)
        return false;
    *memory = memory_answer;
    return true;
}

HANDLE os_heap_create(bool serialize, bool executable)
{
    DWORD flags = (serialize ? 0 : HEAP_NO_SERIALIZE) | (executable ? HEAP_CREATE_ENABLE_EXECUTE : 0);
    return fails(FAKE_OS_HEAP_CREATE) ? NULL : HeapCreate(flags, 0, 0);
}

void os_heap_destroy(HANDLE heap)
{
    HeapDestroy(heap);
}

void *os_heap_alloc(HANDLE heap, SIZE_T bytes)
{
    return fails(FAKE_OS_HEAP_ALLOC) ? NULL : HeapAlloc(heap, HEAP_ZERO_MEMORY, bytes);
}

bool os_heap_free(HANDLE heap, void *block)
{
    return !fails(FAKE_OS_HEAP_FREE) && HeapFree(heap, 0, block);
}

bool os_heap_lock(HANDLE heap)
{
    return HeapLock(heap);
}

void os_heap_unlock(HANDLE heap)
{
    HeapUnlock(heap);
}

void os_pin_module(void)
{
}
