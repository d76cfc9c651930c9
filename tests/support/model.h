/*
 * model.h - the manager beside raw Win32
 *
 * Every managed region has a twin that was made by the same calls to VirtualAlloc and VirtualFree directly.
 * A model_ function makes one call on both sides, at the same offsets, and demands the same outcome: success,
 * last error, returned offset, old protection, and Windows' picture of the region, run by run.  Then the
 * statistics must say what Windows says.  What belongs to whom is learned from the twin's side, never from the
 * manager.
 *
 * The budget must say what Windows says too.  With limits, what it is going to refuse follows from how many pages the
 * call would newly commit, by the twin's picture, and how many there are; the twin is not asked then.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <hostmem/hostmem.h>

/* The same place on both sides. */
struct place {
    char *ours;
    char *raw;
};

struct pair {
    struct place base; /* ours NULL: a free slot */
    uint64_t bytes;
    uint64_t committed; /* as Windows said last */
};

enum { MODEL_PAIRS = 32, MODEL_BYSTANDER_PAGES = 8 };

struct model {
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    struct pair pair[MODEL_PAIRS];
    unsigned pairs;
    uint64_t reserved, committed, foreign_committed, foreign_frees, calls;
    struct place window; /* free address space for explicit addresses */
    uint64_t window_bytes;
    struct place foreign;  /* reserved by raw VirtualAlloc on both sides */
    char *bystander;       /* raw, with contents */
    char *view;            /* a mapped view that was reported to the manager */
    hostmem_limits limits; /* in effect; size 0: none */
    uint64_t refused[HOSTMEM_REASON_COUNT], overruns, overrun_bytes;
    char text[200]; /* the call being made, for messages */
};

void model_init(struct model *model);

/* Releases everything through the manager; the accounting must then be empty. */
void model_finish(struct model *model);

/* From now on, or NULL: none. */
void model_limit(struct model *model, const hostmem_limits *limits);

/* One call on both sides; true: it succeeded. */
bool model_alloc(struct model *model, struct place at, SIZE_T size, DWORD type, DWORD protect,
                 unsigned level);
bool model_free(struct model *model, struct place at, SIZE_T size, DWORD type);
bool model_protect(struct model *model, struct place at, SIZE_T size, DWORD protect, bool want_old);
bool model_query(struct model *model, char *address, SIZE_T length);

/* All accounting against all of Windows. */
void model_check_all(struct model *model);

#endif
