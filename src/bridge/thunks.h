/*
 * The functions that the runtime calls in place of kernel32's, for as long as the process lives.
 *
 * There are several sets, because a function cannot tell who calls it: one for coreclr.dll, one for a standalone
 * garbage collector, and of those of the native heap one for the JIT compiler.  Without a manager they do what they
 * replace.
 */
#ifndef HOSTMEM_BRIDGE_THUNKS_H
#define HOSTMEM_BRIDGE_THUNKS_H

#include <stdbool.h>

#include <hostmem/bridge.h>

#include "bridge/caller.h"

/*
 * Redirects coreclr.dll to the functions.  On failure nothing is redirected, and the statistics name the
 * function that was not found, or those that are unknown and must not be there.  What is wanted holds for the modules
 * that the runtime loads, too.
 */
HRESULT hm_bridge_redirect(HMODULE runtime, const struct wanted *wanted);
void hm_bridge_restore(void);

/*
 * From now on the redirected calls go to this manager.  Once; both references are kept for good.  The host is
 * the runtime's own interface, which is asked whether the runtime has started.
 */
void hm_bridge_publish(IHostMemoryManager *manager, ICLRRuntimeHost *host);

/* Notifies the host if functions that take memory were left to Windows. */
void hm_bridge_notify_incomplete(void);

/* hostmem_bridge_statistics.missing is of the bind that begins now. */
void hm_bridge_forget_missing(void);

/* A bit of hostmem_bridge_statistics.state that others know of. */
void hm_bridge_state_set(uint32_t bit, bool set);

#endif
