/*
 * The calls of a stand-in for its native heap, each through its import table; included once by each stand-in.
 */
#ifndef BRIDGE_FAKE_HEAP_H
#define BRIDGE_FAKE_HEAP_H

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#define EXPORT __declspec(dllexport)

#ifdef FAKE_WITH_SIZE_OF_BLOCK
/* Functions that are given a block. */
EXPORT size_t fake_sizes_of(void *block)
{
    return _msize(block) + HeapSize(GetProcessHeap(), 0, block);
}
#endif

#ifdef FAKE_WITHOUT_MALLOC
#    define malloc(size)         HeapAlloc(GetProcessHeap(), 0, size)
#    define calloc(count, size)  HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, (count) * (size))
#    define realloc(block, size) HeapReAlloc(GetProcessHeap(), 0, block, size)

/* The C library's own start would import it. */
BOOL WINAPI DllMainCRTStartup(HINSTANCE module, DWORD reason, LPVOID process_ends)
{
    (void)module, (void)reason, (void)process_ends;
    return TRUE;
}
#endif

static void *call_malloc(size_t size)
{
    return malloc(size);
}

static void *call_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

static void *call_realloc(void *block, size_t size)
{
    return realloc(block, size);
}

static void call_crt_free(void *block)
{
    free(block);
}

static char *call_strdup(const char *text)
{
    return _strdup(text);
}

static LPVOID WINAPI call_heap_alloc(HANDLE heap, DWORD flags, SIZE_T size)
{
    return HeapAlloc(heap, flags, size);
}

static LPVOID WINAPI call_heap_realloc(HANDLE heap, DWORD flags, LPVOID block, SIZE_T size)
{
    return HeapReAlloc(heap, flags, block, size);
}

static BOOL WINAPI call_heap_free(HANDLE heap, DWORD flags, LPVOID block)
{
    return HeapFree(heap, flags, block);
}

#define NATIVE_HEAP_CALLS                                                                                    \
    .malloc = call_malloc, .calloc = call_calloc, .realloc = call_realloc, .crt_free = call_crt_free,        \
    .strdup = call_strdup, .heap_alloc = call_heap_alloc, .heap_realloc = call_heap_realloc,                 \
    .heap_free = call_heap_free

#endif
