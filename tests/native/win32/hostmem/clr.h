/*
 * clr.h - for tests/native, in the place of the one that declares the hosting interfaces
 *
 * What hostmem.h needs for its own declarations, and no COM.
 */
#ifndef HOSTMEM_CLR_H
#define HOSTMEM_CLR_H

#include <windows.h>

#define HOST_E_INVALIDOPERATION ((HRESULT)0x80131022)

typedef struct IHostControl IHostControl;
typedef struct IHostMalloc IHostMalloc;
typedef struct IHostMemoryManager IHostMemoryManager;

#endif
