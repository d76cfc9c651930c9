/*
 * sections.h - what hostmem-bench measures, by name
 */
#ifndef BENCH_SECTIONS_H
#define BENCH_SECTIONS_H

void section_bookkeeping(void); /* what the bookkeeping costs when Windows costs nothing */
void section_windows(void);
void section_trace(void);   /* managed calls beside raw ones */
void section_region(void);  /* threads in one region */
void section_foreign(void); /* pointers that are nobody's */
void section_lookups(void); /* the table alone, and what it takes */
void section_growth(void);  /* cost per call while many regions live */
void section_heap(void);    /* IHostMalloc beside HeapAlloc */
void section_stack(void);   /* how deep each method goes */
void section_rivals(void);  /* what a user would write instead */

#endif
