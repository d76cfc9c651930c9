/*
 * windows_hooks.c - os_win32.c again, its calls renamed to what follows here
 *
 * A macro is not expanded within itself, so the name that reaches the compiler in the end is Windows' own.  Not
 * hooked is what never fails and needs no memory: the last error, pseudo handles, FreeLibraryAndExitThread.
 */
#include "support/windows_hooks.h"

#include <psapi.h>

static _Atomic(const struct windows_hooks *) hooks;

void windows_hooks_set(const struct windows_hooks *set)
{
    atomic_store(&hooks, set);
}

static inline const struct windows_hooks *mine(void)
{
    const struct windows_hooks *now = atomic_load_explicit(&hooks, memory_order_acquire);
    return now != NULL && now->thread == GetCurrentThreadId() ? now : NULL;
}

#define HOOKED(function, ...)                                                                                \
    ({                                                                                                       \
        const struct windows_hooks *hooks_ = mine();                                                         \
        __typeof__(function(__VA_ARGS__)) answer_ = 0;                                                       \
        if (hooks_ == NULL) {                                                                                \
            answer_ = function(__VA_ARGS__);                                                                 \
        } else {                                                                                             \
            if (hooks_->before(#function, hooks_->context))                                                  \
                answer_ = function(__VA_ARGS__);                                                             \
            hooks_->after(#function, hooks_->context);                                                       \
        }                                                                                                    \
        answer_;                                                                                             \
    })

static DWORD sleep(DWORD milliseconds)
{
    (Sleep)(milliseconds);
    return 1;
}

/* What a benchmark calls: out of the way, so that without hooks there is nothing but a look at them. */
#define APART_HOOKED(type, function, parameters, ...)                                                        \
    __attribute__((noinline)) static type hooked_##function parameters                                       \
    {                                                                                                        \
        return HOOKED(function, __VA_ARGS__);                                                                \
    }
#define UNLESS_HOOKED(function, ...)                                                                         \
    (__builtin_expect(atomic_load_explicit(&hooks, memory_order_acquire) == NULL, true)                      \
         ? function(__VA_ARGS__)                                                                             \
         : hooked_##function(__VA_ARGS__))

APART_HOOKED(void *, VirtualAlloc, (void *at, SIZE_T size, DWORD type, DWORD protect), at, size, type,
             protect)
APART_HOOKED(BOOL, VirtualFree, (void *at, SIZE_T size, DWORD type), at, size, type)
APART_HOOKED(SIZE_T, VirtualQuery, (const void *at, MEMORY_BASIC_INFORMATION *info, SIZE_T length), at, info,
             length)
APART_HOOKED(void *, HeapAlloc, (HANDLE heap, DWORD flags, SIZE_T bytes), heap, flags, bytes)
APART_HOOKED(BOOL, HeapFree, (HANDLE heap, DWORD flags, void *block), heap, flags, block)

#define VirtualAlloc(...)                     UNLESS_HOOKED(VirtualAlloc, __VA_ARGS__)
#define VirtualFree(...)                      UNLESS_HOOKED(VirtualFree, __VA_ARGS__)
#define VirtualProtect(...)                   HOOKED(VirtualProtect, __VA_ARGS__)
#define VirtualQuery(...)                     UNLESS_HOOKED(VirtualQuery, __VA_ARGS__)
#define GlobalMemoryStatusEx(...)             HOOKED(GlobalMemoryStatusEx, __VA_ARGS__)
#define QueryInformationJobObject(...)        HOOKED(QueryInformationJobObject, __VA_ARGS__)
#define K32GetProcessMemoryInfo(...)          HOOKED(K32GetProcessMemoryInfo, __VA_ARGS__)
#define HeapCreate(...)                       HOOKED(HeapCreate, __VA_ARGS__)
#define HeapDestroy(...)                      HOOKED(HeapDestroy, __VA_ARGS__)
#define HeapAlloc(...)                        UNLESS_HOOKED(HeapAlloc, __VA_ARGS__)
#define HeapFree(...)                         UNLESS_HOOKED(HeapFree, __VA_ARGS__)
#define HeapLock(...)                         HOOKED(HeapLock, __VA_ARGS__)
#define HeapUnlock(...)                       HOOKED(HeapUnlock, __VA_ARGS__)
#define GetModuleHandleExW(...)               HOOKED(GetModuleHandleExW, __VA_ARGS__)
#define Sleep(...)                            HOOKED(sleep, __VA_ARGS__)
#define CreateMemoryResourceNotification(...) HOOKED(CreateMemoryResourceNotification, __VA_ARGS__)
#define QueryMemoryResourceNotification(...)  HOOKED(QueryMemoryResourceNotification, __VA_ARGS__)
#define CreateEventW(...)                     HOOKED(CreateEventW, __VA_ARGS__)
#define SetEvent(...)                         HOOKED(SetEvent, __VA_ARGS__)
#define CreateThread(...)                     HOOKED(CreateThread, __VA_ARGS__)
#define FreeLibrary(...)                      HOOKED(FreeLibrary, __VA_ARGS__)
#define WaitForSingleObject(...)              HOOKED(WaitForSingleObject, __VA_ARGS__)
#define WaitForMultipleObjects(...)           HOOKED(WaitForMultipleObjects, __VA_ARGS__)
#define CreateMutexW(...)                     HOOKED(CreateMutexW, __VA_ARGS__)
#define ReleaseMutex(...)                     HOOKED(ReleaseMutex, __VA_ARGS__)
#define CloseHandle(...)                      HOOKED(CloseHandle, __VA_ARGS__)

#include "memory/os_win32.c"
