/*
 * framework_host.h - the ICLRRuntimeHost of an installed .NET Framework
 */
#ifndef HOSTMEM_TOOLS_FRAMEWORK_HOST_H
#define HOSTMEM_TOOLS_FRAMEWORK_HOST_H

#include <stdbool.h>

#include <hostmem/clr.h>

/* Framework 4 to 4.8.1. */
#define FRAMEWORK_NEWEST L"v4.0.30319"

/*
 * By CLRCreateInstance and ICLRMetaHost::GetRuntime; the runtime is loaded and not started.
 *
 *   mscoree     absolute path of the DLL that exports CLRCreateInstance; NULL: mscoree.dll in the system folder
 *   version     of the runtime, "v4.0.30319"
 *   or_newest   FRAMEWORK_NEWEST if there is no such version
 *   host        receives it, one reference; NULL on failure
 *
 * Returns S_OK, or what failed, after having told the user (complain).
 */
HRESULT framework_host_get(const wchar_t *mscoree, const wchar_t *version, bool or_newest,
                           ICLRRuntimeHost **host);

#endif
