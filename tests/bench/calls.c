/*
 * calls.c - see calls.h
 */
#include "bench/calls.h"

hostmem_manager *bench_manager;
IHostMemoryManager *bench_memory;

void *calls_reserve(void *address, SIZE_T size)
{
    void *base;
    if (IHostMemoryManager_VirtualAlloc(bench_memory, address, size, MEM_RESERVE, PAGE_READWRITE,
                                        eTaskCritical, &base) != S_OK)
        bench_stop("cannot reserve memory");
    return base;
}

void calls_release(void *base)
{
    if (IHostMemoryManager_VirtualFree(bench_memory, base, 0, MEM_RELEASE) != S_OK)
        bench_stop("cannot release memory");
}

void calls_managed_pair(unsigned thread, unsigned count, void *context)
{
    (void)thread, (void)context;
    for (unsigned i = 0; i < count; i++) {
        void *base;
        IHostMemoryManager_VirtualAlloc(bench_memory, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE,
                                        eTaskCritical, &base);
        IHostMemoryManager_VirtualFree(bench_memory, base, 0, MEM_RELEASE);
    }
}

void calls_raw_pair(unsigned thread, unsigned count, void *context)
{
    (void)thread, (void)context;
    for (unsigned i = 0; i < count; i++)
        VirtualFree(VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE), 0, MEM_RELEASE);
}

void calls_managed_run(unsigned thread, unsigned count, void *runs)
{
    char *base = ((struct runs *)runs)->base[thread];
    for (unsigned i = 0; i < count; i++) {
        void *at = base + (i % 8u) * (uintptr_t)RUN, *got;
        IHostMemoryManager_VirtualAlloc(bench_memory, at, RUN, MEM_COMMIT, PAGE_READWRITE, eTaskCritical,
                                        &got);
        IHostMemoryManager_VirtualFree(bench_memory, at, RUN, MEM_DECOMMIT);
    }
}

void calls_raw_run(unsigned thread, unsigned count, void *runs)
{
    char *base = ((struct runs *)runs)->base[thread];
    for (unsigned i = 0; i < count; i++) {
        void *at = base + (i % 8u) * (uintptr_t)RUN;
        VirtualAlloc(at, RUN, MEM_COMMIT, PAGE_READWRITE);
        VirtualFree(at, RUN, MEM_DECOMMIT);
    }
}

void calls_refused(unsigned thread, unsigned count, void *context)
{
    char on_stack[16];
    (void)thread, (void)context;
    for (unsigned i = 0; i < count; i++)
        IHostMemoryManager_VirtualFree(bench_memory, on_stack, 0, MEM_RELEASE);
}
