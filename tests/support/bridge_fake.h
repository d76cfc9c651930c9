/*
 * A stand-in for coreclr.dll: imports what coreclr imports, has an ICLRRuntimeHost that refuses
 * SetHostControl, and lets a test make each imported call from inside the module.  Also built as a standalone
 * collector and as a JIT compiler.
 */
#ifndef BRIDGE_FAKE_H
#define BRIDGE_FAKE_H

#include <windows.h>
#include <psapi.h>

#include <hostmem/bridge.h>

/* The module's own calls, each through its import table. */
struct fake_calls {
    LPVOID(WINAPI *alloc)(LPVOID, SIZE_T, DWORD, DWORD);
    LPVOID(WINAPI *alloc_numa)(HANDLE, LPVOID, SIZE_T, DWORD, DWORD, DWORD);
    BOOL(WINAPI *free)(LPVOID, SIZE_T, DWORD);
    BOOL(WINAPI *protect)(LPVOID, SIZE_T, DWORD, PDWORD);
    SIZE_T(WINAPI *query)(LPCVOID, PMEMORY_BASIC_INFORMATION, SIZE_T);
    LPVOID(WINAPI *map)(HANDLE, DWORD, DWORD, DWORD, SIZE_T);
    LPVOID(WINAPI *map_at)(HANDLE, DWORD, DWORD, DWORD, SIZE_T, LPVOID);
    BOOL(WINAPI *unmap)(LPCVOID);
    HMODULE(WINAPI *load)(LPCWSTR, HANDLE, DWORD);
    BOOL(WINAPI *memory_status)(LPMEMORYSTATUSEX);
    BOOL(WINAPI *process_memory)(HANDLE, PROCESS_MEMORY_COUNTERS *, DWORD);
    BOOL(WINAPI *in_job)(HANDLE, HANDLE, PBOOL);
    BOOL(WINAPI *job_limits)(HANDLE, JOBOBJECTINFOCLASS, LPVOID, DWORD, LPDWORD);
    HANDLE(WINAPI *low_memory)(MEMORY_RESOURCE_NOTIFICATION_TYPE);
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*crt_free)(void *);
    char *(*strdup)(const char *); /* which nobody redirects */
    LPVOID(WINAPI *heap_alloc)(HANDLE, DWORD, SIZE_T);
    LPVOID(WINAPI *heap_realloc)(HANDLE, DWORD, LPVOID, SIZE_T);
    BOOL(WINAPI *heap_free)(HANDLE, DWORD, LPVOID);
};

/* What a collector of regions, or with `ignores` of segments, lets its program set; 0: not set. */
struct fake_settings {
    ULONGLONG limit, percent, soh, loh, physical, high_percent;
};

/* The part of System.GC that CreateDelegate hands out, once gc.present, and what it was asked. */
struct fake_gc {
    BOOL present;
    HRESULT answer;                  /* of CreateDelegate, if not 0 */
    const wchar_t *gone[2];          /* methods that were trimmed away */
    int collections[3];              /* by generation */
    volatile LONG delegates;         /* CreateDelegate calls, for anything */
    volatile LONG early;             /* of them before the start */
    struct fake_settings settings;   /* as the program has set them */
    ULONGLONG start_limit;           /* what the collector has come to at its start; 0: the same */
    BOOL ignores;                    /* it answers 0 to every limit, and takes none */
    volatile ULONGLONG committed;    /* it refuses any limit below */
    volatile LONG refuses;           /* a hard limit, that many times */
    BOOL collect_makes_room;         /* and no more after a collection */
    volatile LONG refreshes;         /* limits taken */
    volatile LONG probes;            /* limits that no heap fits in */
    volatile LONG ignored;           /* limits to which 0 was answered, and nothing done */
    volatile LONG wrong;             /* calls with figures that make no sense together */
    volatile ULONGLONG refresh_heap; /* the limit taken last; 0: none */
    volatile ULONGLONG refresh_sees; /* and total physical memory, asked through the imports */
    DWORD refresh_thread;
    volatile LONG internals;       /* CreateDelegate calls for what is not public */
    volatile size_t refresh_stack; /* where the last _RefreshMemoryLimit found its argument */
    volatile int collect_generation, collect_mode;
    volatile BOOL collect_low; /* from .NET 10 on */
    volatile LONG latency;     /* GCSettings.LatencyMode */
    volatile LONG collects;    /* _Collect calls */
    volatile LONG collects_in_region;
    volatile ULONGLONG collected_at[16]; /* ticks of the first ones */
};

/* What the stand-in's host object is asked, and how it is to answer. */
struct fake_runtime {
    struct fake_calls calls;
    BOOL started;
    HRESULT odd_answer;      /* of GetCurrentAppDomainId, if not 0 */
    unsigned newest_version; /* of ICLRRuntimeHost: 1, 2 or 4 */
    long objects;            /* host objects alive */
    volatile LONG asked;     /* GetCurrentAppDomainId calls */
    const char *called;      /* the last method */
    uint64_t arguments[9];   /* of that method */
    unsigned argument_count;
    struct fake_gc gc;
};

typedef struct fake_runtime *(*fake_runtime_get)(void);

#endif
