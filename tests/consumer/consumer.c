/* A host without a runtime: makes a manager, takes memory from it as a CLR would, and reads the accounting. */
#define COBJMACROS
#include <stdio.h>

#include <hostmem/hostmem.h>
#include <hostmem/verify.h>

int main(void)
{
    hostmem_manager *manager;
    IHostMemoryManager *memory, *again;
    void *pages;
    hostmem_statistics statistics = {.size = sizeof statistics};

    if (hostmem_version() != HOSTMEM_VERSION || hostmem_create(NULL, &manager) != S_OK ||
        hostmem_get_memory_manager(manager, &memory) != S_OK ||
        IHostMemoryManager_QueryInterface(memory, &IID_IHostMemoryManager, (void **)&again) != S_OK ||
        IHostMemoryManager_VirtualAlloc(memory, NULL, 1 << 20, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE,
                                        eTaskCritical, &pages) != S_OK)
        return 1;
    if (hostmem_get_statistics(manager, &statistics) != S_OK || statistics.committed.now != 1 << 20 ||
        hostmem_verify(manager, NULL) != S_OK ||
        IHostMemoryManager_VirtualFree(memory, &manager, 0, MEM_RELEASE) != HOST_E_INVALIDOPERATION ||
        IHostMemoryManager_VirtualFree(memory, pages, 0, MEM_RELEASE) != S_OK)
        return 1;
    IHostMemoryManager_Release(again);
    IHostMemoryManager_Release(memory);
    hostmem_release(manager);
    puts("consumer: done");
    return 0;
}
