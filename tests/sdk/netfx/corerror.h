/* corerror.h - see mscoree.h: as much as clr.h has, and without guards */
#ifndef __COMMON_LANGUAGE_RUNTIME_HRESULTS__
#define __COMMON_LANGUAGE_RUNTIME_HRESULTS__

#include <winerror.h>

#define EMAKEHR(val)            MAKE_HRESULT(SEVERITY_ERROR, FACILITY_URT, val)
#define HOST_E_DEADLOCK         EMAKEHR(0x1020)
#define HOST_E_INTERRUPTED      EMAKEHR(0x1021)
#define HOST_E_INVALIDOPERATION EMAKEHR(0x1022)
#define HOST_E_CLRNOTAVAILABLE  EMAKEHR(0x1023)
#define HOST_E_TIMEOUT          EMAKEHR(0x1024)
#define HOST_E_NOT_OWNER        EMAKEHR(0x1025)
#define HOST_E_ABANDONED        EMAKEHR(0x1026)

#endif
