/*
 * hostmem-check with a deliberate fault: the one that CHECK_FAULT in the environment names.
 *
 * Linked with hostmem-check's own objects and the library; the linker leads calls of the functions below here (--wrap).
 * What is wrong is the library, or what Windows or a process does to it, never a row: each row has to notice by itself.
 */
#include <string.h>

#include <hostmem/bridge.h>
#include <hostmem/verify.h>

#include "memory/os.h"
#include "memory/quota.h"
#include "memory/vm.h"
#include "tools/check/runner.h"
#include "tools/control_access.h"
#include "tools/control_pipe.h"
#include "tools/control_server.h"

enum { PAGE = 4096 };

static int *volatile nowhere;

static bool has_fault(const char *name)
{
    static char fault[32];

    if (!*fault)
        GetEnvironmentVariableA("CHECK_FAULT", fault, sizeof fault);
    return strcmp(fault, name) == 0;
}

void *__real_hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect);
void *__wrap_hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    if (has_fault("no-memory")) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    if (has_fault("no-write-watch"))
        type &= ~(DWORD)MEM_WRITE_WATCH;
    if (has_fault("other-protection") && protect == PAGE_READONLY)
        protect = PAGE_READWRITE;
    void *at = __real_hm_os_virtual_alloc(address, size, type, protect);
    if (at && has_fault("dirty") && type & MEM_COMMIT && type & MEM_RESERVE)
        *(char *)at = 1;
    if (!at && has_fault("other-error"))
        SetLastError(ERROR_ACCESS_DENIED);
    return at;
}

SIZE_T __real_hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length);
SIZE_T __wrap_hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length)
{
    SIZE_T written = __real_hm_os_virtual_query(address, buffer, length);

    if (has_fault("private-only") && written && buffer->Type != MEM_PRIVATE) {
        SetLastError(ERROR_INVALID_ADDRESS);
        return 0;
    }
    return written;
}

void *__real_hm_os_heap_alloc(HANDLE heap, SIZE_T bytes);
void *__wrap_hm_os_heap_alloc(HANDLE heap, SIZE_T bytes)
{
    void *block = __real_hm_os_heap_alloc(heap, bytes);

    if (block && has_fault("dirty"))
        memset(block, 0xFF, bytes);
    return block;
}

bool __real_hm_os_memory_status(struct os_memory *memory);
bool __wrap_hm_os_memory_status(struct os_memory *memory)
{
    bool known = __real_hm_os_memory_status(memory);

    if (has_fault("other-machine")) {
        memory->physical_available = memory->physical_total / 100;
        memory->physical_load = 99;
    }
    return known;
}

HRESULT __real_hm_vm_free(struct vm *vm, void *address, SIZE_T size, DWORD type);
HRESULT __wrap_hm_vm_free(struct vm *vm, void *address, SIZE_T size, DWORD type)
{
    HRESULT hr = __real_hm_vm_free(vm, address, size, type);

    return hr == HOST_E_INVALIDOPERATION && has_fault("frees-anything") && VirtualFree(address, size, type)
               ? S_OK
               : hr;
}

void __real_hm_address_space_acquired(struct vm *vm, void *base);
void __wrap_hm_address_space_acquired(struct vm *vm, void *base)
{
    if (!has_fault("no-views"))
        __real_hm_address_space_acquired(vm, base);
}

bool __real_hm_quota_charge(struct quota *quota, struct charge *charge);
bool __wrap_hm_quota_charge(struct quota *quota, struct charge *charge)
{
    return __real_hm_quota_charge(quota, charge) || has_fault("no-limits");
}

uint64_t __real_hm_quota_shown(const struct quota *quota);
uint64_t __wrap_hm_quota_shown(const struct quota *quota)
{
    return has_fault("no-limits") || has_fault("not-shown") ? UINT64_MAX : __real_hm_quota_shown(quota);
}

void __real_hm_pressure_wake(void);
void __wrap_hm_pressure_wake(void)
{
    if (!has_fault("asleep"))
        __real_hm_pressure_wake();
}

HRESULT __real_hostmem_create(const hostmem_options *options, hostmem_manager **manager);
HRESULT __wrap_hostmem_create(const hostmem_options *options, hostmem_manager **manager)
{
    const hostmem_limits tight = {.size = sizeof tight, .limit = MIB};
    hostmem_options with = {.size = sizeof with};

    if (!has_fault("tight"))
        return __real_hostmem_create(options, manager);
    if (options)
        with = *options;
    with.limits = &tight;
    return __real_hostmem_create(&with, manager);
}

HRESULT __real_hostmem_shutdown(hostmem_manager *manager);
HRESULT __wrap_hostmem_shutdown(hostmem_manager *manager)
{
    return has_fault("no-shutdown") ? S_OK : __real_hostmem_shutdown(manager);
}

HRESULT __real_hostmem_force_pressure(hostmem_manager *manager, uint32_t level);
HRESULT __wrap_hostmem_force_pressure(hostmem_manager *manager, uint32_t level)
{
    return has_fault("asleep") ? S_OK : __real_hostmem_force_pressure(manager, level);
}

/* Somebody frees a region by raw VirtualFree, and takes its place: the runtime's threads would, through the manager. */
HRESULT __real_hostmem_verify(hostmem_manager *manager, hostmem_verify_report *report);
HRESULT __wrap_hostmem_verify(hostmem_manager *manager, hostmem_verify_report *report)
{
    IHostMemoryManager *memory;
    void *at;

    if (has_fault("behind-the-back") && hostmem_get_memory_manager(manager, &memory) == S_OK &&
        memory->lpVtbl->VirtualAlloc(memory, NULL, PAGE, MEM_RESERVE, PAGE_READWRITE, eTaskCritical, &at) ==
            S_OK &&
        VirtualFree(at, 0, MEM_RELEASE))
        VirtualAlloc(at, 2 * PAGE, MEM_RESERVE, PAGE_NOACCESS);
    return __real_hostmem_verify(manager, report);
}

HRESULT __real_hostmem_bridge_watch(HMODULE module, IHostControl *control,
                                    const hostmem_bridge_options *options);
HRESULT __wrap_hostmem_bridge_watch(HMODULE module, IHostControl *control,
                                    const hostmem_bridge_options *options)
{
    return has_fault("unbound") ? S_OK : __real_hostmem_bridge_watch(module, control, options);
}

HRESULT __real_hostmem_bridge_bind(HMODULE runtime, IHostControl *control,
                                   const hostmem_bridge_options *options);
HRESULT __wrap_hostmem_bridge_bind(HMODULE runtime, IHostControl *control,
                                   const hostmem_bridge_options *options)
{
    return has_fault("unbound") ? S_OK : __real_hostmem_bridge_bind(runtime, control, options);
}

/* What a newer runtime could bring. */
HRESULT __real_hostmem_bridge_get_statistics(hostmem_bridge_statistics *statistics);
HRESULT __wrap_hostmem_bridge_get_statistics(hostmem_bridge_statistics *statistics)
{
    HRESULT hr = __real_hostmem_bridge_get_statistics(statistics);

    if (has_fault("newer-runtime")) {
        statistics->state |= HOSTMEM_BRIDGE_INCOMPLETE;
        statistics->unknown[HOSTMEM_BRIDGE_RUNTIME] = "VirtualAlloc9";
    }
    return hr;
}

HRESULT __real_hostmem_bridge_is_heap(const void *address);
HRESULT __wrap_hostmem_bridge_is_heap(const void *address)
{
    return has_fault("no-heap") ? S_FALSE : __real_hostmem_bridge_is_heap(address);
}

bool __real_control_access_make(struct control_access *access);
bool __wrap_control_access_make(struct control_access *access)
{
    bool made = __real_control_access_make(access);

    if (has_fault("for-everybody"))
        SetSecurityDescriptorDacl(&access->descriptor, TRUE, NULL, FALSE);
    if (has_fault("no-level"))
        SetSecurityDescriptorSacl(&access->descriptor, FALSE, NULL, FALSE);
    return made;
}

/* Somebody has taken the name of the pipe. */
bool __real_control_start(hostmem_manager *manager, const hostmem_limits *limits,
                          void (*read)(struct report *report));
bool __wrap_control_start(hostmem_manager *manager, const hostmem_limits *limits,
                          void (*read)(struct report *report))
{
    wchar_t name[CONTROL_NAME];

    control_pipe_name(name, GetCurrentProcessId());
    if (has_fault("name-taken"))
        CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE, 1, 512, 512, 0, NULL);
    return __real_control_start(manager, limits, read);
}

HRESULT __real_hostmem_set_limits(hostmem_manager *manager, const hostmem_limits *limits);
HRESULT __wrap_hostmem_set_limits(hostmem_manager *manager, const hostmem_limits *limits)
{
    return has_fault("old-limits") ? S_OK : __real_hostmem_set_limits(manager, limits);
}

int __real_runner_child(const struct part *const *parts, unsigned count, int argc, wchar_t **argv);
int __wrap_runner_child(const struct part *const *parts, unsigned count, int argc, wchar_t **argv)
{
    if (has_fault("crash-first"))
        *nowhere = 0;
    int status = __real_runner_child(parts, count, argc, argv);
    if (has_fault("crash-last"))
        *nowhere = 0;
    if (has_fault("hang"))
        Sleep(INFINITE);
    return status;
}
