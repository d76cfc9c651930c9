/*
 * report_lists.c - the lists of the report for people: regions by use, and all of the process by kind
 *
 * Bytes are exact, not rounded to megabytes: the point is that the sums can be checked.
 */
#include "tools/report.h"

enum { NAME_WIDTH = 18, NUMBER_WIDTH = 18 };

static void row(struct writer *writer, const char *name, uintptr_t base, uint64_t reserved,
                uint64_t committed)
{
    writer_text(writer, "  ");
    writer_column(writer, name, NAME_WIDTH);
    writer_hex(writer, base, 16);
    writer_number(writer, reserved, NUMBER_WIDTH);
    writer_number(writer, committed, NUMBER_WIDTH);
    writer_text(writer, "\n");
}

static void sum_row(struct writer *writer, const char *name, uint64_t reserved, uint64_t committed)
{
    writer_text(writer, "  ");
    writer_column(writer, name, NAME_WIDTH + 18);
    writer_number(writer, reserved, NUMBER_WIDTH);
    writer_number(writer, committed, NUMBER_WIDTH);
    writer_text(writer, "\n");
}

/* A view has its use in the record as well, but nobody looks for it among the regions of code or heap. */
static unsigned group_of(const hostmem_region *region)
{
    return region->kind == HOSTMEM_REGION_VIEW ? HOSTMEM_USE_VIEW : region->use;
}

void report_list_regions(struct writer *writer, const struct accounting *accounting)
{
    writer_text(writer, "\n  regions                                         reserved         committed\n");
    for (unsigned use = 0; use < HOSTMEM_USE_COUNT; use++)
        for (uint32_t i = 0; i < accounting->region_count; i++) {
            const hostmem_region *region = &accounting->regions[i];
            if (group_of(region) == use)
                row(writer, report_uses[use], (uintptr_t)region->base, region->reserved, region->committed);
        }
    sum_row(writer, "sum of all but views", accounting->reserved, accounting->committed);
    sum_row(writer, "VirtualQuery over them", accounting->query_reserved, accounting->query_committed);
    sum_row(writer, "the statistics", accounting->statistics.reserved.now,
            accounting->statistics.committed.now);
}

void report_list_process(struct writer *writer, const struct process_map *process)
{
    writer_text(writer, "\n  all of the process            regions          reserved         committed\n");
    for (unsigned kind = 0; kind < PROCESS_KIND_COUNT; kind++) {
        const struct process_row *kind_row = &process->rows[kind];
        writer_text(writer, "  ");
        writer_column(writer, report_kinds[kind], NAME_WIDTH);
        writer_number(writer, kind_row->regions, NUMBER_WIDTH);
        writer_number(writer, kind_row->reserved, NUMBER_WIDTH);
        writer_number(writer, kind_row->committed, NUMBER_WIDTH);
        writer_text(writer, "\n");
    }
    for (unsigned i = 0; i < process->rows[PROCESS_OTHER].regions && i < PROCESS_OTHERS_MAX; i++) {
        const struct process_other *other = &process->others[i];
        row(writer, "  other at", other->base, other->reserved, other->committed);
        if (!other->module[0])
            continue;
        writer_text(writer, "      in use by ");
        writer_wide(writer, other->module);
        writer_text(writer, "\n");
    }
    if (!process->heaps_walked || !process->complete)
        writer_text(writer, "  a heap could not be walked to its end: some of \"other\" is heap\n");
}
