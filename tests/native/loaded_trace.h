/*
 * loaded_trace.h - a trace that a test has made, as hostmem-report has loaded it
 */
#ifndef HOSTMEM_TESTS_LOADED_TRACE_H
#define HOSTMEM_TESTS_LOADED_TRACE_H

#include "report/load.h"
#include "support/trace_maker.h"

#define MB        ((uint64_t)1 << 20)
#define KB        ((uint64_t)1 << 10)
#define NOT_OWNED 0x80131022u
#define AT(ticks) (1000 + (uint64_t)(ticks)) /* the clock of a maker starts there */

bool load_bytes(struct loaded *loaded, const void *bytes, size_t size);
bool load(struct loaded *loaded, const struct trace_maker *maker);

/* Put the mark at its end, and load it: it can be told.  The maker is freed. */
void end_and_load(struct trace_maker *maker, struct loaded *loaded);

/* Everything that can be said of it, said to nobody; in how many bytes. */
uint64_t tell(const struct loaded *loaded);

/* Its JSON or text, for free(). */
char *json_of(const struct loaded *loaded);
char *text_of(const struct loaded *loaded);

/* A file's head and rows, for what is to follow. */
void begin(struct trace_maker *maker);

/* Load it: it ends so, and that is said of it.  The maker is freed. */
void expect(struct trace_maker *maker, enum nettrace_ending ending, const char *what);

#endif
