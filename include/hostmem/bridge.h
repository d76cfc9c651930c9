/*
 * bridge.h - SetHostControl for .NET 8 to 11
 *
 * Modern runtimes still have ICLRRuntimeHost, but its SetHostControl answers E_NOTIMPL: nobody asks the host
 * for an IHostMemoryManager any more.  The bridge plays that part.  It redirects the memory functions that
 * coreclr.dll (and a standalone garbage collector, when one is configured) imports from kernel32.dll, in this
 * process and in memory only, to the IHostMemoryManager that an IHostControl hands out.  It works with any
 * IHostControl, not only hostmem's.
 *
 *     HMODULE hostfxr = LoadLibraryExW(...);          // or a comhost.dll, an ijwhost.dll
 *     hostmem_bridge_watch(hostfxr, control, NULL);   // coreclr.dll is bound as it comes, before it starts
 *     // go on as always: hostfxr_initialize_..., hostfxr_get_runtime_delegate, hostfxr_run_app
 *
 * Hosts that know which coreclr.dll it will be, or call it themselves, load it first; the host components find the same
 * module:
 *
 *     // hostfxr_initialize_..., which says where the runtime is by the property TRUSTED_PLATFORM_ASSEMBLIES
 *     hostmem_bridge_find(assemblies, path, MAX_PATH);
 *     hostmem_bridge_load(path, control, NULL, NULL);
 *     // hostfxr_get_runtime_delegate, hostfxr_run_app, coreclr_initialize
 *
 * Single-file executables and NativeAOT binaries have their runtime inside, where nothing is imported from the bridge's
 * point of view: they are not supported.
 *
 * Hosts that are written against ICLRRuntimeHost take hostmem_bridge_get_runtime_host in place of coreclr's
 * export GetCLRRuntimeHost, and call SetHostControl before Start, as on .NET Framework.
 *
 * What is redirected, all or nothing:
 *
 *     coreclr.dll             VirtualAlloc VirtualAllocExNuma VirtualFree VirtualProtect VirtualQuery
 *                             MapViewOfFile MapViewOfFileEx UnmapViewOfFile LoadLibraryExW
 *                             GlobalMemoryStatusEx K32GetProcessMemoryInfo IsProcessInJob
 *                             QueryInformationJobObject CreateMemoryResourceNotification: each is required;
 *                             .NET 8 to 11 import them all
 *     a standalone collector  VirtualAlloc VirtualFree: required; the others where they are imported
 *                             (clrgc.dll and clrgcexp.dll: VirtualAllocExNuma, LoadLibraryExW, and those that
 *                             ask for the machine's memory).  Redirected
 *                             as coreclr loads it; if that fails, so does the load, and with it the start of
 *                             the runtime
 *
 * A redirected call goes to the manager as the CLR would have made it (contract 3.2 to 3.6).  Success is
 * exactly S_OK (VirtualQuery: any success code).  A failure comes back to the runtime as Win32 would give it:
 * FACILITY_WIN32 gives its code as last error, anything else ERROR_NOT_ENOUGH_MEMORY from allocations,
 * ERROR_INVALID_ADDRESS from the rest, ERROR_INVALID_PARAMETER from VirtualQuery.  Success leaves the last
 * error alone.  The NUMA node is dropped, as the CLR drops it.  Memory that the manager calls foreign
 * (VirtualFree gives HOST_E_INVALIDOPERATION) and placeholder splits are freed by Windows.  Views:
 * AcquiredVirtualAddressSpace after every map, with the whole view's size; ReleasedVirtualAddressSpace after
 * every unmap; NeedsVirtualAddressSpace after a failed map, and one retry if the host answers with a success
 * code.
 *
 * Another hook.  What was found in the import table is called by the redirected functions for views, LoadLibraryExW and all
 * that ask for the machine (but for CreateMemoryResourceNotification of low memory, which the bridge answers), so a hook
 * that was placed before stays in effect there.  Not for VirtualAlloc, VirtualAllocExNuma, VirtualFree, VirtualProtect and
 * VirtualQuery: these calls end at the manager, and hostmem's calls Windows.  What was found is called only for what is not
 * shown to the manager: calls for another process, placeholders, memory that it calls foreign.  A hook that is placed after
 * the bind sees every call.
 *
 * A version is no reason to refuse a runtime; what decides is the import table.  A newer one may import a function of the
 * same families that is not in the list above: it stays Windows', and hostmem_bridge_statistics.unknown names it.
 * What the bridge calls inside the runtime depends on its version: on one that it was not tried on, no collection is
 * forced at a Low, and a changed limit is not passed on.  The same holds for a program that was trimmed (PublishTrimmed), as
 * far as trimming has taken away what is called.  It leaves all in a program that names the types System.GC and
 * System.Runtime.GCSettings of System.Private.CoreLib, with preserve="methods", in a TrimmerRootDescriptor.
 *
 * Not redirected: GetProcAddress, because P/Invoke uses the same import, and a C# program's own VirtualAlloc
 * is its own business.  What coreclr looks up that way, VirtualAlloc2 and MapViewOfFile3 of its image loader,
 * serves images only.  malloc and the Heap functions: IHostMalloc is created, as the CLR does, and not used, but
 * with HOSTMEM_BRIDGE_HEAP.
 *
 * Criticality.  Commits inside the garbage collector's heap are eTaskCritical: refused, they end in a managed
 * OutOfMemoryException.  Everything else is eProcessCritical, for a runtime that is refused its tables, code
 * or start-up memory ends the process: bookkeeping of the collector, loaders, JIT, memory that was not
 * recognised, every reserve, and every call until the runtime has started.  eAppDomainCritical is never used.
 * The heap is recognised by the order of reservations and commits, for regions (coreclr.dll's own collector
 * on x86-64, clrgcexp.dll) and segments (clrgc.dll, and coreclr.dll's own on x86), workstation and server.
 *
 * Use.  The same order says what each region is for, which a hostmem manager is given (hostmem_use): no later than the
 * first commit, unless the region is committed as it is reserved.  The collector's heap, as above; its tables, with
 * those reservations of one granule that are its handle tables; code: a reservation that is executable, or whose first
 * commit is; loader: other reservations with PAGE_NOACCESS or at an address; anything else is other.  Under W^X code
 * and loader memory are views.
 *
 * The native heap.  With HOSTMEM_BRIDGE_HEAP these are redirected besides, in coreclr.dll, in the JIT compiler
 * (clrjit.dll) and in a standalone collector as coreclr loads them:
 *
 *     malloc calloc realloc free           coreclr.dll must import malloc and free; the others where imported
 *     HeapAlloc HeapReAlloc HeapFree       on GetProcessHeap() only, where imported
 *
 * Blocks come from the IHostMalloc of step 2 of hostmem_bridge_bind, at eProcessCritical, so they are counted as other
 * critical memory is: beyond the limit they take from the margin, then they are an overrun.  Each has a header
 * of 16 bytes (x86: 8) for its size.  The bridge zeroes what calloc and HEAP_ZERO_MEMORY ask for.  A failure is NULL and
 * ERROR_NOT_ENOUGH_MEMORY as last error; errno is not set.  A block knows where it belongs, whoever frees it:
 * what did not come from the host - taken before the bind, by _strdup inside the C library, by a module that is not
 * redirected - is freed, and is given another size, by the function that the module imports.  The other way round, a block
 * of the host's that comes to a module which is not redirected is that module's end; .NET 8 to 11 have none that do,
 * as far as tests show.  A module that imports _msize, _recalloc, _expand, HeapSize or HeapValidate could be given such a
 * block, and is refused: coreclr.dll with ERROR_NOT_SUPPORTED, of the others the load fails with ERROR_PROC_NOT_FOUND (none
 * of these versions imports them).  _aligned_malloc and its sisters stay the C library's, private heaps (HeapCreate)
 * whosever they are: the debugger's has to work while a thread that is suspended has the process heap locked.  While the
 * process ends nothing of it goes to the host any more: its other threads have been killed, one of them perhaps inside the
 * host's heap.
 *
 * The machine.  GlobalMemoryStatusEx is answered with the manager's GetMemoryLoad; with a hostmem manager the total is
 * the least of the machine, task_limit and heap_limit (the shared budget's if that is less).  Before the runtime has started
 * it is a third more, which is the limit of the job, if one is shown (below); and not below 32 MiB, since .NET 10 reserves
 * twice the total for its heap.  So the collector works harder before it runs into a refusal, and programs that trim
 * their caches at GCMemoryInfo.HighMemoryLoadThresholdBytes, nine tenths of what is shown or the program's own
 * System.GC.HighMemoryPercent, get there.  For a collector that has the limits of a hostmem manager for its own
 * hard limit (below), a load of 90 to 97 % of them is shown as 89 %, unless the machine is at 90 % itself, or the process in a
 * job with a limit: shown as it is, it would make the collector collect in full again and again before it is at its limit,
 * where it does so by itself.
 * K32GetProcessMemoryInfo gives, in a job with a limit, a working set that is this load's part of it.
 *
 * Limits of the heap.  What holds is the least of: the host's task_limit and heap_limit; the program's own (environment
 * and runtimeconfig.json: GCHeapHardLimit, or GCHeapHardLimitPercent of the total that is shown); three quarters of the
 * limit of a job object that the process is in, as the collector takes it; the machine.  Nothing here raises or clears a
 * limit that was there; a limit of the host's that is taken away leaves what the program would have had.  The host's
 * limit is made the collector's own hard limit, as far as it takes one:
 *
 *     at its start    a collector is shown a job object of which the limit is three quarters, if the machine has that
 *                     much memory and no percentage is set in the environment; where the program has set a limit
 *                     that is higher, that counts until the runtime has started, and for collectors that take no
 *                     other, for good (a percentage in runtimeconfig.json is of the limit and a third, then)
 *     then            by GC._RefreshMemoryLimit, on a thread of the bridge's own, when the runtime has started and with
 *                     each change of the limits: by collectors with regions (coreclr.dll's own on x86-64,
 *                     clrgcexp.dll).  Those with segments (clrgc.dll, all on x86) keep what they have started with, as do
 *                     all where the program has set limits of single heaps (GCHeapHardLimitSOH and so on) or
 *                     GCTotalPhysicalMemory.  Percentages of single heaps (GCHeapHardLimitSOHPercent and so on) those
 *                     with regions take anew, of the size that they are shown: collector_limit does not follow that.
 *                     Below what its heap is now no collector takes a limit: it is tried again, after a full
 *                     collection
 *
 * On x86 collectors have no hard limit, whatever the program has set and whatever job it is in, and so none that could be
 * told: they see the host's limit as the size of the machine, that and a third (the job) until they have started.
 *
 * Whatever the collector does, the manager refuses its heap beyond the host's limits.  What is in force at the collector
 * is in hostmem_bridge_statistics.collector_limit.
 *
 * Pressure.  Each Low of OnMemoryNotification is one pulse of the event that the runtime gets from
 * CreateMemoryResourceNotification, at which it collects its youngest generation; and at most every 8,192 ms the bridge
 * has it collect all of its heap and give back what it can.  Collections that do not end the Low come ever later: after
 * twice the time, four times, then every 65,536 ms; another limit begins anew.  Neither pulse nor collection comes in a
 * no-GC region (GC.TryStartNoGCRegion), which a collection would end: the program is asked directly before, on the thread
 * that then does it, and both wait until the region is left or the Low is over.  A region that is entered in just that
 * moment, or while the runtime's finalizer thread is on its way to the collection after a pulse, is ended, as by any other
 * thread's GC.Collect.  A trimmed program that has such regions, and from which GCSettings.LatencyMode was taken, counts as
 * always in one.
 *
 * Threads.  Functions here may be called on any thread, though not from inside a call that the runtime makes
 * to the manager, nor under the loader lock.  What coreclr.dll and a collector call in place of the redirected functions
 * takes no lock and allocates nothing, but for LoadLibraryExW, CreateMemoryResourceNotification, which makes an event, and the
 * functions of the native heap with HOSTMEM_BRIDGE_HEAP.  The bind makes the bridge's own thread.  Where there is no
 * memory for it the bind succeeds all the same, and what that thread does is not done: no collection is forced, no changed
 * limit is passed on, HOSTMEM_BRIDGE_EVENT_HEAP_UNKNOWN does not come, collector_limit stays unknown, and pulses do
 * not wait for the end of a no-GC region.
 *
 * For good.  Once bound, a module is bound until the process ends; the manager, its IHostMalloc and the
 * IHostControl are never released, as the CLR never does (contract 3.1).  coreclr.dll and the module that
 * contains this code pin themselves at the first bind that gets as far as the redirection.
 *
 * Processes with strict Control Flow Guard or CET shadow stacks: binaries linked by GNU ld are not marked for
 * either, so a process that demands the marks (CFG "strict mode", CET "strict") refuses to load this library.
 */
#ifndef HOSTMEM_BRIDGE_H
#define HOSTMEM_BRIDGE_H

#include <stdint.h>

#include <hostmem/clr.h>
#include <hostmem/hostmem.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of hostmem_bridge_options. */
enum {
    /* Refuse a runtime of a version that the bridge was not tried on (8 to 11), and one that imports a memory function
     * that it does not know, instead of binding what it knows. */
    HOSTMEM_BRIDGE_KNOWN_ONLY = 0x1,
    /* Of a watch: a coreclr.dll that cannot be bound runs all the same, without the manager.  The state says so. */
    HOSTMEM_BRIDGE_RUN_UNGOVERNED = 0x2,
    /* The runtime's own heap goes to the host's IHostMalloc, too: see "The native heap" above.  Experimental: not seen on
     * Windows yet. */
    HOSTMEM_BRIDGE_HEAP = 0x8
};

/* Kinds of hostmem_bridge_event: the host's memory manager does not govern as it was meant to. */
typedef enum hostmem_bridge_event_kind {
    /* A coreclr.dll came to a watched component (hostmem_bridge_watch) and could not be bound: `result` is that of the
     * bind.  Its load fails, unless HOSTMEM_BRIDGE_RUN_UNGOVERNED.  On the thread that loads it, which holds no lock. */
    HOSTMEM_BRIDGE_EVENT_NOT_BOUND = 1,
    /* The bound runtime has started, and what its collector reserved was not recognised as heap (large pages, a standalone
     * collector that takes memory by another module): nothing of it is refused.  On a thread of the bridge's own. */
    HOSTMEM_BRIDGE_EVENT_HEAP_UNKNOWN = 2,
    /* coreclr.dll, or the collector that it has loaded, imports a function that takes memory and that the bridge does not
     * know: `missing` names it, and limits do not cover that.  On the thread of the bind, or of the runtime's start. */
    HOSTMEM_BRIDGE_EVENT_INCOMPLETE = 3
} hostmem_bridge_event_kind;

typedef struct hostmem_bridge_event {
    uint32_t size;       /* sizeof(hostmem_bridge_event) */
    uint32_t kind;       /* hostmem_bridge_event_kind */
    HMODULE module;      /* coreclr.dll or the collector, or NULL */
    HRESULT result;      /* of the bind, or S_OK */
    const char *missing; /* as hostmem_bridge_statistics.missing, or .unknown, or NULL */
} hostmem_bridge_event;

/* May call what may be called on the thread that the kind names, and end the process.  The event is valid during the
 * call. */
typedef void(HOSTMEM_CALL *hostmem_bridge_event_callback)(const hostmem_bridge_event *event, void *context);

/* Options of a bind.  Zero everything, then set size. */
typedef struct hostmem_bridge_options {
    uint32_t size;  /* sizeof(hostmem_bridge_options) */
    uint32_t flags; /* HOSTMEM_BRIDGE_...; any other bit is refused with E_INVALIDARG */
    /* May be NULL.  HOSTMEM_BRIDGE_EVENT_NOT_BOUND goes to that of the watch which met the runtime.  For other kinds, and
     * where that watch has none, there is one for the process: that of the last bind or watch with one that succeeded; it
     * stays for good. */
    hostmem_bridge_event_callback event;
    void *context; /* passed to it */
} hostmem_bridge_options;

/* Who called.  Rows of hostmem_bridge_statistics.calls. */
typedef enum hostmem_bridge_module {
    HOSTMEM_BRIDGE_RUNTIME,   /* coreclr.dll */
    HOSTMEM_BRIDGE_COLLECTOR, /* a standalone garbage collector: clrgc.dll, clrgcexp.dll or another */
    HOSTMEM_BRIDGE_JIT,       /* clrjit.dll, with HOSTMEM_BRIDGE_HEAP: what it calls of the native heap */
    HOSTMEM_BRIDGE_MODULE_COUNT
} hostmem_bridge_module;

/* What was called.  Columns of hostmem_bridge_statistics.calls. */
typedef enum hostmem_bridge_function {
    HOSTMEM_BRIDGE_VIRTUAL_ALLOC,
    HOSTMEM_BRIDGE_VIRTUAL_ALLOC_EX_NUMA,
    HOSTMEM_BRIDGE_VIRTUAL_FREE,
    HOSTMEM_BRIDGE_VIRTUAL_PROTECT,
    HOSTMEM_BRIDGE_VIRTUAL_QUERY,
    HOSTMEM_BRIDGE_MAP_VIEW,
    HOSTMEM_BRIDGE_MAP_VIEW_EX,
    HOSTMEM_BRIDGE_UNMAP_VIEW,
    HOSTMEM_BRIDGE_LOAD_LIBRARY_EX,
    HOSTMEM_BRIDGE_MEMORY_STATUS,
    HOSTMEM_BRIDGE_PROCESS_MEMORY,
    HOSTMEM_BRIDGE_IN_JOB,
    HOSTMEM_BRIDGE_JOB_LIMITS,
    HOSTMEM_BRIDGE_LOW_MEMORY,
    /* With HOSTMEM_BRIDGE_HEAP.  Calls are those that IHostMalloc has served. */
    HOSTMEM_BRIDGE_MALLOC,
    HOSTMEM_BRIDGE_CALLOC,
    HOSTMEM_BRIDGE_REALLOC,
    HOSTMEM_BRIDGE_FREE,
    HOSTMEM_BRIDGE_HEAP_ALLOC,
    HOSTMEM_BRIDGE_HEAP_REALLOC,
    HOSTMEM_BRIDGE_HEAP_FREE,
    HOSTMEM_BRIDGE_FUNCTION_COUNT
} hostmem_bridge_function;

typedef struct hostmem_bridge_calls {
    uint64_t calls;    /* made while a manager was bound */
    uint64_t failures; /* of them failed for the caller */
} hostmem_bridge_calls;

/* Bits of hostmem_bridge_statistics.state. */
enum {
    HOSTMEM_BRIDGE_REDIRECTED = 0x1,    /* coreclr.dll's imports are redirected */
    HOSTMEM_BRIDGE_BOUND = 0x2,         /* to a host's manager */
    HOSTMEM_BRIDGE_RUNNING = 0x4,       /* the runtime has started */
    HOSTMEM_BRIDGE_STANDALONE_GC = 0x8, /* a standalone collector was loaded and redirected */
    HOSTMEM_BRIDGE_INCOMPLETE =
        0x10, /* one of the unknown functions takes memory from Windows, past the limits */
    HOSTMEM_BRIDGE_WATCHING = 0x20,     /* a host component is watched */
    HOSTMEM_BRIDGE_UNGOVERNED = 0x40,   /* a runtime that could not be bound was let run */
    HOSTMEM_BRIDGE_HEAP_UNKNOWN = 0x80, /* the bound runtime runs, and nothing was recognised as its heap */
    HOSTMEM_BRIDGE_HEAP_REDIRECTED = 0x100 /* the native heap goes to the host's IHostMalloc */
};

enum { HOSTMEM_BRIDGE_LEVEL_COUNT = 4 };

/* Whose a limit is. */
enum {
    HOSTMEM_BRIDGE_OF_NOBODY,  /* there is none, or it is the machine's size */
    HOSTMEM_BRIDGE_OF_HOST,    /* hostmem_limits */
    HOSTMEM_BRIDGE_OF_PROGRAM, /* environment or runtimeconfig.json */
    HOSTMEM_BRIDGE_OF_JOB      /* three quarters of a job object's, or 20 MiB */
};

/*
 * What the garbage collector keeps its heap to by itself.  No runtime tells a native host: this is derived, from what the
 * program has set, what the collector was told when it asked, and whether it has taken what it was told since.  It knows
 * nothing of calls of GC.RefreshMemoryLimit by the program itself.  Sizes in bytes; HOSTMEM_UNLIMITED: none.
 */
typedef struct hostmem_bridge_collector_limit {
    /* 1; 0: the runtime has not started, is of a version whose collector hostmem was not tried on, or does not tell what the
     * program has set (a trimmed program), and nothing here means anything. */
    uint32_t known;
    uint32_t owner; /* HOSTMEM_BRIDGE_OF_...: of hard_limit */
    /* 1: it takes no limit while it runs, changes are enforced by refusal alone; 0: it does, or has not been tried yet. */
    uint32_t fixed;
    /* 1: since some time it has been allowed more than it can take since its start - the address space of its heap, or its
     * limit if that is `fixed` - so it may end in OutOfMemoryException before.  What helps is a higher limit at the start,
     * lowered when it runs; or, for regions, the program's setting DOTNET_GCRegionRange (hexadecimal bytes;
     * System.GC.RegionRange).  Stays 1. */
    uint32_t beyond_start;
    uint64_t hard_limit; /* in force; all kinds of objects, and the collector's tables */
    /* A lower one that should be and is not: the heap is bigger now, or the limit is `fixed` (on x86 always: the host's). */
    uint64_t pending;
    uint64_t available; /* GCMemoryInfo.TotalAvailableMemoryBytes */
    /* GCMemoryInfo.HighMemoryLoadThresholdBytes.  Shown 80 GiB or more, on seven or more processors, a collector puts it higher
     * by itself, up to 97 %; those that do not tell that are taken to have it at 90 %. */
    uint64_t high_load;
} hostmem_bridge_collector_limit;

/*
 * What went over the bridge.  Counters are exact by themselves; read while the runtime runs, they belong to
 * slightly different moments.  On x86 they count modulo 2^32.
 */
typedef struct hostmem_bridge_statistics {
    uint32_t size;            /* sizeof(hostmem_bridge_statistics) */
    uint32_t state;           /* HOSTMEM_BRIDGE_REDIRECTED and the others */
    HMODULE runtime;          /* coreclr.dll, or NULL */
    HMODULE collector;        /* the standalone collector, or NULL */
    uint64_t runtime_version; /* its file version, major in the upper 16 bits; 0: none */
    /* The function that the last bind, or the last load of a collector or JIT compiler, did not find in the import table,
     * found twice, or does not know; NULL: none.  Static storage. */
    const char *missing;
    /* Functions of the same families (those that begin like the ones known, VirtualAlloc2 or MapViewOfFile3 for instance)
     * that the module imports and the bridge does not know: left to Windows.  Names with blanks between them; NULL: none.
     * Static storage. */
    const char *unknown[HOSTMEM_BRIDGE_MODULE_COUNT];
    hostmem_bridge_calls calls[HOSTMEM_BRIDGE_MODULE_COUNT][HOSTMEM_BRIDGE_FUNCTION_COUNT];
    uint64_t foreign_frees;     /* VirtualFree that the manager called foreign, passed on to Windows */
    uint64_t placeholder_frees; /* VirtualFree of placeholders, never shown to the manager */
    uint64_t other_process;     /* VirtualAllocExNuma for another process, never shown to the manager */
    uint64_t map_retries;       /* maps tried again because NeedsVirtualAddressSpace said so */
    uint64_t heap_ranges;       /* ranges recognised as the collector's heap, now */
    uint64_t heap_reserved;     /* their address space in bytes, rounded up to 64 KiB each */
    /* Charged to the manager's budget when the runtime had started; 0: it has not, or the manager is not
     * hostmem's. */
    uint64_t started_charged;
    uint64_t limit_refreshes; /* how often the collector has taken a limit while it ran */
    uint64_t heap_unknown;    /* reservations for which the list had no room: they count as not heap */
    uint64_t notifications[HOSTMEM_BRIDGE_LEVEL_COUNT]; /* OnMemoryNotification, by EMemoryAvailable;
                                                           [0]: others */
    hostmem_bridge_collector_limit collector_limit;
    /* Of the native heap: blocks that are not the host's and were passed on, by frees and reallocs; and what the bridge
     * has committed to know whose a block is, in bytes. */
    uint64_t heap_foreign;
    uint64_t heap_metadata;
} hostmem_bridge_statistics;

/* clang-format off */

/*
 * Newer versions of ICLRRuntimeHost, which only .NET Core and .NET have: each adds methods to the one before.
 */
#ifndef __ICLRRuntimeHost2_INTERFACE_DEFINED__
#define __ICLRRuntimeHost2_INTERFACE_DEFINED__
#define HOSTMEM_RUNTIME_HOST_METHODS \
    STDMETHOD(QueryInterface)(THIS_ REFIID riid, void **ppvObject) PURE; \
    STDMETHOD_(ULONG, AddRef)(THIS) PURE; \
    STDMETHOD_(ULONG, Release)(THIS) PURE; \
    STDMETHOD(Start)(THIS) PURE; \
    STDMETHOD(Stop)(THIS) PURE; \
    STDMETHOD(SetHostControl)(THIS_ IHostControl *pHostControl) PURE; \
    STDMETHOD(GetCLRControl)(THIS_ ICLRControl **pCLRControl) PURE; \
    STDMETHOD(UnloadAppDomain)(THIS_ DWORD dwAppDomainId, BOOL fWaitUntilDone) PURE; \
    STDMETHOD(ExecuteInAppDomain)(THIS_ DWORD dwAppDomainId, FExecuteInAppDomainCallback pCallback, \
                                  void *cookie) PURE; \
    STDMETHOD(GetCurrentAppDomainId)(THIS_ DWORD *pdwAppDomainId) PURE; \
    STDMETHOD(ExecuteApplication)(THIS_ LPCWSTR pwzAppFullName, DWORD dwManifestPaths, LPCWSTR *ppwzManifestPaths, \
                                  DWORD dwActivationData, LPCWSTR *ppwzActivationData, int *pReturnValue) PURE; \
    STDMETHOD(ExecuteInDefaultAppDomain)(THIS_ LPCWSTR pwzAssemblyPath, LPCWSTR pwzTypeName, \
                                         LPCWSTR pwzMethodName, LPCWSTR pwzArgument, DWORD *pReturnValue) PURE; \
    STDMETHOD(CreateAppDomainWithManager)(THIS_ LPCWSTR wszFriendlyName, DWORD dwFlags, \
                                          LPCWSTR wszAppDomainManagerAssemblyName, \
                                          LPCWSTR wszAppDomainManagerTypeName, int nProperties, \
                                          LPCWSTR *pPropertyNames, LPCWSTR *pPropertyValues, \
                                          DWORD *pAppDomainID) PURE; \
    STDMETHOD(CreateDelegate)(THIS_ DWORD appDomainID, LPCWSTR wszAssemblyName, LPCWSTR wszClassName, \
                              LPCWSTR wszMethodName, INT_PTR *fnPtr) PURE; \
    STDMETHOD(Authenticate)(THIS_ ULONGLONG authKey) PURE; \
    STDMETHOD(RegisterMacEHPort)(THIS) PURE; \
    STDMETHOD(SetStartupFlags)(THIS_ DWORD dwFlags) PURE; \
    STDMETHOD(DllGetActivationFactory)(THIS_ DWORD appDomainID, LPCWSTR wszTypeName, IUnknown **factory) PURE; \
    STDMETHOD(ExecuteAssembly)(THIS_ DWORD dwAppDomainId, LPCWSTR pwzAssemblyPath, int argc, LPCWSTR *argv, \
                               DWORD *pReturnValue) PURE;

HOSTMEM_IID_(IID_ICLRRuntimeHost2, 0x712ab73f, 0x2c22, 0x4807, 0xad, 0x7e, 0xf5, 0x01, 0xd7, 0xb7, 0x2c, 0x2d);
#undef INTERFACE
#define INTERFACE ICLRRuntimeHost2
HOSTMEM_INTERFACE_(ICLRRuntimeHost2, ICLRRuntimeHost, "712AB73F-2C22-4807-AD7E-F501D7B72C2D")
{
    BEGIN_INTERFACE
    HOSTMEM_RUNTIME_HOST_METHODS
    END_INTERFACE
};

HOSTMEM_IID_(IID_ICLRRuntimeHost4, 0x64f6d366, 0xd7c2, 0x4f1f, 0xb4, 0xb2, 0xe8, 0x16, 0x0c, 0xac, 0x43, 0xaf);
#undef INTERFACE
#define INTERFACE ICLRRuntimeHost4
HOSTMEM_INTERFACE_(ICLRRuntimeHost4, ICLRRuntimeHost2, "64F6D366-D7C2-4F1F-B4B2-E8160CAC43AF")
{
    BEGIN_INTERFACE
    HOSTMEM_RUNTIME_HOST_METHODS
    STDMETHOD(UnloadAppDomain2)(THIS_ DWORD dwAppDomainId, BOOL fWaitUntilDone, int *pLatchedExitCode) PURE;
    END_INTERFACE
};
#undef HOSTMEM_RUNTIME_HOST_METHODS
#undef INTERFACE
#endif

/* clang-format on */

/*
 * hostmem_bridge_watch - bind the coreclr.dll that a host component is going to load, before it starts.
 *
 *   module    hostfxr.dll, or a comhost.dll or ijwhost.dll of a component, loaded by the caller.  The one that loads
 *             others by the LoadLibraryExW that it imports.
 *   control   as for hostmem_bridge_bind.  References are taken, one for each module that is followed, until
 *             hostmem_bridge_unwatch, or until the watch or unwatch that follows the module's unloading.
 *   options   as for hostmem_bridge_bind; NULL for the defaults.
 *
 * The import is redirected in the module, then in hostfxr.dll and hostpolicy.dll as they are loaded by it, and
 * coreclr.dll is bound (hostmem_bridge_bind) between its load and its start.  They are known by what they export.  No
 * path is needed, guessed or compared.  If coreclr.dll cannot be bound its load fails with the bind's code as last error, so
 * that the host components fail with that, and the event HOSTMEM_BRIDGE_EVENT_NOT_BOUND tells why; with
 * HOSTMEM_BRIDGE_RUN_UNGOVERNED it runs.  A hostfxr.dll or hostpolicy.dll in which the import cannot be redirected is treated
 * likewise, without an event.  A host without a memory manager (S_FALSE of a bind) is no failure.
 *
 * What is loaded when the watch begins is treated as if it came then: hostfxr_initialize_... may have been called before,
 * and a coreclr.dll that nobody has started is bound at once.  A runtime that this library has bound before may run.
 *
 * A hook on the import that was there before is called; whoever comes later chains to this library's.  The slots are put
 * back by hostmem_bridge_unwatch and go with a module that is unloaded.  The module that contains this code pins itself.
 *
 * Up to 16 modules are followed at a time, three for a component at most; they share one runtime.  Functions that
 * the loader calls (DllMain, TLS callbacks) must not call this one.
 *
 * Returns S_OK; E_INVALIDARG: module or control is NULL, or the options are not as they should be; E_OUTOFMEMORY, also for a
 * 17th module; HRESULT_FROM_WIN32 of ERROR_MOD_NOT_FOUND: no loaded module; ERROR_PROC_NOT_FOUND: it does not import
 * LoadLibraryExW; ERROR_NOT_SUPPORTED: a single-file executable or NativeAOT binary, or Windows does not notify of modules
 * that are unloaded; ERROR_BAD_EXE_FORMAT; the error of Windows that cannot list the process' modules; or what
 * hostmem_bridge_bind says of a runtime that is there already: E_ACCESSDENIED, it has started without us.  On failure
 * nothing is watched: an earlier watch of the module has ended then, too, unless it was E_INVALIDARG or ERROR_MOD_NOT_FOUND,
 * at which nothing is changed.
 */
HRESULT HOSTMEM_CALL hostmem_bridge_watch(HMODULE module, IHostControl *control,
                                          const hostmem_bridge_options *options);

/*
 * hostmem_bridge_unwatch - follow the loads of a module no longer, nor of those that it has loaded.
 *
 *   module   as it was given to hostmem_bridge_watch.
 *
 * A bound runtime stays bound.  What two components share (one hostfxr.dll, mostly) is followed on account of the one that
 * was watched first, and ends with it: watch the other one again.  A slot that somebody else has hooked since stays as it
 * is: this library's function in it does nothing of its own from then on.  Returns S_OK; S_FALSE: it is not watched;
 * E_INVALIDARG: module is NULL.
 */
HRESULT HOSTMEM_CALL hostmem_bridge_unwatch(HMODULE module);

/*
 * hostmem_bridge_find - which coreclr.dll is going to run?
 *
 *   assemblies    files separated by semicolons, as in the runtime property TRUSTED_PLATFORM_ASSEMBLIES
 *                 (hostfxr_get_runtime_property_value).  Paths that are not absolute are passed over.
 *   path          receives the absolute path of coreclr.dll beside the System.Private.CoreLib.dll among them: the two
 *                 belong together, and the host components take them from one folder.  (NATIVE_DLL_SEARCH_DIRECTORIES
 *                 names the program's own folder first, where a coreclr.dll of an earlier publish may lie.)
 *                 An empty string on failure.
 *   capacity      room in path, in characters with the terminating zero.
 *
 * Returns S_OK; E_POINTER: assemblies or path is NULL, or capacity 0; HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND): there
 * is no System.Private.CoreLib.dll in the list, or no coreclr.dll beside it;
 * HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER): the path does not fit.
 */
HRESULT HOSTMEM_CALL hostmem_bridge_find(const wchar_t *assemblies, wchar_t *path, uint32_t capacity);

/*
 * hostmem_bridge_load - load a coreclr.dll and bind an IHostControl to it, before it starts.
 *
 *   path      absolute path of coreclr.dll, with backslashes.  Its imports are searched for beside it and in
 *             the system folder only.
 *   control   as for hostmem_bridge_bind.
 *   options   as for hostmem_bridge_bind.
 *   runtime   receives the module, which stays loaded; NULL on failure.  May be NULL.
 *
 * Load it before the host components do: the path has to be the one that they will use, and then they get
 * this module.
 *
 * Returns what hostmem_bridge_bind returns, and E_INVALIDARG: path or control is NULL;
 * HRESULT_FROM_WIN32(ERROR_BAD_PATHNAME): path is not absolute; HRESULT_FROM_WIN32(e): LoadLibraryExW failed
 * with e (126: no such file or a DLL that it needs is missing; 193: of another architecture).  On failure the
 * module is let go, but stays loaded if the host was asked.
 */
HRESULT HOSTMEM_CALL hostmem_bridge_load(const wchar_t *path, IHostControl *control,
                                         const hostmem_bridge_options *options, HMODULE *runtime);

/*
 * hostmem_bridge_bind - give a loaded runtime an IHostControl: SetHostControl.
 *
 *   runtime   coreclr.dll, loaded by the caller and not started.
 *   control   the host's control.  On S_OK and S_FALSE one reference is taken and kept for good.
 *   options   how; NULL for the defaults.
 *
 * The CLR's part, in the CLR's order (contract 3.1), on the caller's thread:
 *
 *   1. control->GetHostManager(IID_IHostMemoryManager).  The manager is used if the result is exactly S_OK
 *      and the pointer is not NULL.  No other manager is asked for: the runtime would never call it.
 *   2. manager->CreateMalloc(MALLOC_THREADSAFE).  Anything but exactly S_OK, and with HOSTMEM_BRIDGE_HEAP also S_OK
 *      without an object: the manager is released, and the result is E_UNEXPECTED.
 *   3. manager->RegisterMemoryNotificationCallback, result ignored.  The object is static, its reference
 *      count constant; it counts what it is notified of (hostmem_bridge_statistics.notifications).
 *   4. manager->QueryInterface, for an interface that hostmem's managers have and others are not expected to.
 *   5. control->AddRef.
 *
 * The host may not bind again from inside these calls.
 *
 * Returns
 *   S_OK                      bound; or bound before, in which case the first manager stays, with the flags of its
 *                             bind, and nothing is asked.
 *   S_FALSE                   the host has no memory manager.  Nothing is redirected.
 *   E_INVALIDARG              runtime or control is NULL, options of an unknown size or with unknown flags.
 *   E_ACCESSDENIED            the runtime has started.  It is asked, so a start by anybody counts.
 *   E_UNEXPECTED              step 2.
 *   E_OUTOFMEMORY             with HOSTMEM_BRIDGE_HEAP: no memory to note whose a block is.
 *   HOST_E_INVALIDOPERATION   another runtime of this process is bound already, or a bind from inside a bind.
 *   HRESULT_FROM_WIN32 of     ERROR_NOT_SUPPORTED: only with HOSTMEM_BRIDGE_KNOWN_ONLY, a version that the bridge was
 *                             not tried on, no version resource, or unknown memory functions in the import table;
 *                             with HOSTMEM_BRIDGE_HEAP also functions that take a block of the native heap and that it
 *                             does not know; hostmem_bridge_statistics.missing names the functions;
 *                             ERROR_PROC_NOT_FOUND: no coreclr (no export GetCLRRuntimeHost), or a function
 *                             is not in the import table: hostmem_bridge_statistics.missing names it;
 *                             ERROR_DUP_NAME: a function is imported twice, same place;
 *                             ERROR_BAD_EXE_FORMAT: no loaded image of this architecture;
 *                             ERROR_ALREADY_EXISTS: another copy of this library, linked into another module,
 *                             has bound this runtime;
 *                             ERROR_BUSY: an earlier bind, of another module, failed, and a hook that somebody
 *                             placed during it chains to this library's functions since;
 *                             or the error of a VirtualProtect on the import table, or of pinning a module.
 *   or what the runtime's export GetCLRRuntimeHost says instead of giving its object (E_UNEXPECTED: it gave none).
 *
 * On S_FALSE and on failure calls of the runtime do what they did before.  Others may hook the same imports at any
 * time: a hook that is there is chained to, one that comes later chains to this library's functions.  Where it came
 * during a bind that failed, these cannot be taken out from below it: they do nothing of their own then, runtime and
 * this library stay loaded for good, and the next bind of the same runtime finds them in place.
 */
HRESULT HOSTMEM_CALL hostmem_bridge_bind(HMODULE runtime, IHostControl *control,
                                         const hostmem_bridge_options *options);

/*
 * hostmem_bridge_get_runtime_host - the runtime's ICLRRuntimeHost with a SetHostControl that works.
 *
 *   runtime   coreclr.dll, loaded by the caller.
 *   options   for the bind; NULL for the defaults.
 *   riid      IID_ICLRRuntimeHost, IID_ICLRRuntimeHost2, IID_ICLRRuntimeHost4 or IID_IUnknown.
 *   host      receives the object, one reference; NULL on failure.
 *
 * Takes the place of coreclr's export GetCLRRuntimeHost and, like it, makes a new object at each call.  It is
 * one COM identity with one reference count: QueryInterface gives those four interfaces, as far as the
 * runtime has them, and no other.  SetHostControl is hostmem_bridge_bind, with S_OK where that says S_FALSE.
 * Every other method goes to the runtime; GetCLRControl therefore says E_NOTIMPL.
 *
 * Returns S_OK; E_POINTER: host is NULL; E_INVALIDARG: runtime is NULL, or options as for
 * hostmem_bridge_bind; E_NOINTERFACE; E_OUTOFMEMORY; HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND): no coreclr; or
 * what the runtime's export says (E_UNEXPECTED: it gave no object).
 */
HRESULT HOSTMEM_CALL hostmem_bridge_get_runtime_host(HMODULE runtime, const hostmem_bridge_options *options,
                                                     REFIID riid, void **host);

/*
 * hostmem_bridge_get_statistics - read what went over the bridge.
 *
 *   statistics   size set by the caller; receives the figures.
 *
 * Takes no lock.  Returns S_OK; E_POINTER: statistics is NULL; E_INVALIDARG: a size that this version does
 * not know.
 */
HRESULT HOSTMEM_CALL hostmem_bridge_get_statistics(hostmem_bridge_statistics *statistics);

/*
 * hostmem_bridge_is_heap - is this address in what the bridge takes for the garbage collector's heap?
 *
 *   address   any address.
 *
 * Takes no lock, touches no memory at the address.  Returns S_OK: yes; S_FALSE: no.  Objects of the runtime's
 * frozen segments (string literals, for one) live outside the heap.
 */
HRESULT HOSTMEM_CALL hostmem_bridge_is_heap(const void *address);

/*
 * hostmem_bridge_get_collections - how often has the garbage collector run?
 *
 *   counts   receives three numbers of collections since the start: of generation 0, 1 and 2 (a collection of
 *            a generation counts for the younger ones, too); 0 on failure.
 *
 * Asks the runtime, so it may have to wait for a collection to end.  Not from a thread that holds a lock which managed
 * code waits for, nor from inside a call that the runtime makes to the manager, nor from a callback of hostmem.h;
 * the thread becomes one that the runtime knows.  Returns S_OK; E_POINTER: counts is NULL;
 * HOST_E_CLRNOTAVAILABLE: no runtime is bound, or it has not started; or what the runtime says.
 */
HRESULT HOSTMEM_CALL hostmem_bridge_get_collections(uint64_t counts[3]);

#ifdef __cplusplus
}
#endif

#endif
