/*
 * out.c - see out.h
 */
#include "report/out.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

void hm_out_bytes(struct out *out, const char *bytes, size_t count)
{
    if (out->file && fwrite(bytes, 1, count, out->file) != count)
        out->failed = true;
    out->bytes += count;
}

void hm_out_text(struct out *out, const char *text)
{
    hm_out_bytes(out, text, strlen(text));
}

/* How many bytes the character takes that begins here; 0: it is none to be printed. */
static unsigned character(const unsigned char *text)
{
    static const uint32_t least[] = {0, 0x20, 0x80, 0x800, 0x10000};
    const unsigned length = text[0] < 0x80       ? 1
                            : text[0] >> 5 == 6  ? 2
                            : text[0] >> 4 == 14 ? 3
                            : text[0] >> 3 == 30 ? 4
                                                 : 0;
    uint32_t point = length == 1 ? text[0] : length == 0 ? 0 : text[0] & (0x7Fu >> length);

    for (unsigned i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        point = point << 6 | (text[i] & 0x3F);
    }
    const bool is_control = point >= 0x7F && point < 0xA0;
    const bool is_bidi = (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
    return length == 0 || point < least[length] || point > 0x10FFFF || point >> 11 == 0x1B || is_control ||
                   is_bidi
               ? 0
               : length;
}

void hm_out_foreign(struct out *out, const char *text)
{
    while (*text) {
        const unsigned length = character((const unsigned char *)text);
        if (length == 0)
            hm_out_text(out, "\xEF\xBF\xBD");
        else
            hm_out_bytes(out, text, length);
        text += length == 0 ? 1 : length;
    }
}

void hm_out_format(struct out *out, const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    hm_out_text(out, line);
}

void hm_out_number(struct out *out, uint64_t number)
{
    hm_out_format(out, "%" PRIu64, number);
}

void hm_out_signed(struct out *out, int64_t number)
{
    hm_out_format(out, "%" PRId64, number);
}

void hm_out_json(struct out *out, const char *text)
{
    hm_out_text(out, "\"");
    while (*text) {
        const unsigned length = character((const unsigned char *)text);
        if (length == 0)
            hm_out_text(out, "\\ufffd");
        else if (strchr("\"\\<>&", *text))
            hm_out_format(out, "\\u%04x", (unsigned)*text);
        else
            hm_out_bytes(out, text, length);
        text += length == 0 ? 1 : length;
    }
    hm_out_text(out, "\"");
}
