/*
 * bind.h - the check of hostmem_bridge_options, for whatever takes them
 */
#ifndef HOSTMEM_BRIDGE_BIND_H
#define HOSTMEM_BRIDGE_BIND_H

#include <hostmem/bridge.h>

/* Size and flags of a bind's options; NULL is fine. */
HRESULT hm_bridge_options_check(const hostmem_bridge_options *options);

#endif
