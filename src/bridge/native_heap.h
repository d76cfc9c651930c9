/*
 * The runtime's own heap: what coreclr.dll, its JIT compiler and a standalone collector take by malloc and from the
 * process heap, as blocks of the host's IHostMalloc.
 *
 * Whose a block is decides where it goes when it is freed, whoever frees it: what did not come from here (taken before the
 * bind, by strdup inside the C library, by another module) goes on to what the module imported.  Private heaps
 * are left alone.  Until there is a host's heap the functions do what they replace.
 */
#ifndef HOSTMEM_BRIDGE_NATIVE_HEAP_H
#define HOSTMEM_BRIDGE_NATIVE_HEAP_H

#include "bridge/caller.h"

/* For a bind: takes what it needs, and from the bind's success on sends calls to this heap, of which the reference is
 * kept for good; or, if that fails, gives back what it took.  False: no memory. */
bool hm_native_heap_prepare(void);
void hm_native_heap_publish(IHostMalloc *heap);
void hm_native_heap_forget(void);

/* Where the bridge keeps whose a block is; NULL: nowhere. */
const void *hm_native_heap_map(void);

void hm_native_heap_read(hostmem_bridge_statistics *statistics);

void *hm_native_malloc(struct caller *caller, size_t size);
void *hm_native_calloc(struct caller *caller, size_t count, size_t size);
void *hm_native_realloc(struct caller *caller, void *block, size_t size);
void hm_native_free(struct caller *caller, void *block);
LPVOID hm_native_heap_alloc(struct caller *caller, HANDLE heap, DWORD flags, SIZE_T size);
LPVOID hm_native_heap_realloc(struct caller *caller, HANDLE heap, DWORD flags, LPVOID block, SIZE_T size);
BOOL hm_native_heap_free(struct caller *caller, HANDLE heap, DWORD flags, LPVOID block);

/* One set of functions for each caller, as in thunks.c, and their imports. */
#define NATIVE_HEAP_FUNCTIONS_OF(caller)                                                                     \
    static void *__cdecl caller##_malloc(size_t size)                                                        \
    {                                                                                                        \
        return hm_native_malloc(&caller, size);                                                              \
    }                                                                                                        \
    static void *__cdecl caller##_calloc(size_t count, size_t size)                                          \
    {                                                                                                        \
        return hm_native_calloc(&caller, count, size);                                                       \
    }                                                                                                        \
    static void *__cdecl caller##_realloc(void *block, size_t size)                                          \
    {                                                                                                        \
        return hm_native_realloc(&caller, block, size);                                                      \
    }                                                                                                        \
    static void __cdecl caller##_crt_free(void *block)                                                       \
    {                                                                                                        \
        hm_native_free(&caller, block);                                                                      \
    }                                                                                                        \
    static LPVOID WINAPI caller##_heap_alloc(HANDLE heap, DWORD flags, SIZE_T size)                          \
    {                                                                                                        \
        return hm_native_heap_alloc(&caller, heap, flags, size);                                             \
    }                                                                                                        \
    static LPVOID WINAPI caller##_heap_realloc(HANDLE heap, DWORD flags, LPVOID block, SIZE_T size)          \
    {                                                                                                        \
        return hm_native_heap_realloc(&caller, heap, flags, block, size);                                    \
    }                                                                                                        \
    static BOOL WINAPI caller##_heap_free(HANDLE heap, DWORD flags, LPVOID block)                            \
    {                                                                                                        \
        return hm_native_heap_free(&caller, heap, flags, block);                                             \
    }

/* all: as in thunks.c. */
#define NATIVE_HEAP_IMPORTS_OF(caller, all)                                                                  \
    [HOSTMEM_BRIDGE_MALLOC] = {"malloc", (void *)caller##_malloc, all, NULL, NULL, false},                   \
    [HOSTMEM_BRIDGE_CALLOC] = {"calloc", (void *)caller##_calloc, false, NULL, NULL, false},                 \
    [HOSTMEM_BRIDGE_REALLOC] = {"realloc", (void *)caller##_realloc, false, NULL, NULL, false},              \
    [HOSTMEM_BRIDGE_FREE] = {"free", (void *)caller##_crt_free, all, NULL, NULL, false},                     \
    [HOSTMEM_BRIDGE_HEAP_ALLOC] = {"HeapAlloc", (void *)caller##_heap_alloc, false, NULL, NULL, false},      \
    [HOSTMEM_BRIDGE_HEAP_REALLOC] =                                                                          \
        {"HeapReAlloc", (void *)caller##_heap_realloc, false, NULL, NULL, false},                            \
    [HOSTMEM_BRIDGE_HEAP_FREE] = {"HeapFree", (void *)caller##_heap_free, false, NULL, NULL, false}

#endif
