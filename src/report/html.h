/*
 * html.h - the report as a page: one file, with everything in it, that asks nobody for anything
 */
#ifndef HOSTMEM_REPORT_HTML_H
#define HOSTMEM_REPORT_HTML_H

#include "report/json.h"

bool hm_report_has_page(void); /* false: it was built without */

/* False: no memory. */
bool hm_report_html(struct out *out, const struct reported *reported, const struct reported *second);

#endif
