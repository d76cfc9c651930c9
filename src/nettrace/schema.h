/*
 * schema.h - the events of a trace: names and fields
 */
#ifndef HOSTMEM_NETTRACE_SCHEMA_H
#define HOSTMEM_NETTRACE_SCHEMA_H

#include "nettrace/bytes.h"
#include "trace/event.h"

/* Events of another provider, "Universal.System"; the rest is "Hostmem". */
enum { SCHEMA_MAPPING = TRACE_KINDS, SCHEMA_MAPPING_METADATA, SCHEMA_EVENTS };

enum { SCHEMA_VALUES = 14 };

/* A metadata block that describes them all; the id of each there is its number here. */
void hm_schema_describe(struct bytes *block);

/* An event's fields: figures in their order, and the text where a field is one (NULL: there is none in it). */
void hm_schema_payload(struct bytes *payload, unsigned event, const uint64_t *figures, const char *text);

#endif
