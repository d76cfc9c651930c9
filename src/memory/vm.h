/*
 * vm.h - what VirtualAlloc, VirtualFree, VirtualProtect and VirtualQuery mean for one manager
 *
 * Win32 semantics, results as HRESULTs, and the accounting.  Knows no COM.  Arguments go to Windows
 * unchanged: the CLR calls GetWriteWatch, VirtualUnlock and more on the memory directly (contract 4), so it
 * must be just what it asked for.  ("contract" and a number: docs/clr-contract.md, that section.)
 */
#ifndef HOSTMEM_MEMORY_VM_H
#define HOSTMEM_MEMORY_VM_H

#include "memory/blocks.h"
#include "memory/events.h"
#include "memory/recorder.h"
#include "memory/region.h"
#include "memory/released.h"

struct vm {
    _Atomic bool closed; /* by hostmem_shutdown: refuses new reserves and commits */
    struct recorders recorders;
    struct quota quota;
    struct stock stock;
    struct region_table table;
    struct stats stats;
    struct released released;
    struct event_queue events;
};

/* seq_cst: hostmem_shutdown closes first, and then takes away what others have registered; they register, and then look
 * here.  One of the two sees the other. */
static inline bool vm_is_closed(const struct vm *vm)
{
    return atomic_load(&vm->closed);
}

/* The memory of `vm` must be zero. */
void hm_vm_init(struct vm *vm);
void hm_vm_destroy(struct vm *vm);

/* A budget has refused a charge of a call of this level: counted, notified, and E_OUTOFMEMORY as Windows would put it. */
HRESULT hm_vm_refuse(struct vm *vm, const struct charge *charge, unsigned level, hostmem_use use);

/* The manager has no memory for its accounting: the same, as Windows would put it. */
HRESULT hm_vm_no_memory(struct vm *vm, uint64_t bytes, unsigned level, hostmem_use use);

/* Nor is anything to be had after hostmem_shutdown. */
HRESULT hm_vm_refuse_closed(struct vm *vm, uint64_t bytes, unsigned level);

/* The memory is there, and beyond what this budget may have; NULL: it is not. */
void hm_vm_notify_overrun(struct vm *vm, const struct charge *charge, unsigned level, hostmem_use use,
                          const struct budget *by);

HRESULT hm_vm_alloc(struct vm *vm, void *address, SIZE_T size, DWORD type, DWORD protect, unsigned level,
                    void **memory);
HRESULT hm_vm_free(struct vm *vm, void *address, SIZE_T size, DWORD type);
HRESULT hm_vm_protect(void *address, SIZE_T size, DWORD protect, DWORD *old);
HRESULT hm_vm_query(const void *address, void *buffer, SIZE_T length, SIZE_T *result);

/* The figures of TRACE_REGION (a view: TRACE_VIEW_MAPPED), which is entered, and of TRACE_LIMITS; returns how many. */
unsigned hm_vm_region_figures(struct region_hold *hold, uint64_t figures[TRACE_VALUES]);
unsigned hm_vm_limits(const struct vm *vm, uint64_t figures[TRACE_VALUES]);

/* What the region at `address` is for.  S_OK or HOST_E_INVALIDOPERATION; the last error stays. */
HRESULT hm_vm_set_use(struct vm *vm, void *address, hostmem_use use);

#endif
