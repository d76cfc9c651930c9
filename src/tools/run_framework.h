/*
 * run_framework.h - run a method of a .NET Framework assembly in this process
 */
#ifndef HOSTMEM_TOOLS_RUN_FRAMEWORK_H
#define HOSTMEM_TOOLS_RUN_FRAMEWORK_H

#include <hostmem/hostmem.h>

#include "tools/program.h"

/*
 * The documented way of a host: CLRCreateInstance, ICLRMetaHost::GetRuntime, ICLRRuntimeHost::SetHostControl,
 * Start, ExecuteInDefaultAppDomain. That last one runs methods of one form only, `static int M(string)`: a
 * program's Main, which takes string[], is not one.
 *
 *   method     "Namespace.Type.Method"
 *   argument   what the method gets
 *   control    for SetHostControl; NULL: it is not called
 *   manager    behind it, to be told that the runtime has started; NULL: none
 *   mscoree    absolute path of the DLL that exports CLRCreateInstance; NULL: mscoree.dll in the system
 *              folder
 *
 * Returns what the method returned, or STATUS_FAILED (run_hostfxr.h) after having told the user what failed.
 */
int run_framework(const struct program *program, const wchar_t *method, const wchar_t *argument,
                  IHostControl *control, hostmem_manager *manager, const wchar_t *mscoree);

#endif
