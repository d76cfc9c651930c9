/*
 * address_space.h - the file mappings that the CLR reports
 *
 * The CLR maps files itself and tells its host (contract 3.6).  Views stand in the same table as regions,
 * under a kind of their own, so that one lookup says whose an address is.
 */
#ifndef HOSTMEM_MEMORY_ADDRESS_SPACE_H
#define HOSTMEM_MEMORY_ADDRESS_SPACE_H

#include "memory/vm.h"

/* Note the view at `base`.  Its extent is asked of Windows: the CLR of .NET Framework 2.0 reports the size
 * that it requested, which is 0 for a whole file. */
void hm_address_space_acquired(struct vm *vm, void *base);

/* Forget the view at `base`, if it is one. */
void hm_address_space_released(struct vm *vm, void *base);

/* Could a view of that many bytes (0: of some) be mapped at this address? */
bool hm_address_space_is_free(const void *start, SIZE_T size);

#endif
