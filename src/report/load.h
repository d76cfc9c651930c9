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

#endif
