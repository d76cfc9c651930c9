/*
 * rival_query.h - no table at all: Windows is asked before each free
 *
 * It cannot say whose memory it is: private memory of anybody's is freed.  Bytes are counted as Windows has them.
 */
#ifndef BENCH_RIVAL_QUERY_H
#define BENCH_RIVAL_QUERY_H

#include <stdbool.h>

#include <windows.h>

void *rival_query_alloc(void *address, SIZE_T size, DWORD type, DWORD protect);
bool rival_query_free(void *address, SIZE_T size, DWORD type);

#endif
