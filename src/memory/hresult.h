/*
 * hresult.h - Win32 errors as the HRESULTs of the hosting interfaces
 */
#ifndef HOSTMEM_MEMORY_HRESULT_H
#define HOSTMEM_MEMORY_HRESULT_H

#include <windows.h>

/* E_OUTOFMEMORY where Windows ran out, else FACILITY_WIN32.  A failure without an error is nothing we
 * understand. */
static inline HRESULT hresult_from_win32(DWORD error)
{
    switch (error) {
    case ERROR_SUCCESS:
        return E_FAIL;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_WORKING_SET_QUOTA:
    case ERROR_PAGEFILE_QUOTA:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_NOT_ENOUGH_QUOTA:
        return E_OUTOFMEMORY;
    default:
        return HRESULT_FROM_WIN32(error);
    }
}

static inline HRESULT hresult_from_last_error(void)
{
    return hresult_from_win32(GetLastError());
}

#endif
