/*
 * The functions that the runtime calls in place of kernel32's, for as long as the process lives.
 *
 * There are two sets, because a function cannot tell who calls it: one for coreclr.dll, one for a standalone
 * garbage collector.  Without a manager they do what they replace.
 */
#ifndef HOSTMEM_BRIDGE_THUNKS_H
#define HOSTMEM_BRIDGE_THUNKS_H

#include <stdbool.h>

#include <hostmem/bridge.h>

/*
 * Redirects coreclr.dll to the functions.  On failure nothing is redirected, and the statistics name the
 * function that was not found - or, with known_only, those of the same families that the bridge does not
 * know.
 */
HRESULT hm_bridge_redirect(HMODULE runtime, bool known_only);
void hm_bridge_restore(void);

/*
 * From now on the redirected calls go to this manager.  Once; both references are kept for good.  The host is
 * the runtime's own interface, which is asked whether the runtime has started.
 */
void hm_bridge_publish(IHostMemoryManager *manager, ICLRRuntimeHost *host);

/* Tells the host if functions that take memory were left to Windows. */
void hm_bridge_tell_incomplete(void);

/* hostmem_bridge_statistics.missing is of the bind that begins now. */
void hm_bridge_forget_missing(void);

/* A bit of hostmem_bridge_statistics.state that others know of. */
void hm_bridge_state_set(uint32_t bit, bool set);

#endif
