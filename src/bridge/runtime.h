/*
 * What the bridge has to know of a coreclr.dll: its version, its ICLRRuntimeHost, and whether it has started.
 */
#ifndef HOSTMEM_BRIDGE_RUNTIME_H
#define HOSTMEM_BRIDGE_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include <hostmem/bridge.h>

/* The major versions whose way of using memory has been looked at. */
enum { RUNTIME_OLDEST = 8, RUNTIME_NEWEST = 11 };

/* Does it name a drive or a share, with backslashes?  LoadLibraryExW takes no others for search by folder. */
bool hm_path_is_absolute(const wchar_t *path);

/* Keeps the module that has this address until the process ends; false: the last error tells why not. */
bool hm_module_pin(const void *address);

/* File version of a loaded module from its version resource, 0x0008000000001234 style; 0: it has none. */
uint64_t hm_runtime_version(HMODULE module);

static inline unsigned runtime_major(uint64_t version)
{
    return (unsigned)(version >> 48);
}

/* One of those that have been looked at? */
bool hm_runtime_is_known(uint64_t version);

/* The runtime's own host interface, by coreclr's export.  The export's absence is ERROR_PROC_NOT_FOUND. */
HRESULT hm_runtime_get_host(HMODULE module, REFIID riid, void **host);

/*
 * Asks the runtime whether it has started.  GetCurrentAppDomainId checks that first, and with a NULL pointer
 * it does nothing else: HOST_E_CLRNOTAVAILABLE before the start, E_POINTER after it.  Any other answer is of
 * a runtime that we do not know, and neither function says yes to it.  No lock, no memory, any thread.
 */
bool hm_runtime_not_started(ICLRRuntimeHost *host);
bool hm_runtime_started(ICLRRuntimeHost *host);

#endif
