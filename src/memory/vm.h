/*
 * vm.h - what VirtualAlloc, VirtualFree, VirtualProtect and VirtualQuery mean for one manager
 *
 * Win32 semantics, results as HRESULTs, and the books kept.  Knows no COM.  Arguments go to Windows
 * unchanged: the CLR calls GetWriteWatch, VirtualUnlock and more on the memory directly (contract 4), so it
 * must be just what it asked for.
 */
#ifndef HOSTMEM_MEMORY_VM_H
#define HOSTMEM_MEMORY_VM_H

#include "memory/blocks.h"
#include "memory/events.h"
#include "memory/region.h"

struct vm {
    _Atomic bool closed; /* refuses new reserves and commits */
    struct quota quota;
    struct stock stock;
    struct region_table table;
    struct stats stats;
    struct event_queue events;
};

/* The memory of `vm` must be zero. */
void hm_vm_init(struct vm *vm);
void hm_vm_destroy(struct vm *vm);

HRESULT hm_vm_refuse_block(struct vm *vm, const struct charge *charge);
void hm_vm_notify_overrun(struct vm *vm, const struct charge *charge, const struct budget *by);

/*
 * A block of IHostMalloc: charged before it is taken, then settled or cancelled (blocks.h).  S_OK; or the refusal, counted
 * and notified, with ERROR_COMMITMENT_LIMIT as last error.
 */
static inline HRESULT vm_charge_block(struct vm *vm, struct charge *charge)
{
    return blocks_charge(&vm->quota, charge) ? S_OK : hm_vm_refuse_block(vm, charge);
}

static inline void vm_settle_block(struct vm *vm, const struct charge *charge)
{
    const struct budget *overrun = blocks_settle(&vm->quota, charge);
    if (overrun != NULL)
        hm_vm_notify_overrun(vm, charge, overrun);
}

HRESULT hm_vm_alloc(struct vm *vm, void *address, SIZE_T size, DWORD type, DWORD protect, unsigned level,
                    void **memory);
HRESULT hm_vm_free(struct vm *vm, void *address, SIZE_T size, DWORD type);
HRESULT hm_vm_protect(void *address, SIZE_T size, DWORD protect, DWORD *old);
HRESULT hm_vm_query(const void *address, void *buffer, SIZE_T length, SIZE_T *result);

/* What the region at `address` is for.  S_OK or HOST_E_INVALIDOPERATION; the last error stays. */
HRESULT hm_vm_set_use(struct vm *vm, void *address, hostmem_use use);

#endif
