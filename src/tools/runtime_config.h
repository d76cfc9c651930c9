/*
 * runtime_config.h - what app.runtimeconfig.json says of the runtime that the program wants
 */
#ifndef HOSTMEM_TOOLS_RUNTIME_CONFIG_H
#define HOSTMEM_TOOLS_RUNTIME_CONFIG_H

#include <stdbool.h>
#include <wchar.h>

/*
 * Does the program bring its runtime along?  runtimeOptions.includedFrameworks says so, and nothing else does: a
 * hostfxr.dll beside it may be left from an earlier publish.  False, too, if the file cannot be read.
 */
bool runtime_config_is_self_contained(const wchar_t *path);

#endif
