/*
 * trace_misuse FILE.nettrace
 *
 * Leaks, frees twice and frees what is not the manager's, each in a function of its own, while it is traced with stacks. Says
 * what it has done, a line each: addresses and threads, and where each function is in the image, "leak 0x1450 0x14a0", as
 * the linker's table of functions has it.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <windows.h>

#include <hostmem/trace.h>

/* A frame of its own, and no part of it anywhere else. */
#ifdef __clang__
#    define SITE __attribute__((noinline))
#else
#    define SITE __attribute__((noipa))
#endif

enum { KEPT = 256 << 10, PAGES = 64 << 10, LEAKS = 3 };

static IHostMemoryManager *memory;
static void *freed;

static void demand(bool condition)
{
    if (!condition)
        exit(9);
}

static SITE void leak(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        void *base;
        demand(IHostMemoryManager_VirtualAlloc(memory, NULL, 1 << 20, MEM_RESERVE, PAGE_READWRITE,
                                               eTaskCritical, &base) == S_OK);
        demand(IHostMemoryManager_VirtualAlloc(memory, base, KEPT, MEM_COMMIT, PAGE_READWRITE, eTaskCritical,
                                               &base) == S_OK);
    }
}

static SITE void *reserve(void)
{
    void *base;
    demand(IHostMemoryManager_VirtualAlloc(memory, NULL, PAGES, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE,
                                           eTaskCritical, &base) == S_OK);
    return base;
}

static SITE void free_first(void *base)
{
    demand(IHostMemoryManager_VirtualFree(memory, base, 0, MEM_RELEASE) == S_OK);
}

static SITE void free_again(void *base)
{
    demand(IHostMemoryManager_VirtualFree(memory, base, 0, MEM_RELEASE) == HOST_E_INVALIDOPERATION);
}

static SITE void free_foreign(void *base)
{
    demand(IHostMemoryManager_VirtualFree(memory, base, 0, MEM_RELEASE) == HOST_E_INVALIDOPERATION);
}

static SITE void decommit_gone(void *base)
{
    demand(IHostMemoryManager_VirtualFree(memory, (char *)base + 4096, 4096, MEM_DECOMMIT) ==
           HOST_E_INVALIDOPERATION);
}

static DWORD WINAPI in_another_thread(void *unused)
{
    (void)unused;
    free_again(freed);
    demand(memory != NULL);
    return 0;
}

static void say_where(const char *name, const void *function)
{
    DWORD64 image;
    const RUNTIME_FUNCTION *entry = RtlLookupFunctionEntry((DWORD64)(uintptr_t)function, &image, NULL);

    demand(entry != NULL && entry->BeginAddress + image == (DWORD64)(uintptr_t)function);
    printf("%s 0x%lx 0x%lx\n", name, entry->BeginAddress, entry->EndAddress);
}

int wmain(int argc, wchar_t **argv)
{
    hostmem_manager *manager = NULL;
    DWORD thread;

    demand(argc == 2 && hostmem_create(NULL, &manager) == S_OK &&
           hostmem_get_memory_manager(manager, &memory) == S_OK);
    const hostmem_trace_options options = {
        .size = sizeof options, .path = argv[1], .flags = HOSTMEM_TRACE_STACKS};
    void *before = reserve(), *gone = reserve();
    void *foreign = VirtualAlloc(NULL, PAGES, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    demand(foreign != NULL && hostmem_trace_start(manager, &options) == S_OK);
    leak(LEAKS);
    freed = reserve();
    free_first(freed);
    HANDLE other = CreateThread(NULL, 0, in_another_thread, NULL, 0, &thread);
    demand(other != NULL && WaitForSingleObject(other, INFINITE) == WAIT_OBJECT_0);
    free_foreign(foreign);
    free_first(gone);
    decommit_gone(gone);
    demand(hostmem_trace_stop(manager) == S_OK);

    say_where("leak", leak);
    say_where("reserve", reserve);
    say_where("free_first", free_first);
    say_where("free_again", free_again);
    say_where("free_foreign", free_foreign);
    say_where("decommit_gone", decommit_gone);
    say_where("in_another_thread", in_another_thread);
    say_where("wmain", wmain);
    printf("threads %lu %lu\n", GetCurrentThreadId(), thread);
    printf("before %" PRIuPTR "\nfreed %" PRIuPTR "\nforeign %" PRIuPTR "\ngone %" PRIuPTR "\n",
           (uintptr_t)before, (uintptr_t)freed, (uintptr_t)foreign, (uintptr_t)gone);
    return 0;
}
