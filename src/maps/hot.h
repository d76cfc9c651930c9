/*
 * hot.h - code that every call runs through
 *
 * A call into the kernel may leave no translation of our pages behind, so that each page of code costs a walk of the
 * page tables, longer than most of our functions.  What is HOT lies side by side, on some three pages instead of ten.
 */
#ifndef HOSTMEM_MAPS_HOT_H
#define HOSTMEM_MAPS_HOT_H

/* The linker sorts what comes after the dollar sign. */
#define HOT __attribute__((section(".text$hot")))

/* Is not to be inlined between what runs each time: the longer way, and what hardly ever runs at all. */
#define APART __attribute__((noinline))
#define COLD  __attribute__((cold, noinline))

#endif
