/*
 * json.h - the report for programs, and the data of the page: all that is known, as one JSON object
 */
#ifndef HOSTMEM_REPORT_JSON_H
#define HOSTMEM_REPORT_JSON_H

#include "report/text.h"

/* `second`: NULL, or the trace that it is compared with. False: no memory. */
bool hm_report_json(struct out *out, const struct reported *reported, const struct reported *second);

#endif
