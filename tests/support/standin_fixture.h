/*
 * standin_fixture.h - a manager that the stand-in CLR has taken for its host's
 */
#ifndef STANDIN_FIXTURE_H
#define STANDIN_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "support/standin_clr.h"
#include <hostmem/hostmem.h>

enum { PAGE = 4096, GRANULE = 65536, MIB = 1 << 20 };

extern hostmem_manager *manager;
extern struct standin_clr clr;

/* SetHostControl has been called; begin_started: and Start. */
int begin(void **state);
int begin_started(void **state);

/* Nothing hurt the CLR, and it gave everything back; the host may go, what the CLR holds stays. */
int end(void **state);

hostmem_statistics statistics(void);
uint64_t committed(void);

/* The CLR's VirtualAlloc on a thread without locks, and its release, which must succeed. */
void *alloc(void *address, SIZE_T size, DWORD type, DWORD protect);
void release(void *base);

#endif
