/*
 * json_owned.h - what is still owned, and what was freed that is not owned, in the report's JSON
 */
#ifndef HOSTMEM_REPORT_JSON_OWNED_H
#define HOSTMEM_REPORT_JSON_OWNED_H

#include "report/model.h"
#include "report/out.h"

bool hm_json_owned(struct out *out, const struct model *model); /* false: no memory */
void hm_json_misuses(struct out *out, const struct model *model);

#endif
