/* What widl makes of idl/hostmem_clr.idl. clr.h after it meets a complete mscoree.h and adds nothing. */
#include "support/abi_static_iids.h"
#include <mscoree.h>
#include <hostmem_clr.h>
#include <hostmem/clr.h>
#include "support/abi_facts.h"

ABI_DEFINE_FACTS(abi_facts_widl);
