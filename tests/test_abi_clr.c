/* What <hostmem/clr.h> declares. The made header after it and clr.h a second time add nothing. */
#include "support/abi_static_iids.h"
#include <hostmem/clr.h>
#include <hostmem_clr.h>
#undef HOSTMEM_CLR_H
#include <hostmem/clr.h>
#include "support/abi_facts.h"

ABI_DEFINE_FACTS(abi_facts_clr);
