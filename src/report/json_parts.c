/*
 * json_parts.c - see json_parts.h
 */
#include "report/json_parts.h"

#include <string.h>

#include "report/compare.h"

void hm_json_stack(struct out *out, const char *before, const char *name, const struct model *model,
                   const struct site *site, unsigned frames)
{
    char lines[SITE_KEY_MAX];

    key(out, before, name);
    hm_out_text(out, "[");
    if (site)
        hm_site_name(model, site, frames, "\n", lines);
    for (char *line = site ? lines : NULL, *end; line; line = end) {
        end = strchr(line, '\n');
        if (end)
            *end++ = 0;
        hm_out_text(out, line == lines ? "" : ", ");
        hm_out_json(out, line);
    }
    hm_out_text(out, "]");
}
