/*
 * read_trace.c - see read_trace.h
 */
#include "support/read_trace.h"

#include <stdio.h>
#include <string.h>

#include "report/nettrace.h"
#include "trace/event.h"

enum { GRANULE = 65536 };

static size_t read_file(void *context, void *buffer, size_t bytes)
{
    return fread(buffer, 1, bytes, context);
}

static const char *skip_header(void *context, const struct nettrace_header *header)
{
    (void)context, (void)header;
    return NULL;
}

static const char *skip_metadata(void *context, struct bytes row)
{
    (void)context, (void)row;
    return NULL;
}

static const char *skip_stack(void *context, uint32_t id, struct bytes addresses)
{
    (void)context, (void)id, (void)addresses;
    return NULL;
}

static const char *skip_point(void *context)
{
    (void)context;
    return NULL;
}

static const char *count_event(void *context, const struct nettrace_event *event)
{
    struct trace_read *found = context;
    struct bytes payload = event->payload;
    if (event->metadata >= 32)
        return "an event of no kind";
    found->count[event->metadata]++;
    found->unknown_threads += event->thread == 0;
    const uint64_t first = take_uint(&payload, 8);
    if (event->metadata == TRACE_LOST)
        found->told += first;
    if (event->metadata == TRACE_ALLOC) {
        const uint64_t bytes = take_uint(&payload, 8);
        if (bytes % GRANULE == 0 && bytes / GRANULE < 64)
            found->reserved[bytes / GRANULE]++;
        else
            found->reserved_rubbish++;
    }
    return NULL;
}

void read_trace(const wchar_t *path, struct trace_read *found)
{
    const struct nettrace_visitor visitor = {.header = skip_header,
                                             .metadata = skip_metadata,
                                             .event = count_event,
                                             .stack = skip_stack,
                                             .sequence_point = skip_point,
                                             .context = found};
    memset(found, 0, sizeof *found);
    FILE *file = _wfopen(path, L"rb");
    if (file == NULL)
        return;
    const struct nettrace_result result =
        hm_nettrace_read((struct nettrace_source){.read = read_file, .context = file}, &visitor);
    fclose(file);
    found->complete = result.ending == NETTRACE_COMPLETE;
    found->lost = result.lost;
    if (result.what != NULL)
        printf("    at %llu: %s\n", (unsigned long long)result.offset, result.what);
}
