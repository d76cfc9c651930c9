/*
 * windows.h - as much of Win32 as the pure parts and their tests use, over POSIX
 *
 * For tests/native alone: threads, events, locks and pages, each as far as those tests go.
 */
#ifndef TESTS_NATIVE_WINDOWS_H
#define TESTS_NATIVE_WINDOWS_H

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINAPI
#define STDMETHODCALLTYPE
#define TRUE  1
#define FALSE 0

typedef int BOOL;
typedef int32_t LONG, HRESULT;
typedef uint32_t DWORD, ULONG;
typedef size_t SIZE_T;

#define S_OK                      ((HRESULT)0)
#define E_FAIL                    ((HRESULT)0x80004005)
#define E_OUTOFMEMORY             ((HRESULT)0x8007000E)
#define HRESULT_FROM_WIN32(error) ((HRESULT)((error)&0xFFFF | 0x80070000))

enum {
    ERROR_SUCCESS = 0,
    ERROR_NOT_ENOUGH_MEMORY = 8,
    ERROR_OUTOFMEMORY = 14,
    ERROR_NO_SYSTEM_RESOURCES = 1450,
    ERROR_WORKING_SET_QUOTA = 1453,
    ERROR_PAGEFILE_QUOTA = 1454,
    ERROR_COMMITMENT_LIMIT = 1455,
    ERROR_NOT_ENOUGH_QUOTA = 1816
};

DWORD GetLastError(void);
void SetLastError(DWORD error);

/* Threads and events: objects that are signalled, or not yet. */
typedef struct waitable *HANDLE;

enum { WAIT_OBJECT_0 = 0, WAIT_TIMEOUT = 258 };
#define INFINITE UINT32_MAX

HANDLE CreateThread(void *security, SIZE_T stack, DWORD (*run)(void *), void *context, DWORD flags,
                    DWORD *id);
BOOL GetExitCodeThread(HANDLE thread, DWORD *code);
DWORD GetCurrentThreadId(void);

/* An address that no other thread has. */
static inline void *NtCurrentTeb(void)
{
    return (void *)pthread_self();
}

HANDLE CreateEventW(void *security, BOOL manual, BOOL signalled, const void *name);
BOOL SetEvent(HANDLE event);
DWORD WaitForSingleObject(HANDLE object, DWORD milliseconds);
DWORD WaitForMultipleObjects(DWORD count, const HANDLE *objects, BOOL all, DWORD milliseconds); /* all */
BOOL CloseHandle(HANDLE object); /* of a thread that has ended */

static inline void SwitchToThread(void)
{
    sched_yield();
}

typedef pthread_mutex_t CRITICAL_SECTION;
typedef pthread_cond_t CONDITION_VARIABLE;

#define InitializeCriticalSection(lock)                   pthread_mutex_init(lock, NULL)
#define EnterCriticalSection(lock)                        pthread_mutex_lock(lock)
#define LeaveCriticalSection(lock)                        pthread_mutex_unlock(lock)
#define DeleteCriticalSection(lock)                       pthread_mutex_destroy(lock)
#define InitializeConditionVariable(variable)             pthread_cond_init(variable, NULL)
#define SleepConditionVariableCS(variable, lock, forever) pthread_cond_wait(variable, lock)
#define WakeAllConditionVariable(variable)                pthread_cond_broadcast(variable)

/* Address space that is reserved whole and committed in part, with guards around it. */
enum {
    MEM_COMMIT = 0x1000,
    MEM_RESERVE = 0x2000,
    MEM_RELEASE = 0x8000,
    MEM_FREE = 0x10000,
    MEM_PRIVATE = 0x20000,
    PAGE_READWRITE = 4
};

typedef struct MEMORY_BASIC_INFORMATION {
    void *BaseAddress, *AllocationBase;
    SIZE_T RegionSize;
    DWORD State, Type;
} MEMORY_BASIC_INFORMATION;

void *VirtualAlloc(void *address, SIZE_T bytes, DWORD type, DWORD protect); /* one of reserve and commit */
BOOL VirtualFree(void *base, SIZE_T zero, DWORD release);
/* State: MEM_COMMIT, or MEM_RESERVE for all else; RegionSize: of pages that are alike, from BaseAddress on. */
SIZE_T VirtualQuery(const void *address, MEMORY_BASIC_INFORMATION *information, SIZE_T length);

#endif
