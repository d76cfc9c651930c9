/*
 * screen.c - see screen.h
 *
 * Nothing here knows a console: figures go in, text comes out.
 */
#include "tools/screen.h"

#include <string.h>

#include "memory/stats.h"
#include "tools/report.h"

enum { LABEL = 12, ROW_BYTES = 1024, BAR_MOST = 60, BAR_LEAST = 8, BEFORE_BAR = 33, ESCAPE = 0x1b };

/* A row before it is cut to its length. */
struct row {
    unsigned used;
    char text[ROW_BYTES];
};

static bool row_add(void *to, const char *bytes, unsigned length)
{
    struct row *row = to;

    if (length > sizeof row->text - row->used)
        length = (unsigned)sizeof row->text - row->used;
    memcpy(row->text + row->used, bytes, length);
    row->used += length;
    return true;
}

/* As many characters as there is room for; colours take none, and most of those from U+3000 on two columns. */
static void row_cut(struct writer *writer, const struct row *row, unsigned columns)
{
    bool escape = false;

    for (unsigned i = 0; i < row->used; i++) {
        const char byte = row->text[i];
        escape |= byte == ESCAPE;
        const bool first = !escape && (byte & 0xC0) != 0x80; /* of a character */
        const unsigned width = !first ? 0 : (unsigned char)byte >= 0xE3 ? 2 : 1;
        if (width > columns) {
            writer_colour(writer, WRITER_PLAIN);
            return;
        }
        columns -= width;
        writer_text(writer, (const char[]){byte, 0});
        escape &= byte != 'm';
    }
}

static uint64_t limit_of(const hostmem_limits *limits)
{
    return limits->limit != HOSTMEM_UNLIMITED ? limits->limit : limits->heap_limit;
}

/* What a whole bar stands for. */
static uint64_t whole_of(const struct screen *screen)
{
    const uint64_t limit = limit_of(&screen->limits), peak = screen->now.charged.peak;
    return limit != HOSTMEM_UNLIMITED && limit > peak ? limit : peak;
}

/* Cells up to this figure, a begun one too; in pages, since a limit may be a number of any size. */
static uint64_t cells_of(uint64_t figure, uint64_t cells, uint64_t whole)
{
    const uint64_t pages = figure >> 12, all = whole >> 12;
    return figure >= whole ? cells : (pages * cells + all - 1) / all;
}

static void bar(struct writer *writer, const struct screen *screen, const hostmem_gauge *gauge, bool marks)
{
    const uint64_t whole = whole_of(screen);
    uint64_t cells = screen->columns > BEFORE_BAR ? screen->columns - BEFORE_BAR : 0;

    if (cells < BAR_LEAST || whole < 4096)
        return;
    if (cells > BAR_MOST)
        cells = BAR_MOST;
    const uint64_t now = cells_of(gauge->now, cells, whole), peak = cells_of(gauge->peak, cells, whole);
    const uint64_t soft = marks ? cells_of(screen->limits.soft, cells, whole) : cells;
    const uint64_t limit = marks ? cells_of(screen->limits.limit, cells, whole) : cells;
    writer_text(writer, "  ");
    writer_colour(writer, WRITER_ACCENT);
    for (uint64_t cell = 0; cell < cells; cell++) {
        writer_wide(writer, cell == limit  ? L"\u2503"
                            : cell == soft ? L"\u2502"
                            : cell < now   ? L"\u2588"
                            : cell < peak  ? L"\u2591"
                                           : L" ");
    }
    writer_colour(writer, WRITER_PLAIN);
}

static void bar_row(struct writer *writer, const struct screen *screen, const char *name,
                    const hostmem_gauge *gauge, uint64_t limit, bool marks)
{
    enum { NUMBER = 8 };

    writer_column(writer, name, LABEL);
    writer_mib(writer, gauge->now, NUMBER);
    writer_text(writer, "M");
    if (limit != HOSTMEM_UNLIMITED) {
        writer_text(writer, " of");
        writer_mib(writer, limit, NUMBER - 1);
        writer_text(writer, "M");
    } else {
        writer_column(writer, "", 3 + NUMBER);
    }
    bar(writer, screen, gauge, marks);
}

const char *screen_pressure(const hostmem_statistics *statistics)
{
    static const char *const pressures[] = {"-", "Low", "Neutral", "High"};

    return pressures[statistics->pressure < 4 ? statistics->pressure : 0];
}

static void head_row(struct writer *writer, const struct screen *screen)
{
    writer_wide(writer, screen->program);
    writer_text_number(writer, "  ", screen->elapsed / 1000);
    writer_text_number(writer, ".", screen->elapsed / 100 % 10);
    writer_text(writer, " s, pressure ");
    writer_colour(writer, screen->now.pressure == eMemoryAvailableLow ? WRITER_ALARM : WRITER_PLAIN);
    writer_text(writer, screen_pressure(&screen->now));
    writer_colour(writer, WRITER_PLAIN);
    writer_text_number(writer, ", load ", screen->load);
    writer_text(writer, "%");
}

static uint64_t a_second(const struct screen *screen, uint64_t now, uint64_t before)
{
    return screen->since && now > before ? (now - before) * 1000 / screen->since : 0;
}

static uint64_t calls(const hostmem_statistics *statistics, hostmem_method method)
{
    uint64_t sum = 0;

    for (unsigned level = 0; level < HOSTMEM_LEVEL_COUNT; level++)
        sum += statistics->calls[method][level].calls;
    return sum;
}

static void rates_row(struct writer *writer, const struct screen *screen)
{
    const hostmem_statistics *now = &screen->now, *before = &screen->before;
    const bool falls = now->charged.now < before->charged.now;

    writer_column(writer, "a second", LABEL);
    writer_text(writer, falls ? " committed -" : " committed +");
    writer_megabytes(writer, falls ? a_second(screen, before->charged.now, now->charged.now)
                                   : a_second(screen, now->charged.now, before->charged.now));
    for (unsigned i = 0; i < 2; i++) {
        const hostmem_method method = i ? HOSTMEM_VIRTUAL_FREE : HOSTMEM_VIRTUAL_ALLOC;
        writer_text(writer, ", ");
        writer_text(writer, hm_stats_method_names[method]);
        writer_text_number(writer, " ", a_second(screen, calls(now, method), calls(before, method)));
    }
    writer_text_number(writer, ", refused ", a_second(screen, now->refusals, before->refusals));
}

static void sums_row(struct writer *writer, const struct screen *screen)
{
    const hostmem_statistics *now = &screen->now;
    const uint64_t overruns = now->overrun.count + now->heap_overrun.count;

    writer_column(writer, "so far", LABEL);
    writer_colour(writer, now->refusals + overruns ? WRITER_ALARM : WRITER_PLAIN);
    writer_text_number(writer, " refused ", now->refusals);
    writer_text_number(writer, ", overruns ", overruns);
    writer_colour(writer, WRITER_PLAIN);
    if (screen->watched.counted == WATCH_NEVER)
        return;
    writer_text_number(writer, ", collections gen0 ", screen->watched.collections[0]);
    writer_text_number(writer, " gen1 ", screen->watched.collections[1]);
    writer_text_number(writer, " gen2 ", screen->watched.collections[2]);
}

void screen_row(struct writer *writer, const struct screen *screen, unsigned row)
{
    static const hostmem_use uses[] = {HOSTMEM_USE_GC_HEAP, HOSTMEM_USE_GC_TABLES, HOSTMEM_USE_CODE,
                                       HOSTMEM_USE_LOADER, HOSTMEM_USE_OTHER};
    struct row whole = {.used = 0};
    struct writer text;

    writer_open_sender(&text, row_add, &whole);
    text.coloured = writer->coloured;
    if (row == 0)
        head_row(&text, screen);
    else if (row == 1)
        bar_row(&text, screen, "in all", &screen->now.charged, screen->limits.limit, true);
    else if (row < SCREEN_ROWS - 2)
        bar_row(&text, screen, report_uses[uses[row - 2]], &screen->now.committed_by_use[uses[row - 2]],
                uses[row - 2] == HOSTMEM_USE_GC_HEAP ? screen->limits.heap_limit : HOSTMEM_UNLIMITED, false);
    else if (row == SCREEN_ROWS - 2)
        rates_row(&text, screen);
    else
        sums_row(&text, screen);
    writer_flush(&text);
    row_cut(writer, &whole, screen->columns);
}

_Static_assert(SCREEN_ROWS == 9, "head, all, five uses, rates, sums");
