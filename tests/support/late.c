/*
 * late.c - the hooks, and the thread that is held up in them
 */
#include "support/late.h"

#include "maps/region_map.h"
#include "memory/os.h"

enum { PATIENCE = 10000 }; /* milliseconds */

static _Thread_local struct late *self;
atomic_uint late_queries;
atomic_bool late_slow;
DWORD late_protect_error;

static void pass(enum late_point point)
{
    DWORD error = GetLastError();
    if (self != NULL && self->stop == point && self->passes-- == 0) {
        self->stop = NOWHERE;
        SetEvent(self->stopped);
        WaitForSingleObject(self->go, PATIENCE);
    } else if (atomic_load(&late_slow)) {
        Sleep(1);
    }
    SetLastError(error);
}

void *__real_hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect);
bool __real_hm_os_virtual_free(void *address, SIZE_T size, DWORD type);
bool __real_hm_os_virtual_protect(void *address, SIZE_T size, DWORD protect, DWORD *old);
SIZE_T __real_hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length);
void __real_hm_region_map_erase(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number);

void *__wrap_hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    pass(BEFORE_ALLOC);
    void *memory = __real_hm_os_virtual_alloc(address, size, type, protect);
    pass(AFTER_ALLOC);
    return memory;
}

bool __wrap_hm_os_virtual_free(void *address, SIZE_T size, DWORD type)
{
    pass(BEFORE_FREE);
    if (self != NULL && self->refusal != 0) {
        SetLastError(self->refusal);
        return false;
    }
    bool done = __real_hm_os_virtual_free(address, size, type);
    pass(AFTER_FREE);
    return done;
}

bool __wrap_hm_os_virtual_protect(void *address, SIZE_T size, DWORD protect, DWORD *old)
{
    if (late_protect_error == 0)
        return __real_hm_os_virtual_protect(address, size, protect, old);
    SetLastError(late_protect_error);
    return false;
}

SIZE_T __wrap_hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length)
{
    atomic_fetch_add(&late_queries, 1);
    SIZE_T written = __real_hm_os_virtual_query(address, buffer, length);
    pass(AFTER_QUERY);
    return written;
}

void __wrap_hm_region_map_erase(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    pass(BEFORE_ERASE);
    __real_hm_region_map_erase(map, granule, count, number);
}

void __real_hm_region_map_publish(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number);

void __wrap_hm_region_map_publish(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    pass(BEFORE_PUBLISH);
    __real_hm_region_map_publish(map, granule, count, number);
    pass(AFTER_PUBLISH);
}

void __real_hm_region_map_purge(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number);

void __wrap_hm_region_map_purge(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    pass(BEFORE_PURGE);
    __real_hm_region_map_purge(map, granule, count, number);
}

uint64_t __real_hm_region_map_missing(const struct region_map *map, uint64_t granule, uint64_t count,
                                      uint32_t number);

uint64_t __wrap_hm_region_map_missing(const struct region_map *map, uint64_t granule, uint64_t count,
                                      uint32_t number)
{
    pass(REOPENED);
    return __real_hm_region_map_missing(map, granule, count, number);
}

static DWORD WINAPI late_run(void *context)
{
    struct late *late = self = context;
    void *memory;
    if (late->method == ALLOC)
        late->result = IHostMemoryManager_VirtualAlloc(late->memory, late->address, late->size, late->type,
                                                       PAGE_READWRITE, eTaskCritical, &memory);
    else if (late->method == FREE)
        late->result = IHostMemoryManager_VirtualFree(late->memory, late->address, late->size, late->type);
    else
        late->result = IHostMemoryManager_ReleasedVirtualAddressSpace(late->memory, late->address);
    return 0;
}

/* Wait until it has stopped; it must not end first. */
static void late_await(struct late *late)
{
    HANDLE either[] = {late->stopped, late->thread};
    assert_int_equal(WaitForMultipleObjects(2, either, FALSE, PATIENCE), WAIT_OBJECT_0);
}

void late_begin(struct fixture *f, struct late *late)
{
    late->memory = f->memory;
    late->stopped = CreateEventW(NULL, FALSE, FALSE, NULL);
    late->go = CreateEventW(NULL, FALSE, FALSE, NULL);
    late->thread = CreateThread(NULL, 0, late_run, late, 0, NULL);
    assert_non_null(late->thread);
    late_await(late);
}

void late_go_to(struct late *late, enum late_point stop, unsigned passes)
{
    late->stop = stop;
    late->passes = passes;
    SetEvent(late->go);
    late_await(late);
}

HRESULT late_end(struct late *late)
{
    SetEvent(late->go);
    assert_int_equal(WaitForSingleObject(late->thread, PATIENCE), WAIT_OBJECT_0);
    CloseHandle(late->thread);
    CloseHandle(late->stopped);
    CloseHandle(late->go);
    return late->result;
}
