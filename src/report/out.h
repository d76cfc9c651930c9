/*
 * out.h - text into a file or into memory: numbers, columns, and the strings of JSON
 *
 * What a trace says is never printed as it is: what is no valid UTF-8, or a control character, becomes U+FFFD.
 */
#ifndef HOSTMEM_REPORT_OUT_H
#define HOSTMEM_REPORT_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct out {
    FILE *file;     /* NULL: bytes are only counted */
    uint64_t bytes; /* written so far */
    bool failed;
};

void hm_out_bytes(struct out *out, const char *bytes, size_t count);
void hm_out_text(struct out *out, const char *text);    /* ours */
void hm_out_foreign(struct out *out, const char *text); /* from a trace, or the name of a file */
void hm_out_number(struct out *out, uint64_t number);
void hm_out_signed(struct out *out, int64_t number);
void hm_out_format(struct out *out, const char *format,
                   ...); /* a line's worth, of our own text and numbers */

/* "text", quoted: also for inside of <script>, which no string of it can end. */
void hm_out_json(struct out *out, const char *text);

#endif
