/*
 * stack_depth.c - painting, and going down to the guard page
 */
#include "support/stack_depth.h"

#include <stdint.h>

#include "support/windows_hooks.h"

#define PAINT  ((uintptr_t)0xC7A55E11u)
#define SECOND __attribute__((noinline)) /* with a frame of its own, below its caller's */

enum { PAGE = 4096, MUCH = 48 * 1024, SPARE = 96 /* for the painter's own frame */ };

static struct {
    const struct stack_call *call;
    uintptr_t low, base;
    struct stack_depth depth;
} watch; /* one call at a time */

/* From the top: Windows moves a guard page down only if it is touched first. */
static SECOND void paint(void)
{
    volatile uintptr_t *at = (uintptr_t *)((uintptr_t)__builtin_frame_address(0) - SPARE);
    while ((uintptr_t)at > watch.low)
        *--at = PAINT;
}

static SECOND void note(size_t *deepest)
{
    const volatile uintptr_t *at = (uintptr_t *)watch.low;
    while ((uintptr_t)at < watch.base && *at == PAINT)
        at++;
    size_t depth = watch.base - (uintptr_t)at;
    if (depth > *deepest)
        *deepest = depth;
}

static bool before(const char *function, void *context)
{
    (void)context;
    note(&watch.depth.own);
    return watch.call->before == NULL || watch.call->before(function, watch.call->context);
}

static void after(const char *function, void *context)
{
    (void)function, (void)context;
    note(&watch.depth.with_windows);
    paint();
}

static SECOND void run(uintptr_t low)
{
    struct windows_hooks hooks = {.thread = GetCurrentThreadId(), .before = before, .after = after};
    watch.base = (uintptr_t)&hooks & ~(uintptr_t)(sizeof(uintptr_t) - 1);
    watch.low = low;
    watch.depth = (struct stack_depth){0, 0};
    windows_hooks_set(&hooks);
    paint();
    watch.call->run(watch.call->context);
    note(&watch.depth.own);
    windows_hooks_set(NULL);
    if (watch.depth.with_windows < watch.depth.own)
        watch.depth.with_windows = watch.depth.own;
}

struct stack_depth stack_depth_of(const struct stack_call *call)
{
    watch.call = call;
    run(((uintptr_t)__builtin_frame_address(0) - MUCH) & ~(uintptr_t)(sizeof(uintptr_t) - 1));
    return watch.depth;
}

struct low {
    size_t left;
    bool intact;
};

/* The lowest page of this thread's stack that is neither reserved only nor a guard page. */
static uintptr_t stack_limit(void)
{
    MEMORY_BASIC_INFORMATION info;
    if (VirtualQuery(__builtin_frame_address(0), &info, sizeof info) == 0)
        return 0;
    char *at = info.AllocationBase;
    while (VirtualQuery(at, &info, sizeof info) != 0 &&
           (info.State != MEM_COMMIT || info.Protect != PAGE_READWRITE))
        at += info.RegionSize;
    return (uintptr_t)at;
}

static bool guarded(uintptr_t limit)
{
    MEMORY_BASIC_INFORMATION info;
    return VirtualQuery((void *)(limit - 1), &info, sizeof info) != 0 && (info.Protect & PAGE_GUARD);
}

static SECOND void go_down(uintptr_t limit, size_t left)
{
    size_t down = (uintptr_t)__builtin_frame_address(0) - limit - left;
    volatile char *filler = __builtin_alloca(down);
    filler[0] = 0;
    run(limit);
}

static DWORD WINAPI go_low(void *context)
{
    struct low *low = context;
    uintptr_t limit = stack_limit();
    bool before = guarded(limit);
    go_down(limit, low->left);
    low->intact = before && guarded(limit) && stack_limit() == limit;
    return 0;
}

bool stack_low_run(const struct stack_call *call, size_t left, struct stack_depth *depth)
{
    struct low low = {.left = left};
    watch.call = call;
    HANDLE thread = CreateThread(NULL, 2 * MUCH, go_low, &low, 0, NULL);
    if (thread == NULL)
        return false;
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    *depth = watch.depth;
    return low.intact;
}
