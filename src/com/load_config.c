/*
 * load_config.c - the load configuration, by which Windows finds the tables of Control Flow Guard (HOSTMEM_CFG)
 *
 * The linker makes the tables and these symbols, whose addresses are what they stand for. No call of ours is checked; the
 * functions that others may call by pointers are told.
 */
#include <windows.h>

#include "maps/compiler.h"

extern const char __guard_fids_table[], __guard_fids_count[];

static void check_nothing(void)
{
}

/* Where Windows puts its check. */
IN_SECTION(".00cfg") static void (*const check)(void) = check_nothing;

const IMAGE_LOAD_CONFIG_DIRECTORY64 _load_config_used = {
    .Size = sizeof _load_config_used,
    .GuardCFCheckFunctionPointer = (ULONGLONG)&check,
    .GuardCFFunctionTable = (ULONGLONG)__guard_fids_table,
    .GuardCFFunctionCount = (ULONGLONG)__guard_fids_count,
    .GuardFlags = IMAGE_GUARD_CF_INSTRUMENTED | IMAGE_GUARD_CF_FUNCTION_TABLE_PRESENT,
};
