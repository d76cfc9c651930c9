/* What <hostmem/clr.h> declares. The made header after it adds nothing. */
#include <hostmem/clr.h>
#include <hostmem_clr.h>
#include "support/abi_facts.h"

ABI_DEFINE_FACTS(abi_facts_clr);
