/*
 * json_parts.h - the pieces that the report's JSON is put together from; `before` is what separates one from the last
 */
#ifndef HOSTMEM_REPORT_JSON_PARTS_H
#define HOSTMEM_REPORT_JSON_PARTS_H

#include "report/model.h"
#include "report/out.h"

static inline void key(struct out *out, const char *before, const char *name)
{
    hm_out_text(out, before);
    hm_out_json(out, name);
    hm_out_text(out, ": ");
}

static inline void key_number(struct out *out, const char *before, const char *name, uint64_t number)
{
    key(out, before, name);
    hm_out_number(out, number);
}

/* null: UNKNOWN. */
static inline void key_known(struct out *out, const char *before, const char *name, uint64_t number)
{
    key(out, before, name);
    if (number == UNKNOWN)
        hm_out_text(out, "null");
    else
        hm_out_number(out, number);
}

static inline void key_text(struct out *out, const char *before, const char *name, const char *text)
{
    key(out, before, name);
    hm_out_json(out, text);
}

static inline void seconds(struct out *out, double value)
{
    hm_out_format(out, "%.6f", value);
}

/* A site's innermost frames, as an array of texts; NULL: an empty one. */
void hm_json_stack(struct out *out, const char *before, const char *name, const struct model *model,
                   const struct site *site, unsigned frames);

#endif
