/*
 * loaded_trace.c - see loaded_trace.h
 */
#include "loaded_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "report/compare.h"
#include "report/json.h"
#include "report/text.h"

bool load_bytes(struct loaded *loaded, const void *bytes, size_t size)
{
    struct bytes source = bytes_of(bytes, size);
    return hm_load(loaded, (struct nettrace_source){maker_read, &source});
}

bool load(struct loaded *loaded, const struct trace_maker *maker)
{
    return load_bytes(loaded, maker->bytes, maker->size);
}

/* Everything that can be said of it, said to nobody. */
uint64_t tell(const struct loaded *loaded)
{
    struct out out = {.file = fopen("/dev/null", "wb")};
    const struct reported reported = {"a.nettrace", loaded};

    assert_non_null(out.file);
    hm_report_text(&out, &reported);
    assert_true(hm_report_json(&out, &reported, &reported));
    assert_true(hm_report_comparison(&out, &reported, &reported));
    fclose(out.file);
    return out.bytes;
}

static char *what_is_in(struct out *out)
{
    char *text = calloc(1, out->bytes + 1);

    assert_non_null(text);
    rewind(out->file);
    assert_int_equal(fread(text, 1, out->bytes, out->file), out->bytes);
    fclose(out->file);
    return text;
}

/* Its JSON, for free(). */
char *json_of(const struct loaded *loaded)
{
    struct out out = {.file = tmpfile()};
    const struct reported reported = {"a.nettrace", loaded};

    assert_non_null(out.file);
    assert_true(hm_report_json(&out, &reported, NULL));
    return what_is_in(&out);
}

/* Its text, for free(). */
char *text_of(const struct loaded *loaded)
{
    struct out out = {.file = tmpfile()};
    const struct reported reported = {"a.nettrace", loaded};

    assert_non_null(out.file);
    hm_report_text(&out, &reported);
    return what_is_in(&out);
}

void begin(struct trace_maker *maker)
{
    *maker = (struct trace_maker){0};
    maker_begin(maker, 8);
    maker_rows(maker);
}

void end_and_load(struct trace_maker *maker, struct loaded *loaded)
{
    maker_end(maker);
    assert_true(load(loaded, maker));
    maker_free(maker);
}

void expect(struct trace_maker *maker, enum nettrace_ending ending, const char *what)
{
    struct loaded loaded;

    load(&loaded, maker);
    assert_int_equal(loaded.result.ending, ending);
    assert_non_null(loaded.result.what);
    assert_string_equal(loaded.result.what, what);
    hm_unload(&loaded);
    maker_free(maker);
}
