// The same in C++, where the interfaces are classes and an IID is asked for by name.
#include <stdio.h>

#include <hostmem/hostmem.h>

int main()
{
    hostmem_manager *manager;
    IHostMemoryManager *memory, *again;
    void *pages;

    if (hostmem_create(nullptr, &manager) != S_OK || hostmem_get_memory_manager(manager, &memory) != S_OK ||
        memory->QueryInterface(IID_IHostMemoryManager, reinterpret_cast<void **>(&again)) != S_OK ||
        memory->VirtualAlloc(nullptr, 1 << 20, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE, eTaskCritical,
                             &pages) != S_OK)
        return 1;
    hostmem_statistics statistics = {};
    statistics.size = sizeof statistics;
    if (hostmem_get_statistics(manager, &statistics) != S_OK || statistics.committed.now != 1 << 20 ||
        memory->VirtualFree(pages, 0, MEM_RELEASE) != S_OK)
        return 1;
    again->Release();
    memory->Release();
    hostmem_release(manager);
    puts("consumer: done");
}
