/*
 * timing.h - blocks of work, timed side by side
 *
 * What is compared runs in turns, block by block and each round in the other order, so that a change of the
 * machine's mood hits both.  A figure is the median over the rounds; what lies between the quartiles beside it tells
 * how much it is to be trusted.  A ratio is the median of the rounds' ratios.
 *
 * The threads are the same ones from the first block to the last, as a program's are: what the library keeps for each
 * thread is there after the first block.  They do a block in pieces, and begin every piece together.  Only pieces in which
 * all of them worked for four fifths of the time count: in the others one had to wait for its processor, and then they
 * had the table to themselves, one after the other.
 */
#ifndef BENCH_TIMING_H
#define BENCH_TIMING_H

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_THREADS = 4, BENCH_ROUNDS = 31 };

/* Set once, before the first block: few and short blocks, to see that everything runs. */
extern bool bench_quick;

/* A lower share of pieces than this done by all threads together is worth a remark. */
#define BENCH_TOGETHER 0.5

/* Work on one thread: `count` operations. */
typedef void (*bench_block)(unsigned thread, unsigned count, void *context);

struct bench_side {
    bench_block block;
    void *context;
    double ns[BENCH_ROUNDS];       /* receives the time of one operation, round by round */
    double together[BENCH_ROUNDS]; /* and the share of pieces that the threads did together */
};

struct bench_figure {
    double median, low, high; /* low, high: the quartiles */
    double together;          /* mean */
};

/* Run the sides in turns on `threads` threads at once.  Each round has some `count` operations a thread. */
void bench_run(struct bench_side *sides, unsigned side_count, unsigned threads, unsigned count);

struct bench_figure bench_time(const struct bench_side *side);
struct bench_figure bench_ratio(const struct bench_side *side, const struct bench_side *by);

/* A figure that was not timed. */
static inline struct bench_figure bench_exactly(double value)
{
    return (struct bench_figure){value, value, value, 1};
}

/* Rounds that bench_run makes (and one before them), and operations a thread that `count` comes to in each. */
unsigned bench_rounds(void);
unsigned bench_count(unsigned count);

/* Run `work` on another thread until bench_work_stop; it is told to stop by *stop. */
void bench_work_start(void (*work)(void *context, const _Atomic bool *stop), void *context);
void bench_work_stop(void);

/* Processors that this process may use. */
unsigned bench_processors(void);

/* Say why on stderr, and end with status 2. */
_Noreturn void bench_stop(const char *why);

#endif
