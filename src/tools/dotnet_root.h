/*
 * dotnet_root.h - where is the .NET that framework-dependent programs share?
 */
#ifndef HOSTMEM_TOOLS_DOTNET_ROOT_H
#define HOSTMEM_TOOLS_DOTNET_ROOT_H

#include <stdbool.h>
#include <wchar.h>

/*
 * Finds the folder that holds host\fxr, as a program's launcher does, and the hostfxr.dll of the highest
 * version in it: both of PATH_CHARS characters. False: there is none, and the user has been told where it was
 * looked for.
 */
bool dotnet_root_find(wchar_t *root, wchar_t *hostfxr);

/* Versions as folders are named, "10.0.12", "9.0.0-rc.1.24431.7": below 0 if `a` is the older one.  0: the same, or one
 * is no version. */
int dotnet_version_compare(const wchar_t *a, const wchar_t *b);

#endif
