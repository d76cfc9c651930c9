/*
 * seam.h - the library's calls to Windows, or nothing in their place
 *
 * The linker puts the functions of seam.c between the library and its OS calls (--wrap).  With the switch on they
 * answer by themselves, with addresses that stand for nothing: what is left is what the bookkeeping costs.
 */
#ifndef BENCH_SEAM_H
#define BENCH_SEAM_H

#include <stdbool.h>

extern bool seam_without_windows;

/* The library's VirtualQuery calls, made or not, since it was set to 0. */
extern _Atomic unsigned seam_queries;

#endif
