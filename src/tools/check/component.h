/*
 * component.h - the C# assembly on an installed .NET, as a component of this process
 */
#ifndef HOSTMEM_CHECK_COMPONENT_H
#define HOSTMEM_CHECK_COMPONENT_H

#include "tools/check/check.h"

/* The newest installed release of each version from 8 on, oldest first: folders' names, "10.0.12".  How many; at most
 * `most`. */
unsigned component_versions(wchar_t (*versions)[64], unsigned most);

/* Absolute path of that version's file; false: it is not there. */
bool component_file(const wchar_t *version, const wchar_t *name, wchar_t *path);

/* Loads the hostfxr.dll of the newest version.  NULL: `why` says why. */
HMODULE component_load(const char **why);

/* Has hostfxr start that version, and no other, and load the assembly; the configuration is written to the run's folder.
 * 0, or the status of the step that `why` names. */
int component_start(HMODULE fxr, const struct check *check, const char **why);

/* What the C# program says to a command; below 0: it could not, or says so. */
int component_ask(const wchar_t *command);

/* An object in the collector's heap that stays where it is; NULL: there is none. */
const void *component_object(void);

#endif
