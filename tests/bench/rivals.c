/*
 * rivals.c - what a user would write instead of the library, beside it: a tree under a lock, and VirtualQuery before
 * each free
 */
#include "bench/calls.h"
#include "bench/crowd.h"
#include "bench/rival_query.h"
#include "bench/rival_tree.h"
#include "bench/seam.h"
#include "bench/sections.h"

#include <math.h>
#include <stdlib.h>

static struct rival_tree tree;

static void tree_pair(unsigned thread, unsigned count, void *context)
{
    (void)thread, (void)context;
    for (unsigned i = 0; i < count; i++)
        rival_tree_free(&tree, rival_tree_alloc(&tree, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE), 0,
                        MEM_RELEASE);
}

static void tree_run(unsigned thread, unsigned count, void *runs)
{
    char *base = ((struct runs *)runs)->base[thread];
    for (unsigned i = 0; i < count; i++) {
        void *at = base + (i % 8u) * (uintptr_t)RUN;
        rival_tree_alloc(&tree, at, RUN, MEM_COMMIT, PAGE_READWRITE);
        rival_tree_free(&tree, at, RUN, MEM_DECOMMIT);
    }
}

static void query_pair(unsigned thread, unsigned count, void *context)
{
    (void)thread, (void)context;
    for (unsigned i = 0; i < count; i++)
        rival_query_free(rival_query_alloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE), 0, MEM_RELEASE);
}

static void query_run(unsigned thread, unsigned count, void *runs)
{
    char *base = ((struct runs *)runs)->base[thread];
    for (unsigned i = 0; i < count; i++) {
        void *at = base + (i % 8u) * (uintptr_t)RUN;
        rival_query_alloc(at, RUN, MEM_COMMIT, PAGE_READWRITE);
        rival_query_free(at, RUN, MEM_DECOMMIT);
    }
}

static void row(const struct bench_side *side, const char *who, const char *what, unsigned threads)
{
    table_row(bench_time(side), "ns", 0, "%s: %s, %s", what, who, table_threads(threads));
}

static void with_windows(unsigned threads, struct runs *bases)
{
    static const char *const who[] = {"hostmem", "tree", "VirtualQuery", "raw"};
    struct bench_side pairs[] = {{.block = calls_managed_pair},
                                 {.block = tree_pair},
                                 {.block = query_pair},
                                 {.block = calls_raw_pair}};
    struct bench_side runs[] = {{.block = calls_managed_run, .context = &bases[0]},
                                {.block = tree_run, .context = &bases[1]},
                                {.block = query_run, .context = &bases[2]},
                                {.block = calls_raw_run, .context = &bases[2]}};
    bench_run(pairs, 4, threads, 500);
    bench_run(runs, 4, threads, 500);
    for (unsigned s = 0; s < 4; s++)
        row(&pairs[s], who[s], "reserve + release", threads);
    for (unsigned s = 0; s < 4; s++)
        row(&runs[s], who[s], "commit + decommit of 16 pages", threads);
}

static void without_windows(unsigned threads, struct runs *bases)
{
    static const char *const who[] = {"hostmem", "tree"};
    struct bench_side pairs[] = {{.block = calls_managed_pair}, {.block = tree_pair}};
    struct bench_side runs[] = {{.block = calls_managed_run, .context = &bases[0]},
                                {.block = tree_run, .context = &bases[1]}};
    bench_run(pairs, 2, threads, 10000);
    bench_run(runs, 2, threads, 10000);
    for (unsigned s = 0; s < 2; s++)
        row(&pairs[s], who[s], "bookkeeping alone: reserve + release", threads);
    for (unsigned s = 0; s < 2; s++)
        row(&runs[s], who[s], "bookkeeping alone: commit + decommit", threads);
}

static void bases_reserve(struct runs *bases, char *ours, char *theirs)
{
    for (unsigned i = 0; i < BENCH_THREADS; i++) {
        uintptr_t offset = i * (uintptr_t)RUNS_SIZE;
        bases[0].base[i] = calls_reserve(ours == NULL ? NULL : ours + offset, RUNS_SIZE);
        bases[1].base[i] = rival_tree_alloc(&tree, theirs == NULL ? NULL : theirs + offset, RUNS_SIZE,
                                            MEM_RESERVE, PAGE_READWRITE);
        bases[2].base[i] = rival_query_alloc(NULL, RUNS_SIZE, MEM_RESERVE, PAGE_READWRITE);
        if (bases[1].base[i] == NULL || bases[2].base[i] == NULL)
            bench_stop("the rivals cannot reserve memory");
    }
}

static void bases_release(struct runs *bases)
{
    for (unsigned i = 0; i < BENCH_THREADS; i++) {
        calls_release(bases[0].base[i]);
        if (!rival_tree_free(&tree, bases[1].base[i], 0, MEM_RELEASE) ||
            !rival_query_free(bases[2].base[i], 0, MEM_RELEASE))
            bench_stop("the rivals cannot release memory");
    }
}

/* The tables alone. */

static void tree_look_up(unsigned thread, unsigned count, void *context)
{
    struct crowd *crowd = context;
    uint64_t found = 0;
    (void)thread;
    for (unsigned i = 0; i < count; i++)
        found += rival_tree_has(crowd->table, crowd_next(crowd));
    crowd->found += found;
}

static void tree_churn(void *context, const _Atomic bool *stop)
{
    struct crowd *crowd = context;
    do {
        uint64_t base = crowd_behind(crowd, crowd->churned++);
        if (!rival_tree_insert(crowd->table, base, GRANULE) || !rival_tree_erase(crowd->table, base))
            bench_stop("the tree lost a region");
    } while (!*stop);
}

static void look_up_among(unsigned regions)
{
    struct crowd_lookups ours, theirs;
    struct crowd *crowd = crowd_ours(regions);
    crowd_measure(crowd, crowd_look_up, crowd_churn, CROWD_LOOKUPS, &ours);
    crowd_ours_end(crowd);

    struct rival_tree full;
    rival_tree_init(&full);
    crowd = crowd_begin(&full, regions);
    for (uint64_t i = 0; i < regions; i++)
        if (!rival_tree_insert(&full, crowd_address(crowd, i), GRANULE))
            bench_stop("no memory for the tree");
    if (full.root->height > 1 + 1.45 * log2((double)regions))
        bench_stop("the tree is no fair rival: it is not balanced");
    crowd_measure(crowd, tree_look_up, tree_churn, CROWD_LOOKUPS, &theirs);
    free(crowd);
    rival_tree_destroy(&full);

    table_row(bench_time(&ours.quiet), "ns", 0, "lookup: hostmem, %u regions", regions);
    table_row(bench_time(&theirs.quiet), "ns", 0, "lookup: tree, %u regions", regions);
    table_row(bench_time(&ours.busy), "ns", 0, "lookup while another thread churns: hostmem, %u regions",
              regions);
    table_row(bench_time(&theirs.busy), "ns", 0, "lookup while another thread churns: tree, %u regions",
              regions);
}

void section_rivals(void)
{
    struct runs bases[3];
    rival_tree_init(&tree);
    bases_reserve(bases, NULL, NULL);
    for (unsigned threads = 1; threads <= BENCH_THREADS; threads *= 2)
        with_windows(threads, bases);
    bases_release(bases);

    seam_without_windows = true;
    bases_reserve(bases, (char *)0x20000000, (char *)0x28000000);
    for (unsigned threads = 1; threads <= BENCH_THREADS; threads *= 2)
        without_windows(threads, bases);
    bases_release(bases);
    seam_without_windows = false;
    rival_tree_destroy(&tree);

    for (unsigned s = 0; crowd_sizes[s] != 0; s++)
        look_up_among(crowd_sizes[s]);
}
