/*
 * seam.c - see seam.h
 */
#include "bench/seam.h"

#include <stdatomic.h>
#include <stdint.h>

#include "memory/os.h"

bool seam_without_windows;
_Atomic unsigned seam_queries;

void *__real_hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect);
bool __real_hm_os_virtual_free(void *address, SIZE_T size, DWORD type);
SIZE_T __real_hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length);

/* Each thread takes 256 granules in turn.  (Thread ids are multiples of 4; a thread-local variable costs more than the
 * rest of this.) */
static char *made_up(void)
{
    static struct {
        _Alignas(64) unsigned turn;
    } thread[64];
    unsigned t = GetCurrentThreadId() / 4 % 64;
    return (char *)(uintptr_t)0x40000000 + t * (uintptr_t)0x1000000 +
           thread[t].turn++ % 256u * (uintptr_t)0x10000;
}

void *__wrap_hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    if (!seam_without_windows)
        return __real_hm_os_virtual_alloc(address, size, type, protect);
    return address != NULL ? address : made_up();
}

bool __wrap_hm_os_virtual_free(void *address, SIZE_T size, DWORD type)
{
    return seam_without_windows || __real_hm_os_virtual_free(address, size, type);
}

SIZE_T __wrap_hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length)
{
    if (!seam_without_windows)
        return __real_hm_os_virtual_query(address, buffer, length);
    atomic_fetch_add_explicit(&seam_queries, 1, memory_order_relaxed);
    return 0;
}
