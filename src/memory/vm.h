/*
 * vm.h - what VirtualAlloc, VirtualFree, VirtualProtect and VirtualQuery mean for one manager
 *
 * Win32 semantics, results as HRESULTs, and the books kept.  Knows no COM.  Arguments go to Windows
 * unchanged: the CLR calls GetWriteWatch, VirtualUnlock and more on the memory directly (contract 4), so it
 * must be just what it asked for.
 */
#ifndef HOSTMEM_MEMORY_VM_H
#define HOSTMEM_MEMORY_VM_H

#include "memory/events.h"
#include "memory/region.h"

struct vm {
    _Atomic bool closed; /* refuses new reserves and commits */
    struct region_table table;
    struct stats stats;
    struct account heap; /* IHostMalloc: charged to the table's commit budget */
    struct event_queue events;
};

/* The memory of `vm` must be zero. */
void hm_vm_init(struct vm *vm);
void hm_vm_destroy(struct vm *vm);

/* As vm_charge, when credit did not pay. */
HRESULT hm_vm_charge_sums(struct vm *vm, struct account *account, uint64_t bytes, unsigned level);

/*
 * Charge an account of the commit budget for memory that is about to be taken: S_OK; or the refusal, counted and
 * told, with ERROR_COMMITMENT_LIMIT as last error.
 */
static inline HRESULT vm_charge(struct vm *vm, struct account *account, uint64_t bytes, unsigned level)
{
    return hm_account_pay(account, bytes, level) ? S_OK : hm_vm_charge_sums(vm, account, bytes, level);
}

HRESULT hm_vm_alloc(struct vm *vm, void *address, SIZE_T size, DWORD type, DWORD protect, unsigned level,
                    void **memory);
HRESULT hm_vm_free(struct vm *vm, void *address, SIZE_T size, DWORD type);
HRESULT hm_vm_protect(void *address, SIZE_T size, DWORD protect, DWORD *old);
HRESULT hm_vm_query(const void *address, void *buffer, SIZE_T length, SIZE_T *result);

#endif
