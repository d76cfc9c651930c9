/*
 * text.h - the report for people: a page of at most 60 lines
 */
#ifndef HOSTMEM_REPORT_TEXT_H
#define HOSTMEM_REPORT_TEXT_H

#include "report/load.h"
#include "report/out.h"

struct reported {
    const char *file; /* its name */
    const struct loaded *loaded;
};

void hm_report_text(struct out *out, const struct reported *reported);

/* What the second has more or less than the first. False: no memory. */
bool hm_report_comparison(struct out *out, const struct reported *first, const struct reported *second);

#endif
