/*
 * html.c - see html.h
 */
#include "report/html.h"

#include "report/page.h"

bool hm_report_has_page(void)
{
    return hm_page_before[0] != 0;
}

bool hm_report_html(struct out *out, const struct reported *reported, const struct reported *second)
{
    hm_out_text(out, hm_page_before);
    const bool done = hm_report_json(out, reported, second);
    hm_out_text(out, hm_page_behind);
    return done;
}
