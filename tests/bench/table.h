/*
 * table.h - the results against their bars, to read and as JSON
 */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include "bench/timing.h"

/* Print the head of the table. */
void table_begin(void);

/* The rows from here on belong to this section. */
void table_section(const char *name);

/* A row.  `bar`: what the value may be at most; 0: a row for information.  The names of a section differ. */
void table_row(struct bench_figure value, const char *unit, double bar, const char *name, ...)
    __attribute__((format(printf, 4, 5)));

/* How many rows missed their bars, to be told at the end. */
unsigned table_misses(void);

/* All rows; false: the file could not be written. */
bool table_write_json(const char *path);

/* "1 thread", "2 threads" */
const char *table_threads(unsigned count);

#endif
