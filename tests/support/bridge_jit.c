/* A stand-in for clrjit.dll: a native heap, and pages that are nobody's business. */
#include "support/bridge_fake.h"
#include "support/bridge_fake_heap.h"

static LPVOID WINAPI call_alloc(LPVOID address, SIZE_T size, DWORD type, DWORD protect)
{
    return VirtualAlloc(address, size, type, protect);
}

static struct fake_runtime state = {.calls = {.alloc = call_alloc, NATIVE_HEAP_CALLS}};

EXPORT struct fake_runtime *fake_runtime_state(void)
{
    return &state;
}

EXPORT void *getJit(void)
{
    return NULL;
}
