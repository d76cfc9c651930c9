/*
 * load.h - a trace, from its bytes into a model
 */
#ifndef HOSTMEM_REPORT_LOAD_H
#define HOSTMEM_REPORT_LOAD_H

#include "report/model.h"
#include "report/nettrace.h"

struct loaded {
    struct model model;
    struct nettrace_result result;
};

/* False: nothing can be told of it; result.what says why. True, and result.what not NULL: it is told of what is before
 * the place that is wrong. hm_unload in either case. */
bool hm_load(struct loaded *loaded, struct nettrace_source source);
void hm_unload(struct loaded *loaded);

/* Events that are known to be missing: as the trace tells, or by the numbers of those that are there. */
static inline uint64_t loaded_lost(const struct loaded *loaded)
{
    return loaded->model.lost > loaded->result.lost ? loaded->model.lost : loaded->result.lost;
}

#endif
