/*
 * bench.h - blocks of work, timed side by side, and a table of the results against their bars
 *
 * What is compared runs in turns, block by block, so that a change of the machine's mood hits both; the
 * figure is the median of the blocks.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_THREADS = 2, BENCH_ROUNDS = 31 };

/* One block on one thread: `count` operations. */
typedef void (*bench_block)(unsigned thread, unsigned count, void *context);

struct bench_side {
    bench_block block;
    void *context;
    double ns; /* receives the median time of one operation */
};

/* Run the sides in turns on `threads` threads at once, BENCH_ROUNDS times each. */
void bench_run(struct bench_side *sides, unsigned side_count, unsigned threads, unsigned count);

/* Nanoseconds since some moment. */
double bench_now(void);

/* A line of the table; `bar` 0: none, for information. */
void bench_report(const char *what, double value, const char *unit, double bar);

/* The table again, as JSON; false: it could not be written. */
bool bench_write_json(const char *path);

#endif
