/*
 * hostmem.h - the CLR's memory, under its host's control
 *
 * A native program that embeds the .NET runtime gives the runtime an IHostMemoryManager, and from then on the
 * runtime takes its pages from the program instead of from Windows.  This library is that IHostMemoryManager:
 * every page goes on to VirtualAlloc with the very flags that the runtime asked for, and the library keeps
 * account of it: who owns which address, and which pages are committed.
 *
 *     hostmem_manager *manager;
 *     IHostControl *control;
 *     hostmem_create(NULL, &manager);
 *     hostmem_create_host_control(manager, NULL, &control);
 *     ICLRRuntimeHost_SetHostControl(runtime, control);        // .NET Framework; .NET 8-11: see bridge.h
 *     ICLRRuntimeHost_Start(runtime);
 *
 * Sources.  "Contract" below is how the CLR really calls its host, as its published sources show it (SSCLI
 * 2.0 and the desktop paths of CoreCLR 1.0); "documentation" is Microsoft's reference of the hosting
 * interfaces. Where the two differ the library follows the contract.
 *
 * Threading.  Every function and every method may be called on any thread at any time, also while other
 * threads are suspended, except where its comment says otherwise: a thread that is suspended may have the loader
 * lock, which hostmem_create with an event callback, RegisterMemoryNotificationCallback and GetHostManager of
 * hostmem_create_host_control need for a moment.  IHostMemoryManager::VirtualQuery, VirtualProtect, VirtualAlloc,
 * VirtualFree and GetMemoryLoad take no lock at all; IHostMalloc takes the lock of its private heap, unless that heap
 * was made without MALLOC_THREADSAFE.  Else none of these waits for another thread; a commit or an Alloc for which Windows
 * has no memory is tried again, since a page file may be growing, and so is a VirtualAlloc or an Alloc for whose entry
 * the library has none: 2 times if it is eTaskCritical, 8 times if eAppDomainCritical, 40 times if eProcessCritical,
 * after a pause of 5 ms each (as long as Sleep(5) takes).
 *
 * Callbacks into the CLR (OnMemoryNotification) and into the host (hostmem_event_callback) are made on a thread
 * of the library's, with no lock held: one thread for all managers, which exists as long as a manager that has
 * had somebody to tell, keeps the module loaded until its end, and needs no clean-up.  The last Release of a
 * manager, by whatever interface, waits for a callback of that manager which is under way.
 *
 * Last error.  The methods leave GetLastError as the Win32 function that they stand for leaves it (HeapAlloc leaves it
 * alone; an Alloc that fails after it was tried again: ERROR_NOT_ENOUGH_MEMORY).  Where the
 * library itself refuses (HOST_E_INVALIDOPERATION, HOST_E_CLRNOTAVAILABLE, E_POINTER), Win32 was not asked
 * and the last error is untouched.
 *
 * Stack.  No method, and no function here that a CLR's thread may come to, takes more than 1.5 KiB of its caller's
 * stack for itself; what Windows takes comes on top.
 *
 * What each HRESULT of the documentation's table means here:
 *
 *   S_OK                     Done.  Success is exactly S_OK, never another success code (the CLR compares).
 *   E_POINTER                A required out-pointer was NULL.  Nothing was done.
 *   E_INVALIDARG             CreateMalloc: a bit other than MALLOC_THREADSAFE and MALLOC_EXECUTABLE.
 *   E_OUTOFMEMORY            Windows ran out (errors 8, 14, 1450, 1453, 1454, 1455, 1816); or a budget
 *                            refused, before Windows was asked (last error ERROR_COMMITMENT_LIMIT); or the library
 *                            had no memory for the new entry (what was allocated was given back; last error 8).
 *   HRESULT_FROM_WIN32(e)    Any other refusal by Windows; GetLastError is e.
 *   HOST_E_INVALIDOPERATION  VirtualFree, IHostMalloc::Free: the address did not come from this object
 *                            (stack, image, mapped view, someone else's memory, already freed, NULL for
 *                            VirtualFree).  Nothing was touched.
 *   HOST_E_CLRNOTAVAILABLE   After hostmem_shutdown: VirtualAlloc that reserves or commits, and CreateMalloc.
 *                            Nothing else is refused then, IHostMalloc::Alloc included: a runtime that winds
 *                            down still needs small blocks, and there is no path on which it takes a failure
 *                            well.
 *   E_FAIL                   The accounting is broken: Windows failed without an error code, or a private heap
 *                            would not take back a block that came from it.  Documented as "catastrophic"; no
 *                            path of a process whose memory is intact returns it.
 *   HOST_E_TIMEOUT           Never: nothing waits.
 *   HOST_E_NOT_OWNER         Never: no lock is handed to a caller.
 *   HOST_E_ABANDONED         Never: no event is waited for while the caller is blocked.
 *
 * Each method, with everything that it returns:
 *
 *   IHostMemoryManager                 S_OK and
 *     CreateMalloc                     E_POINTER E_INVALIDARG E_OUTOFMEMORY HRESULT_FROM_WIN32
 *                                      HOST_E_CLRNOTAVAILABLE
 *     VirtualAlloc                     E_POINTER E_OUTOFMEMORY HRESULT_FROM_WIN32 HOST_E_CLRNOTAVAILABLE
 *                                      E_FAIL
 *     VirtualFree                      HOST_E_INVALIDOPERATION HRESULT_FROM_WIN32 E_OUTOFMEMORY E_FAIL
 *     VirtualQuery                     E_POINTER (pResult) HRESULT_FROM_WIN32; any address
 *     VirtualProtect                   HRESULT_FROM_WIN32 E_OUTOFMEMORY; any address; a NULL pflOldProtect is
 *                                      what Win32 makes of it (error 998), and with that error alone it is
 *                                      not written
 *     GetMemoryLoad                    E_POINTER (either pointer), HRESULT_FROM_WIN32 E_OUTOFMEMORY
 *     RegisterMemoryNotificationCallback   nothing else; a second call replaces, NULL unregisters; after
 *                                      hostmem_shutdown nothing is kept; without memory for the library's
 *                                      thread (see Threading) the callback is kept and never called
 *     NeedsVirtualAddressSpace         E_OUTOFMEMORY, unless the host's relief callback has given address space
 *                                      back, and that at startAddress if it is not NULL (contract 3.6: any success
 *                                      means one retry)
 *     AcquiredVirtualAddressSpace      nothing else; what is no mapped view is ignored, and so is a view for
 *                                      whose entry there is no memory
 *     ReleasedVirtualAddressSpace      nothing else; an unknown base is fine, and a base where another view
 *                                      has been mapped meanwhile stays that view's (contract 3.6)
 *   IHostMalloc
 *     Alloc, DebugAlloc                E_POINTER E_OUTOFMEMORY
 *     Free                             HOST_E_INVALIDOPERATION E_FAIL; Free(NULL) is S_OK (contract 3.5)
 *   and each that asks Windows           E_FAIL, where Windows fails without an error code
 *
 * Out-parameters are written by every call that returns, failures included: pointers NULL, counts 0 (one
 * exception, at VirtualProtect).
 *
 * Limits.  User addresses below 2^47 on x86-64 and 2^32 on x86.  One region holds less than 32 TiB; a bigger
 * one is refused with E_OUTOFMEMORY.  ARM64 is not supported.  GNU ld marks the DLL neither for CFG nor for
 * CET shadow stacks; a process that enforces either needs a build by another linker. clang-cl and lld-link give it
 * CFG's tables and mark with the option HOSTMEM_CFG, off by default: no Windows has seen that yet.
 *
 * ABI.  Versions are semantic.  A function that is exported stays, with its arguments, until the major version changes
 * (before 1.0: the minor one).  Every struct with a `size` may grow at its end, and none else does: the caller sets `size`
 * to the sizeof of the header that it was compiled with.  A DLL that knows more takes each size that a released version of
 * the same major version had, reads zeros for what is missing, and writes no further than that; a size that it does not
 * know, a newer header's for instance, is E_INVALIDARG.  So far there is one version, and one size of each.  Enumerations and
 * flags may gain values: callers ignore what they do not know.  Not so, until the major version changes, those by which an
 * array in a struct is indexed (hostmem_use, hostmem_reason, hostmem_method and so on): it lies in the struct's middle.
 */
#ifndef HOSTMEM_HOSTMEM_H
#define HOSTMEM_HOSTMEM_H

#if defined(_M_ARM64) || defined(__aarch64__) || defined(_M_ARM64EC) || defined(_M_ARM) || defined(__arm__)
#    error "hostmem supports x86-64 and x86 only"
#endif

#include <stdint.h>

#include <hostmem/clr.h>
#include <hostmem/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The API is __stdcall on x86, exported undecorated.  It is the same for the DLL and the static library. */
#define HOSTMEM_CALL STDMETHODCALLTYPE

/*
 * hostmem_manager - opaque; one tenant's memory, with accounting of its own.
 *
 * The handle is one reference; hostmem_get_memory_manager and hostmem_create_host_control hand out more.
 * The CLR never releases its host's managers (contract 3.1), so an object that was handed to one stays until
 * the process ends, and the module that holds the code pins itself then.
 */
typedef struct hostmem_manager hostmem_manager;

/* What a region is.  A view is a file mapping that the CLR reported; the library cannot free it. */
typedef enum hostmem_region_kind {
    HOSTMEM_REGION_PRIVATE = 1, /* reserved through VirtualAlloc of this manager */
    HOSTMEM_REGION_VIEW = 2     /* reported through AcquiredVirtualAddressSpace */
} hostmem_region_kind;

/*
 * What a region's memory is for.  The bridge (bridge.h) knows it from what the collector does.  For a CLR that calls
 * through COM it is guessed from the reserving call, its type and protection, and the guess may err.
 */
typedef enum hostmem_use {
    HOSTMEM_USE_OTHER = 0,
    HOSTMEM_USE_GC_HEAP = 1,   /* managed objects */
    HOSTMEM_USE_GC_TABLES = 2, /* the collector's cards, marks, handles */
    HOSTMEM_USE_CODE = 3,      /* executable: what the JIT makes, stubs */
    HOSTMEM_USE_LOADER = 4,    /* the runtime's picture of types and assemblies */
    HOSTMEM_USE_VIEW = 5,      /* inside file mappings that the CLR reported */
    HOSTMEM_USE_COUNT
} hostmem_use;

/* One region, as hostmem_walk_regions shows it.  All sizes in bytes. */
typedef struct hostmem_region {
    uint32_t size;               /* sizeof(hostmem_region) */
    uint32_t kind;               /* hostmem_region_kind */
    void *base;                  /* allocation base, a multiple of 64 KiB */
    uint64_t reserved;           /* length, a multiple of the page size */
    uint64_t committed;          /* of it committed; for a view: 0, see hostmem_statistics.view_committed */
    uint32_t use;                /* hostmem_use */
    uint32_t allocation_type;    /* flags of the reserving call (MEM_...); 0 for a view */
    uint32_t allocation_protect; /* protection of the reserving call (PAGE_...); 0 for a view */
    uint32_t critical_level;     /* EMemoryCriticalLevel of that call; HOSTMEM_LEVEL_NONE: none, or a view */
    uint64_t age;                /* milliseconds since it was reserved, or the view reported; to some 16 ms */
} hostmem_region;

/* One block of an IHostMalloc that has not been freed. */
typedef struct hostmem_block {
    uint32_t size; /* sizeof(hostmem_block) */
    int32_t line;  /* line given to DebugAlloc, 0 from Alloc */
    /* File name given to DebugAlloc, the last 127 characters of it; NULL from Alloc.  Valid during the
     * callback. */
    const char *file;
    void *address;         /* what Alloc returned */
    uint64_t bytes;        /* what was asked for */
    IHostMalloc *heap;     /* where it came from; not AddRef'ed, for identification only */
    uint32_t malloc_flags; /* MALLOC_TYPE bits of heap */
    uint32_t flags;        /* 0 */
} hostmem_block;

/*
 * Called for each region or block; return S_OK to go on, anything else to stop (the walk returns it).
 * No lock is held: the callback may call any function of this library, hostmem_release included (the manager goes
 * when the walk is over), except that a block callback for a heap without MALLOC_THREADSAFE must not use that heap.
 */
typedef HRESULT(HOSTMEM_CALL *hostmem_region_callback)(const hostmem_region *region, void *context);
typedef HRESULT(HOSTMEM_CALL *hostmem_block_callback)(const hostmem_block *block, void *context);

#define HOSTMEM_UNLIMITED 0xFFFFFFFFFFFFFFFFull /* UINT64_MAX, which C++98 has not */

/* Flags of hostmem_limits. */
enum {
    /* Refuse eProcessCritical beyond limit + margin, too.  Without it such a charge is granted, counted as an
     * overrun and notified to the host: a CLR that is refused there is disabled, and .NET 8-11 ends the process.
     * A commit inside a reported view is granted at any level, with the flag and without. */
    HOSTMEM_LIMITS_STRICT = 0x1
};

/*
 * A budget: how much may be committed.  Charge and check are one step, so that no two threads together get more than
 * there is.  (One case is beyond it: a thread that commits pages anew which another is decommitting at that moment is
 * not asked again for them.)  The budget is asked before Windows, so a request that both would refuse gets the budget's
 * answer; what Windows refuses leaves no trace in it.  What counts is memory in owned regions, commits inside reported
 * views, and what IHostMalloc was asked for.  Not thread stacks, CRT heaps, images, and file views themselves.
 *
 * Small blocks of IHostMalloc (up to 4 KiB) are charged in batches of 32 KiB, of which each of 32 lanes of threads keeps
 * up to 64 KiB in stock, 2 MiB in all: that counts as used for limits until somebody is refused for its sake, when it is
 * given back, and for nothing else.  (What another thread is just moving between its lane and the budget is not found then: a
 * refusal may come 64 KiB early.)  A manager with a shared budget, or with fail_after, takes none.
 *
 * All in bytes, but for fail_after; HOSTMEM_UNLIMITED: no limit.
 */
typedef struct hostmem_limits {
    uint32_t size;  /* sizeof(hostmem_limits) */
    uint32_t flags; /* HOSTMEM_LIMITS_...; any other bit is refused with E_INVALIDARG */
    /* eAppDomainCritical is refused above.  0 is no limit that anyone wants: E_INVALIDARG. */
    uint64_t limit;
    /* eTaskCritical is refused above: the heap of .NET 8-11, and most of what .NET Framework asks for.  0: the
     * same as limit.  Not above it. */
    uint64_t task_limit;
    /* For eProcessCritical only, above limit. */
    uint64_t margin;
    /* From here on the CLR is notified that memory is low; it refuses nothing.  0: seven eighths of task_limit.
     * Not above limit.  HOSTMEM_UNLIMITED, where limit is: no pressure from this figure. */
    uint64_t soft;
    /* What regions of HOSTMEM_USE_GC_HEAP may have committed, the rest not counted: what DOTNET_GCHeapHardLimit of that
     * size would give the heap.  eTaskCritical and eAppDomainCritical are refused above; eProcessCritical, as .NET 8-11's
     * heap is until the runtime has started, is granted and counted as an overrun of the heap, whatever the flags.  From
     * seven eighths of it on the CLR is notified that memory is low.  0: no such limit. */
    uint64_t heap_limit;
    /* Of the whole process, sampled once a second: from here on the CLR is notified that memory is low; it refuses
     * nothing. Private bytes, as Windows counts them (native heaps, stacks, what P/Invoke and NativeMemory allocate,
     * and what is charged here), and what is committed in views of all managers, also of those that have gone.  Low
     * is over an eighth below.  It is repeated, as Low is while it lasts, only if the last one has freed a sixteenth
     * of what use is above the figure (of an eighth of the figure, if that is more), or use has risen by as much: a
     * native leak does not cost a full collection every 8 s.  Needs somebody to notify: a notification callback or
     * hostmem_options.event.  0 or HOSTMEM_UNLIMITED: none. */
    uint64_t process_soft;
    /* Address space of regions, any level.  0: no limit.  A runtime that is refused address space goes looking for
     * it all over the process, and takes it badly: for tests, mostly (contract 4). */
    uint64_t reserve_limit;
    /* For tests of a program: that many charges at eTaskCritical or eAppDomainCritical are granted, then all are
     * refused.  0 or HOSTMEM_UNLIMITED: off.  hostmem_get_limits gives what was set, not what is left of it. */
    uint64_t fail_after;
} hostmem_limits;

/* A budget that several managers share; opaque. */
typedef struct hostmem_budget hostmem_budget;

/* Why the manager refused memory.  Indices of hostmem_statistics.refused. */
typedef enum hostmem_reason {
    HOSTMEM_REASON_SHUTDOWN,      /* after hostmem_shutdown */
    HOSTMEM_REASON_METADATA,      /* no memory for the accounting */
    HOSTMEM_REASON_TASK_LIMIT,    /* eTaskCritical, above task_limit */
    HOSTMEM_REASON_LIMIT,         /* eAppDomainCritical, above limit */
    HOSTMEM_REASON_MARGIN,        /* eProcessCritical, above limit + margin */
    HOSTMEM_REASON_HEAP_LIMIT,    /* the garbage collector's heap, above heap_limit */
    HOSTMEM_REASON_RESERVE_LIMIT, /* address space above reserve_limit */
    HOSTMEM_REASON_SHARED,        /* any of these, by the shared budget */
    HOSTMEM_REASON_FAIL_AFTER,    /* ordered by fail_after */
    HOSTMEM_REASON_COUNT
} hostmem_reason;

typedef enum hostmem_event_kind {
    HOSTMEM_EVENT_REFUSED = 1, /* a budget refused */
    HOSTMEM_EVENT_OVERRUN = 2, /* a budget granted above limit + margin, or above heap_limit */
    HOSTMEM_EVENT_PRESSURE = 3 /* the pressure is another now */
} hostmem_event_kind;

/* Indices of hostmem_statistics.notifications: EMemoryAvailable, 1..3. */
enum { HOSTMEM_PRESSURE_COUNT = 4 };

/* Something that the host may want to act on.  Bytes, unless a count. */
typedef struct hostmem_event {
    uint32_t size;           /* sizeof(hostmem_event) */
    uint32_t kind;           /* hostmem_event_kind */
    uint32_t reason;         /* hostmem_reason; of a refusal or an overrun */
    uint32_t critical_level; /* EMemoryCriticalLevel; HOSTMEM_LEVEL_NONE: of no call, or no such level */
    uint64_t bytes;          /* newly committed (or reserved) by the call */
    uint64_t limit;    /* what it ran into; for pressure: what eTaskCritical may hold, or process_soft */
    uint64_t used;     /* of it, at that moment; for an overrun: with the call's bytes */
    uint32_t pressure; /* EMemoryAvailable as last notified to the CLR; Neutral: also of nothing yet */
    uint32_t lost;     /* events for which there was no room since the one before was read */
} hostmem_event;

/*
 * Called on the library's thread, for one event after the other, some time after it.  No lock is held: the callback
 * may call any function of this library, hostmem_shutdown and hostmem_release included (but not
 * hostmem_bridge_get_collections), and may end the process.  While it runs no manager of this module tells anybody
 * anything: it had better be quick.
 */
typedef void(HOSTMEM_CALL *hostmem_event_callback)(const hostmem_event *event, void *context);

/*
 * Called inside NeedsVirtualAddressSpace, on the CLR's thread, after the CLR could not map a file: give address space
 * back, if there is any to give.
 *
 *   start   where the CLR wanted the view; NULL: anywhere.  With an address this is no sign of need: the CLR asks
 *           each time that an image's preferred base is taken.
 *   size    bytes; 0: the whole file.
 *
 * Return S_OK if something was given back, anything else if not.  The CLR may hold locks, and its threads may be
 * suspended: call nothing that waits for another thread or calls into the CLR.
 */
typedef HRESULT(HOSTMEM_CALL *hostmem_relief_callback)(void *start, SIZE_T size, void *context);

/* Options of hostmem_create.  Zero everything, then set size. */
typedef struct hostmem_options {
    uint32_t size;  /* sizeof(hostmem_options) */
    uint32_t flags; /* 0; any other bit is refused with E_INVALIDARG */
    /* Called for every region and every reported view (leaked_region) that there still is when the last
     * reference to the manager goes, and of every block (leaked_block) still allocated when the last
     * reference to its IHostMalloc goes; their return value is ignored.  The memory stays where it is:
     * somebody may still hold it. May be NULL.  Called on the thread of that last Release, which may be one
     * in hostmem_walk_blocks.  The object is going: keep no reference to it that is taken now, and allocate nothing
     * from it.  (hostmem_verify misses the blocks of an IHostMalloc inside leaked_block, and says so by S_FALSE.) */
    hostmem_region_callback leaked_region;
    hostmem_block_callback leaked_block;
    void *context; /* passed to all callbacks */
    /* Limits from the beginning; NULL: none.  Read during the call. */
    const hostmem_limits *limits;
    /* A budget shared with other managers: what this one commits is charged there too.  A reference is kept.
     * May be NULL. */
    hostmem_budget *shared;
    hostmem_event_callback event;   /* may be NULL */
    hostmem_relief_callback relief; /* may be NULL */
} hostmem_options;

/* Methods that are counted.  Indices of hostmem_statistics.calls. */
typedef enum hostmem_method {
    HOSTMEM_CREATE_MALLOC,
    HOSTMEM_VIRTUAL_ALLOC,
    HOSTMEM_VIRTUAL_FREE,
    HOSTMEM_VIRTUAL_QUERY,
    HOSTMEM_VIRTUAL_PROTECT,
    HOSTMEM_GET_MEMORY_LOAD,
    HOSTMEM_REGISTER_CALLBACK,
    HOSTMEM_NEEDS_ADDRESS_SPACE,
    HOSTMEM_ACQUIRED_ADDRESS_SPACE,
    HOSTMEM_RELEASED_ADDRESS_SPACE,
    HOSTMEM_MALLOC_ALLOC,
    HOSTMEM_MALLOC_DEBUG_ALLOC,
    HOSTMEM_MALLOC_FREE,
    HOSTMEM_METHOD_COUNT
} hostmem_method;

/* Rows of hostmem_statistics.calls: EMemoryCriticalLevel 0..2 for VirtualAlloc, Alloc and DebugAlloc.  A
 * method without a level, and a level that is none of the three, counts under HOSTMEM_LEVEL_NONE. */
enum { HOSTMEM_LEVEL_NONE = 3, HOSTMEM_LEVEL_COUNT = 4 };

typedef struct hostmem_calls {
    uint64_t calls;    /* all of them */
    uint64_t failures; /* of them returned something else than S_OK */
} hostmem_calls;

typedef struct hostmem_gauge {
    uint64_t now;  /* bytes */
    uint64_t peak; /* most bytes at any one time since the manager was made */
} hostmem_gauge;

/* What a budget granted above its limits. */
typedef struct hostmem_overrun {
    uint64_t count; /* of charges */
    uint64_t bytes; /* theirs */
    uint64_t peak;  /* most bytes that use was above */
} hostmem_overrun;

/*
 * The accounting.  Figures read while other threads allocate belong to slightly different moments.  Bytes, unless
 * a count.
 */
typedef struct hostmem_statistics {
    uint32_t size;     /* sizeof(hostmem_statistics) */
    uint32_t pressure; /* EMemoryAvailable as last determined; 0: not yet */
    /* Address space of owned regions; now: and of reserves under way.  The peak may hold one that is being released and
     * its successor. */
    hostmem_gauge reserved;
    /* Committed pages of owned regions: what VirtualQuery over them says. */
    hostmem_gauge committed;
    /* The same by use (hostmem_use), and view_committed. */
    hostmem_gauge committed_by_use[HOSTMEM_USE_COUNT];
    /* Views that the CLR reported and has not yet released. */
    hostmem_gauge mapped;
    /* Pages committed by MEM_COMMIT inside views.  It never falls: the page-file section keeps them after the
     * view has gone.  Two threads that commit the same pages at once may count them twice; foreign_committed
     * likewise. */
    hostmem_gauge view_committed;
    /* Asked of IHostMalloc and not yet freed; now: calls under way count.  With several threads the peak may be
     * off by what a lane has in stock. */
    hostmem_gauge heap;
    /* Charged to the budget: committed, view_committed and heap together, and what calls under way have been
     * granted.  The peak is noted when a call has got its memory; one of another thread that is under way then, and is
     * refused by Windows after all, may be in it. */
    hostmem_gauge charged;
    /* Newly committed, ever, by MEM_COMMIT in memory of neither kind. */
    uint64_t foreign_committed;
    uint64_t regions; /* owned regions now */
    uint64_t views;   /* reported views now */
    uint64_t blocks;  /* live blocks now of each IHostMalloc, also of one that has gone */
    /* Requests for memory that the manager itself refused, and why.  What Windows refused is a failure, and no
     * refusal. */
    uint64_t refusals;
    uint64_t refused[HOSTMEM_REASON_COUNT];
    /* Of this manager's own budget, above limit + margin; and above heap_limit.  What comes to be heap by a change of use, and
     * what a comparison with Windows has found (os_compared), is counted without an event. */
    hostmem_overrun overrun, heap_overrun;
    /* The whole process as last sampled for process_soft, and the most so far; 0: never. */
    hostmem_gauge process;
    uint64_t os_retries; /* tries after the first, since Windows had no memory for a call, or its entry */
    /* Commits and decommits whose pages were compared with VirtualQuery afterwards, since an opposite call for the same
     * 4 MiB was under way at the same time. */
    uint64_t os_compared;
    uint64_t events_lost; /* for which there was no room, also since nobody takes them */
    /* OnMemoryNotification calls, by EMemoryAvailable. */
    uint64_t notifications[HOSTMEM_PRESSURE_COUNT];
    /* VirtualFree and Free answered with HOST_E_INVALIDOPERATION. */
    uint64_t foreign_frees;
    /* Of them, VirtualFree that was to release a region which had been released before: one of the last 64 (where threads
     * release at once, some may be missing), and the address is free now.  Earlier ones, and what
     * IHostMalloc is asked to free twice, are foreign only. */
    uint64_t double_frees;
    /* Owned regions found gone: freed by raw VirtualFree behind the manager's back.  One whose base Windows
     * has given to somebody else since cannot be told from ours: releasing it would release theirs. */
    uint64_t stale_regions;
    uint64_t metadata; /* committed by the library for all that */
    hostmem_calls calls[HOSTMEM_METHOD_COUNT][HOSTMEM_LEVEL_COUNT];
} hostmem_statistics;

/*
 * hostmem_version - version of the library that runs.
 *
 * Returns HOSTMEM_VERSION as it was when the library was built.
 */
uint32_t HOSTMEM_CALL hostmem_version(void);

/*
 * hostmem_create - make a manager.
 *
 *   options   how; NULL for the defaults.
 *   manager   receives the manager, one reference that hostmem_release gives back; NULL on failure.
 *
 * Returns S_OK; E_POINTER: manager is NULL; E_INVALIDARG: options->size is not one that this version knows,
 * unknown flags, or limits that make no sense (hostmem_set_limits); E_OUTOFMEMORY.
 */
HRESULT HOSTMEM_CALL hostmem_create(const hostmem_options *options, hostmem_manager **manager);

/*
 * hostmem_release - give back the reference of hostmem_create.
 *
 *   manager   the manager; NULL does nothing.  Not to be used by the caller again.
 *
 * When nobody else holds a reference (no CLR, no host control, no IHostMalloc), the manager goes, as after
 * hostmem_shutdown: regions and blocks still owned are reported to the options' callbacks and left in place, metadata is
 * freed.  Then no event callback comes any more, and one that was under way on the library's thread has returned (unless
 * this is called from it): do not call this under a lock that the callback takes, or under the loader lock if it needs
 * that.  Such a callback may use the manager to its end, and gives back before it returns what references it takes.
 *
 * Nothing else needs to be done before the module that this code is in is unloaded: the library's thread keeps it loaded
 * until the thread has ended, and leaves no handle behind.
 */
void HOSTMEM_CALL hostmem_release(hostmem_manager *manager);

/*
 * hostmem_shutdown - refuse new memory from now on.
 *
 *   manager   the manager.
 *
 * VirtualAlloc that reserves or commits and CreateMalloc then return HOST_E_CLRNOTAVAILABLE; freeing,
 * querying, protecting and the load report go on, since a CLR calls until the process has gone.  The
 * registered notification callback is released, and neither it nor the event callback is called any more; for one
 * that is under way see hostmem_release.  Returns S_OK, also the second time; E_POINTER: manager is NULL.
 */
HRESULT HOSTMEM_CALL hostmem_shutdown(hostmem_manager *manager);

/*
 * hostmem_set_limits - change a manager's limits.
 *
 *   manager   the manager.
 *   limits    the new ones, all of them.
 *
 * At any time, on any thread, from a callback too.  A limit below what is in use takes nothing away: nothing more is
 * granted until use has fallen, and a soft mark below it makes the CLR give memory back.  With the bridge, .NET
 * 8-11 is given the new limit as well.  Each figure is changed by itself: a call that comes in between may see
 * old and new ones, and two that set limits at once may leave some of each.  fail_after counts from now.
 *
 * Returns S_OK; E_POINTER: an argument is NULL; E_INVALIDARG: a size that this version does not know, unknown flags,
 * limit 0, task_limit or soft above limit.  Nothing is changed then.
 */
HRESULT HOSTMEM_CALL hostmem_set_limits(hostmem_manager *manager, const hostmem_limits *limits);

/*
 * hostmem_get_limits - the limits in effect.
 *
 *   manager   the manager.
 *   limits    size set by the caller; receives the figures, defaults worked out; HOSTMEM_UNLIMITED for each limit that
 *             there is not.
 *
 * Returns S_OK; E_POINTER: an argument is NULL; E_INVALIDARG: a size that this version does not know.
 */
HRESULT HOSTMEM_CALL hostmem_get_limits(hostmem_manager *manager, hostmem_limits *limits);

/*
 * hostmem_force_pressure - say what the memory situation is, whatever the figures say.
 *
 *   manager   the manager.
 *   level     eMemoryAvailableLow, -Neutral or -High, as EMemoryAvailable; 0: back to the figures.
 *
 * The CLR is notified soon, on the library's thread, unless its last notification was just that (before any, it takes Neutral
 * for granted); of Low again every 8,192 ms until this is called with something else.
 * Returns S_OK; E_POINTER: manager is NULL; E_INVALIDARG: another level; HOST_E_CLRNOTAVAILABLE: after
 * hostmem_shutdown.
 */
HRESULT HOSTMEM_CALL hostmem_force_pressure(hostmem_manager *manager, uint32_t level);

/*
 * hostmem_clr_started - the CLR has started, and can be notified of low memory.
 *
 *   manager   the manager.
 *
 * Call it after ICLRRuntimeHost::Start: before that the CLR ignores notifications (contract 3.8), so one that still
 * holds is sent again.  The bridge needs no such call.  Returns S_OK; E_POINTER: manager is NULL;
 * HOST_E_CLRNOTAVAILABLE: after hostmem_shutdown.
 */
HRESULT HOSTMEM_CALL hostmem_clr_started(hostmem_manager *manager);

/* What a shared budget has granted.  Bytes, unless a count. */
typedef struct hostmem_budget_usage {
    uint32_t size;  /* sizeof(hostmem_budget_usage) */
    uint32_t flags; /* 0 */
    hostmem_gauge charged;
    hostmem_gauge gc_heap; /* of it, regions of HOSTMEM_USE_GC_HEAP */
    hostmem_gauge reserved;
    hostmem_overrun overrun;      /* above limit + margin */
    hostmem_overrun heap_overrun; /* above heap_limit */
} hostmem_budget_usage;

/*
 * hostmem_create_budget - make a budget for several managers.
 *
 *   limits   as for hostmem_set_limits; NULL: none.
 *   budget   receives the budget, one reference; NULL on failure.
 *
 * Managers are given it by hostmem_options.shared.  What they commit is charged to their own budget and to this one, the
 * heaps of all together to its heap_limit; either may refuse, and pressure is that of the tighter one.  Returns S_OK;
 * E_POINTER: budget is NULL; E_INVALIDARG: limits as for hostmem_set_limits; E_OUTOFMEMORY.
 */
HRESULT HOSTMEM_CALL hostmem_create_budget(const hostmem_limits *limits, hostmem_budget **budget);

/* hostmem_release_budget - give back the reference of hostmem_create_budget; NULL does nothing. */
void HOSTMEM_CALL hostmem_release_budget(hostmem_budget *budget);

/* hostmem_set_budget_limits - as hostmem_set_limits, for all managers that share it. */
HRESULT HOSTMEM_CALL hostmem_set_budget_limits(hostmem_budget *budget, const hostmem_limits *limits);

/*
 * hostmem_get_budget - the limits in effect, and what is used of them.
 *
 *   budget   the budget.
 *   limits   as for hostmem_get_limits; may be NULL.
 *   usage    size set by the caller; receives the figures; may be NULL.
 *
 * Takes no lock.  Returns S_OK; E_POINTER: budget is NULL; E_INVALIDARG: a size that this version does not know
 * (nothing is written then).
 */
HRESULT HOSTMEM_CALL hostmem_get_budget(hostmem_budget *budget, hostmem_limits *limits,
                                        hostmem_budget_usage *usage);

/*
 * hostmem_get_memory_manager - the COM face of a manager, for hosts with an IHostControl of their own.
 *
 *   manager   the manager.
 *   memory    receives the interface, AddRef'ed for the caller; NULL on failure.
 *
 * A GetHostManager of your own must AddRef once more for the CLR, which keeps that reference for good, and
 * pin its module.  Returns S_OK; E_POINTER: an argument is NULL.  Contract 3.1.
 */
HRESULT HOSTMEM_CALL hostmem_get_memory_manager(hostmem_manager *manager, IHostMemoryManager **memory);

/*
 * hostmem_create_host_control - a ready IHostControl.
 *
 *   manager   answers IID_IHostMemoryManager; a reference is kept.
 *   next      the host's own IHostControl, asked for every other interface and notified of every
 *             AppDomainManager; a reference is kept.  NULL: other interfaces are E_NOINTERFACE,
 *             AppDomainManagers are accepted.
 *   control   receives the object, AddRef'ed for the caller; NULL on failure.
 *
 * The first GetHostManager for IID_IHostMemoryManager pins the module that this code is in.  The object's
 * methods: GetHostManager returns S_OK, E_POINTER, E_NOINTERFACE or what `next` answers; SetAppDomainManager
 * returns S_OK or what `next` answers.  Returns S_OK; E_POINTER: manager or control is NULL; E_OUTOFMEMORY.
 * Contract 3.1.
 */
HRESULT HOSTMEM_CALL hostmem_create_host_control(hostmem_manager *manager, IHostControl *next,
                                                 IHostControl **control);

/*
 * hostmem_get_statistics - read the accounting.
 *
 *   manager      the manager.
 *   statistics   size set by the caller; receives the figures.
 *
 * Takes no lock.  Returns S_OK; E_POINTER: an argument is NULL; E_INVALIDARG: a size that this version does
 * not know.
 */
HRESULT HOSTMEM_CALL hostmem_get_statistics(hostmem_manager *manager, hostmem_statistics *statistics);

/*
 * hostmem_walk_regions - visit every region and every view, in no particular order.
 *
 *   manager    the manager.
 *   callback   called for each.
 *   context    passed to callback.
 *
 * Takes no lock: a region that comes or goes meanwhile may or may not be visited; none is visited twice
 * unless it was freed and made again.  Returns S_OK, what the callback returned to stop the walk, or
 * E_POINTER.
 */
HRESULT HOSTMEM_CALL hostmem_walk_regions(hostmem_manager *manager, hostmem_region_callback callback,
                                          void *context);

/*
 * hostmem_walk_blocks - visit every live block of each IHostMalloc that there still is: the leak list.
 *
 * Parameters and results as hostmem_walk_regions.  Takes the lock of a heap for each block, though not during the callback; a
 * heap without MALLOC_THREADSAFE must not be in use by another thread meanwhile.
 */
HRESULT HOSTMEM_CALL hostmem_walk_blocks(hostmem_manager *manager, hostmem_block_callback callback,
                                         void *context);

/*
 * hostmem_owns - whose address is this?
 *
 *   manager   the manager.
 *   address   any address.
 *
 * Takes no lock, touches no memory at the address.  Returns S_OK: inside a region of this manager; S_FALSE:
 * not, or in a reported view; E_POINTER: manager is NULL.
 */
HRESULT HOSTMEM_CALL hostmem_owns(hostmem_manager *manager, const void *address);

#ifdef __cplusplus
}
#endif

#endif
