/*
 * hostmem-report - what a trace of hostmem says: as text, as JSON, or as a page
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/file.h"
#include "report/html.h"
#include "report/json.h"
#include "report/load.h"
#include "report/text.h"

enum { STATUS_DONE = 0, STATUS_WRONG = 1, STATUS_USAGE = 2 };

/* What the map may take, at first, and all of the data, for which the map gives way: a page stays under 2 MB. */
enum { FRAME_BYTES = 1200000, DATA_BYTES = 1880000 };

static const char help[] =
    "usage: hostmem-report FILE.nettrace [options]\n"
    "\n"
    "Says what is in a trace that hostmem-run --trace has made: what the runtime had committed, when, and\n"
    "who asked for it; what is left at the end, and what was freed twice.\n"
    "\n"
    "  --html OUT.html         a page for a browser: timeline, map of the address space, call sites\n"
    "  --json                  all of it as JSON\n"
    "  --compare OTHER.nettrace  what the other trace has more or less, by use and by call site\n"
    "  --help (-h, -?), --version\n"
    "\n"
    "Exit status: 0; 1 when a trace cannot be read, or is not complete (what it has is reported, then), or\n"
    "the report cannot be written; 2 when the command line makes no sense.\n";

struct options {
    const char *file, *other, *html;
    bool json;
};

int report_main(int argc, char **argv);

/* One line, of which `name` may be anything. */
static void complain(const char *name, const char *what)
{
    struct out out = {.file = stderr};

    hm_out_text(&out, "hostmem-report: ");
    if (name) {
        hm_out_foreign(&out, name);
        hm_out_text(&out, ": ");
    }
    hm_out_text(&out, what);
    hm_out_text(&out, "\n");
}

/* Its value if it is this option; a complaint, and "" for a value, if it has none or had one before. */
static const char *value_of(const char *name, int argc, char **argv, int *at, const char *before)
{
    const size_t length = strlen(name);
    const char *value = NULL;

    if (strncmp(argv[*at], name, length) != 0 || (argv[*at][length] && argv[*at][length] != '='))
        return NULL;
    if (argv[*at][length] == '=')
        value = argv[*at] + length + 1;
    else if (*at + 1 < argc)
        value = argv[++*at];
    if (before)
        complain(name, "is given twice");
    else if (!value || !*value)
        complain(name, "needs a value");
    else
        return value;
    return "";
}

/* All of it has reached standard output, or a complaint says that it has not: the exit status. */
static int stdout_end(const char *what)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return STATUS_DONE;
    complain(NULL, what);
    return STATUS_WRONG;
}

/* -1: go on; else the exit status. */
static int options_read(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "-?") == 0) {
            fputs(help, stdout);
            return stdout_end("the help could not be written");
        }
        if (strcmp(argv[i], "--version") == 0) {
            puts("hostmem-report " HOSTMEM_REPORT_VERSION);
            return stdout_end("the version could not be written");
        }
        if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if ((value = value_of("--html", argc, argv, &i, options->html)) != NULL) {
            options->html = value;
        } else if ((value = value_of("--compare", argc, argv, &i, options->other)) != NULL) {
            options->other = value;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            complain(argv[i], "unknown option (try --help)");
            return STATUS_USAGE;
        } else if (options->file) {
            complain(argv[i], "one trace at a time, or with --compare (try --help)");
            return STATUS_USAGE;
        } else {
            options->file = argv[i];
        }
        if (value && !*value)
            return STATUS_USAGE;
    }
    if (!options->file) {
        complain(NULL, "no trace given (try --help)");
        return STATUS_USAGE;
    }
    if (options->json && options->html) {
        complain(NULL, "--json and --html make no sense together");
        return STATUS_USAGE;
    }
    if (options->html && !hm_report_has_page()) {
        complain(NULL, "--html: this hostmem-report was built without its page, which takes Node and npm");
        return STATUS_USAGE;
    }
    return -1;
}

/* False: there is nothing to tell. What is wrong has been said in either case. */
static bool load(struct loaded *loaded, const char *name, int *status)
{
    FILE *file = hm_file_open(name, "rb");

    *loaded = (struct loaded){0};
    if (!file) {
        complain(name, strerror(errno));
        *status = STATUS_WRONG;
        return false;
    }
    const bool told = hm_load(loaded, hm_file_source(file));
    if (ferror(file))
        loaded->result.what = "reading it failed";
    fclose(file);
    if (loaded->result.what) {
        char line[256];
        if (loaded->result.ending == NETTRACE_FOREIGN)
            snprintf(line, sizeof line, "%s", loaded->result.what);
        else
            snprintf(line, sizeof line, "%s %s (byte %" PRIu64 ")%s",
                     loaded->result.ending == NETTRACE_CUT ? "is not complete:" : "is damaged:",
                     loaded->result.what, loaded->result.offset,
                     told ? "; what comes before is reported" : "; there is nothing before");
        complain(name, line);
        *status = STATUS_WRONG;
    }
    return told;
}

static void fit(struct loaded *first, const struct reported *reported, const struct reported *second)
{
    struct frames *frames = &first->model.frames;

    for (uint64_t bytes = FRAME_BYTES;; bytes /= 2) {
        struct out counted = {0};
        hm_frames_fit(frames, bytes);
        if (!hm_report_json(&counted, reported, second) || counted.bytes <= DATA_BYTES || bytes == 0)
            return;
    }
}

static int write_page(const struct options *options, const struct reported *first,
                      const struct reported *second)
{
    if (hm_file_is_trace(options->html)) {
        complain(options->html, "is a trace, which --html would overwrite");
        return STATUS_USAGE;
    }
    struct out out = {.file = hm_file_open(options->html, "wb")};
    if (!out.file) {
        complain(options->html, strerror(errno));
        return STATUS_WRONG;
    }
    const bool made = hm_report_html(&out, first, second);
    if (fclose(out.file) != 0 || out.failed || !made) {
        complain(options->html, made ? "could not be written to its end" : "no memory");
        hm_file_remove(options->html);
        return STATUS_WRONG;
    }
    return STATUS_DONE;
}

static int write_stdout(const struct options *options, const struct reported *first,
                        const struct reported *second)
{
    struct out out = {.file = stdout};
    bool made = true;

    hm_file_prepare_stdout();
    if (options->json)
        made = hm_report_json(&out, first, second);
    else if (second)
        made = hm_report_comparison(&out, first, second);
    else
        hm_report_text(&out, first);
    if (made)
        return stdout_end("the report could not be written to its end");
    complain(NULL, "no memory");
    return STATUS_WRONG;
}

int report_main(int argc, char **argv)
{
    static struct loaded first, second;
    struct options options = {0};

    int status = options_read(&options, argc, argv);
    if (status >= 0)
        return status;
    status = STATUS_DONE;
    bool told = load(&first, options.file, &status);
    if (told && options.other)
        told = load(&second, options.other, &status);
    if (told) {
        const struct reported of_first = {options.file, &first}, of_second = {options.other, &second};
        const struct reported *other = options.other ? &of_second : NULL;
        if (options.html || options.json)
            fit(&first, &of_first, other);
        const int written =
            options.html ? write_page(&options, &of_first, other) : write_stdout(&options, &of_first, other);
        status = written == STATUS_DONE ? status : written;
    }
    hm_unload(&first);
    hm_unload(&second);
    return status;
}
