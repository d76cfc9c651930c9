/*
 * trace.h - what a manager does, into a file that PerfView, Visual Studio and the TraceEvent library open
 *
 *     hostmem_trace_options options = {.size = sizeof options, .path = L"C:\\traces\\app.nettrace"};
 *     hostmem_trace_start(manager, &options);
 *     ...
 *     hostmem_trace_stop(manager);
 *
 * The file is a nettrace file of version 6, its events are those of the provider "Hostmem": every reserve, commit and
 * free, views, refusals, overruns, pressure, limits, and the accounting by use every 250 ms.  What each event has is in
 * docs/trace.md.
 *
 * Cost.  A call of the CLR writes its event into memory that is there already, takes no lock and waits for nobody; a thread
 * of the library's writes it to the file, some time after.  If that thread does not keep up events are lost, and the file
 * says how many and where.  A thread that is held up or killed in the middle of its event costs that event.  Without a
 * trace a call looks at one pointer.
 */
#ifndef HOSTMEM_TRACE_H
#define HOSTMEM_TRACE_H

#include <hostmem/hostmem.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of hostmem_trace_options. */
enum {
    HOSTMEM_TRACE_BLOCKS = 0x1,  /* each Alloc, DebugAlloc and Free of IHostMalloc, too */
    HOSTMEM_TRACE_PROTECT = 0x2, /* each VirtualProtect, too */
    /* The caller's stack with each event: up to 24 return addresses, as long as they lie in images that Windows' loader has
     * loaded; what the JIT has made ends it.  x86-64 only. */
    HOSTMEM_TRACE_STACKS = 0x4
};

/* Options of hostmem_trace_start.  Zero everything, then set size and path. */
typedef struct hostmem_trace_options {
    uint32_t size;  /* sizeof(hostmem_trace_options) */
    uint32_t flags; /* HOSTMEM_TRACE_...; any other bit is refused with E_INVALIDARG */
    /* The file, absolute or relative to the current directory; one that is there is overwritten.  Others may read it while
     * it is written.  Read during the call. */
    const wchar_t *path;
    /* How many events each of the 32 lanes of threads holds until they are written: a power of 2 from 4 to 65,536; 0: 2,048,
     * which takes 8 MiB of commit in all, with stacks 20 MiB. */
    uint32_t lane_events;
    uint32_t reserved; /* 0 */
} hostmem_trace_options;

/*
 * hostmem_trace_start - begin to trace a manager.
 *
 *   manager   the manager; regions and views that it has already are written first.
 *   options   which file, and what of.
 *
 * Several managers may be traced at once, each into a file of its own.  Not under the loader lock, nor while a
 * thread is suspended that may have it.  The memory that events go through stays until the manager's end; its next trace
 * with as many lane_events uses it again, if both are with stacks, or both without.
 *
 * Returns S_OK; E_POINTER: an argument or the path is NULL; E_INVALIDARG: a size that this version does not know, unknown
 * flags, lane_events that are none of the above, reserved not 0; HOST_E_INVALIDOPERATION: the manager is traced already;
 * HOST_E_CLRNOTAVAILABLE: after hostmem_shutdown; E_NOTIMPL: HOSTMEM_TRACE_STACKS on x86; E_OUTOFMEMORY;
 * HRESULT_FROM_WIN32: what Windows says of the file, which may have been emptied, or of the process's modules (with stacks).
 */
HRESULT HOSTMEM_CALL hostmem_trace_start(hostmem_manager *manager, const hostmem_trace_options *options);

/*
 * hostmem_trace_collections - how often the runtime has collected by now.
 *
 *   manager   the manager, traced or not.
 *   counts    by generation, 0 to 2, since the runtime's start.  Read during the call.
 *
 * The samples have these counts from the next one on; without them they say "not known".  The library does not ask the
 * runtime itself: who asks becomes one of its threads, and waits while it collects.  A host that may do so calls
 * hostmem_bridge_get_collections (bridge.h), or ICLRGCManager::GetStats of .NET Framework, twice a second or so and passes
 * on what it says.  On any thread, one at a time; takes no lock.
 *
 * Returns S_OK; E_POINTER: an argument is NULL.
 */
HRESULT HOSTMEM_CALL hostmem_trace_collections(hostmem_manager *manager, const uint64_t counts[3]);

/*
 * hostmem_trace_stop - end it.
 *
 *   manager   the manager.
 *
 * The caller's thread writes what there is, how often each method was called, and the end of the file; calls that are under
 * way meanwhile may be missing.  It waits for the library's thread while that writes, and for nothing else: it may be called
 * under the loader lock, and while the process ends, when there is no other thread any more.  The manager's end does the
 * same.  A process that ends without it leaves a file that can be read to its last block.
 *
 * Returns S_OK; S_FALSE: the manager is not traced; E_POINTER: manager is NULL; E_OUTOFMEMORY or HRESULT_FROM_WIN32: Windows
 * would not write the file to its end, and why (the disk was full, for instance).
 */
HRESULT HOSTMEM_CALL hostmem_trace_stop(hostmem_manager *manager);

#ifdef __cplusplus
}
#endif

#endif
