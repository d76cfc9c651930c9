/*
 * schema.c - see schema.h
 */
#include "report/schema.h"

#include <stdlib.h>
#include <string.h>

#include "report/array.h"

enum { ROWS_MAX = 65536, FIELDS_MAX = 64, TEXTS_MAX = 16384, TEXT_BYTES_MAX = 3 * 1024 };

enum type {
    TYPE_OBJECT = 1,
    TYPE_BOOLEAN = 3,
    TYPE_UTF16_UNIT = 4,
    TYPE_SBYTE = 5,
    TYPE_BYTE = 6,
    TYPE_INT16 = 7,
    TYPE_UINT16 = 8,
    TYPE_INT32 = 9,
    TYPE_UINT32 = 10,
    TYPE_INT64 = 11,
    TYPE_UINT64 = 12,
    TYPE_SINGLE = 13,
    TYPE_DOUBLE = 14,
    TYPE_DATE = 16,
    TYPE_GUID = 17,
    TYPE_UTF16_TEXT = 18, /* up to a zero */
    TYPE_ARRAY = 19,      /* its length before it, in two bytes */
    TYPE_VARINT = 20,
    TYPE_VARUINT = 21,
    TYPE_UTF8_UNIT = 23,
    TYPE_RELATIVE = 24, /* where in the payload an array is; its element's type does not matter here */
    TYPE_LOCATION = 25
};

enum { NOWHERE = 255 };

struct schema_field {
    uint8_t type, element, to; /* to: index of the value, or NOWHERE */
};

struct schema_row {
    uint8_t kind, field_count;
    struct schema_field *fields;
};

static const char hostmem[] = "Hostmem", universal[] = "Universal.System";

static const struct known_event {
    const char *provider, *name;
    const char *fields[EVENT_FIELDS_MAX + 1];
} known[EVENT_KINDS] = {
    [EVENT_ALLOC] = {hostmem,
                     "Alloc",
                     {"Asked", "Bytes", "Type", "Level", "Use", "Result", "Address", "Committed", "Region"}},
    [EVENT_FREE] = {hostmem,
                    "Free",
                    {"Address", "Bytes", "Type", "Use", "Result", "Decommitted", "Released", "Region"}},
    [EVENT_VIEW_MAPPED] = {hostmem, "ViewMapped", {"Address", "Bytes", "Committed"}},
    [EVENT_VIEW_UNMAPPED] = {hostmem, "ViewUnmapped", {"Address", "Bytes"}},
    [EVENT_REFUSAL] = {hostmem, "Refusal", {"Bytes", "Level", "Use", "Reason", "Charged"}},
    [EVENT_OVERRUN] = {hostmem, "Overrun", {"Bytes", "Level", "Use", "Charged"}},
    [EVENT_PRESSURE] = {hostmem, "Pressure", {"Level"}},
    [EVENT_NOTIFICATION] = {hostmem, "Notification", {"Level"}},
    [EVENT_LIMITS] = {hostmem,
                      "Limits",
                      {"Limit", "TaskLimit", "Margin", "Soft", "HeapLimit", "ProcessSoft"}},
    [EVENT_RUNTIME_STARTED] = {hostmem, "RuntimeStarted", {"Version"}},
    [EVENT_BLOCK_ALLOC] = {hostmem, "BlockAlloc", {"Bytes"}},
    [EVENT_BLOCK_FREE] = {hostmem, "BlockFree", {"Bytes"}},
    [EVENT_PROTECT] = {hostmem, "Protect", {"Result"}},
    [EVENT_SAMPLE] = {hostmem,
                      "Sample",
                      {"Reserved", "Charged", "Other", "GcHeap", "GcTables", "Code", "Loader", "View",
                       "Blocks", "Process", "Gen0", "Gen1", "Gen2"}},
    [EVENT_REGION] = {hostmem, "Region", {"Base", "Bytes", "Committed", "Use", "Type"}},
    [EVENT_CALLS] = {hostmem, "Calls", {"Method", "Count", "Failed"}},
    [EVENT_LOST] = {hostmem, "Lost", {"Count"}},
    [EVENT_IMAGE] = {universal, "ProcessMapping", {"StartAddress", "EndAddress", "FileName"}},
};

static bool is_text(struct bytes text, const char *wanted)
{
    return bytes_left(&text) == strlen(wanted) && memcmp(text.at, wanted, strlen(wanted)) == 0;
}

/* ----------------------------------------------------------------------------------------------------------- texts */

static void put_utf8(char *text, size_t *length, uint32_t point)
{
    if (point < 0x80) {
        text[(*length)++] = (char)point;
    } else if (point < 0x800) {
        text[(*length)++] = (char)(0xC0 | point >> 6);
        text[(*length)++] = (char)(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        text[(*length)++] = (char)(0xE0 | point >> 12);
        text[(*length)++] = (char)(0x80 | (point >> 6 & 0x3F));
        text[(*length)++] = (char)(0x80 | (point & 0x3F));
    } else {
        text[(*length)++] = (char)(0xF0 | point >> 18);
        text[(*length)++] = (char)(0x80 | (point >> 12 & 0x3F));
        text[(*length)++] = (char)(0x80 | (point >> 6 & 0x3F));
        text[(*length)++] = (char)(0x80 | (point & 0x3F));
    }
}

static uint32_t take_utf16(struct bytes *text)
{
    const uint32_t unit = (uint32_t)take_uint(text, 2);

    if (unit < 0xD800 || unit > 0xDFFF)
        return unit;
    struct bytes rest = *text;
    const uint32_t low = (uint32_t)take_uint(&rest, 2);
    if (unit > 0xDBFF || low < 0xDC00 || low > 0xDFFF)
        return 0xFFFD;
    *text = rest;
    return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

/* Up to the first zero, and no longer than what a path of hostmem needs. Its index; 0: it is empty, or there are enough. */
static uint32_t keep_text(struct texts *texts, struct bytes source, bool wide)
{
    char text[TEXT_BYTES_MAX + 4]; /* the last character whole */
    size_t length = 0;

    while (bytes_left(&source) >= (wide ? 2 : 1) && length < TEXT_BYTES_MAX) {
        const uint32_t point = wide ? take_utf16(&source) : (uint32_t)take_uint(&source, 1);
        if (point == 0)
            break;
        if (wide)
            put_utf8(text, &length, point);
        else
            text[length++] = (char)point;
    }
    text[length] = 0;
    if (length == 0 || texts->count >= TEXTS_MAX)
        return 0;
    char **list = array_room(texts->list, texts->count, &texts->capacity, 64, sizeof *list);
    if (!list)
        return 0;
    texts->list = list;
    char *copy = malloc(length + 1);
    if (!copy)
        return 0;
    memcpy(copy, text, length + 1);
    texts->list[texts->count++] = copy;
    return texts->count;
}

const char *hm_schema_text(const struct schema *schema, uint64_t index)
{
    return index == 0 || index > schema->texts.count ? "" : schema->texts.list[index - 1];
}

/* -------------------------------------------------------------------------------------------------------- metadata */

static uint8_t kind_of(struct bytes provider, struct bytes name)
{
    for (unsigned kind = 1; kind < EVENT_KINDS; kind++)
        if (is_text(name, known[kind].name) && is_text(provider, known[kind].provider))
            return (uint8_t)kind;
    return EVENT_OTHER;
}

static uint8_t place_of(unsigned kind, struct bytes name)
{
    for (unsigned i = 0; known[kind].fields[i]; i++)
        if (is_text(name, known[kind].fields[i]))
            return (uint8_t)i;
    return NOWHERE;
}

static bool take_field(struct bytes *fields, unsigned kind, struct schema_field *field)
{
    struct bytes description = take_bytes(fields, take_uint(fields, 2));

    if (fields->cut)
        return false;
    field->to = place_of(kind, take_string(&description));
    field->type = (uint8_t)take_uint(&description, 1);
    field->element = field->type == TYPE_ARRAY ? (uint8_t)take_uint(&description, 1) : 0;
    return !description.cut;
}

static bool take_fields(struct bytes *bytes, struct schema_row *row)
{
    const uint64_t count = take_uint(bytes, 2);

    if (bytes->cut || count > FIELDS_MAX)
        return false;
    row->fields = calloc(FIELDS_MAX, sizeof *row->fields);
    if (!row->fields)
        return false;
    for (; row->field_count < count; row->field_count++)
        if (!take_field(bytes, row->kind, &row->fields[row->field_count]))
            return false;
    return true;
}

static struct schema_row *new_row(struct schema *schema)
{
    struct schema_row *rows = array_room(schema->rows, schema->count, &schema->capacity, 64, sizeof *rows);
    if (!rows)
        return NULL;
    schema->rows = rows;
    struct schema_row *row = &schema->rows[schema->count++];
    *row = (struct schema_row){0};
    return row;
}

const char *hm_schema_add(struct schema *schema, struct bytes bytes)
{
    const uint64_t id = take_varuint(&bytes);
    const struct bytes provider = take_string(&bytes);
    take_varuint(&bytes); /* the number of the event with its provider */
    const struct bytes name = take_string(&bytes);

    if (bytes.cut)
        return "a metadata row that is cut off";
    uint32_t *index = hm_table_add(&schema->by_id, id, ROWS_MAX);
    struct schema_row *row = index && schema->count < ROWS_MAX ? new_row(schema) : NULL;
    if (!row)
        return "more kinds of events than any program has";
    *index = schema->count;
    row->kind = kind_of(provider, name);
    if (row->kind != EVENT_OTHER && !take_fields(&bytes, row))
        return "a metadata row with fields that cannot be read";
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------------- events */

static unsigned size_of(unsigned type)
{
    switch (type) {
    case TYPE_SBYTE:
    case TYPE_BYTE:
    case TYPE_UTF8_UNIT:
        return 1;
    case TYPE_UTF16_UNIT:
    case TYPE_INT16:
    case TYPE_UINT16:
        return 2;
    case TYPE_BOOLEAN:
    case TYPE_INT32:
    case TYPE_UINT32:
        return 4;
    case TYPE_INT64:
    case TYPE_UINT64:
        return 8;
    default:
        return 0;
    }
}

/* Of what no field of ours is; 0: that is not known. */
static unsigned skipped_size_of(unsigned type)
{
    switch (type) {
    case TYPE_SINGLE:
    case TYPE_RELATIVE:
    case TYPE_LOCATION:
        return 4;
    case TYPE_DOUBLE:
        return 8;
    case TYPE_DATE:
    case TYPE_GUID:
        return 16;
    default:
        return 0;
    }
}

static struct bytes take_wide_text(struct bytes *payload)
{
    struct bytes text = bytes_of(payload->at, 0);

    while (!payload->cut && take_uint(payload, 2) != 0)
        text.end = payload->at;
    return text;
}

/* A field's value. False: its type is none that has a length known here. */
static bool take_value(struct schema *schema, const struct schema_field *field, struct bytes *payload,
                       uint64_t *value)
{
    const bool wanted = field->to != NOWHERE;
    const unsigned size = size_of(field->type);

    if (size != 0) {
        *value = take_uint(payload, size);
    } else if (field->type == TYPE_VARUINT || field->type == TYPE_VARINT) {
        *value = take_varuint(payload);
        if (field->type == TYPE_VARINT)
            *value = *value >> 1 ^ (0 - (*value & 1));
    } else if (field->type == TYPE_UTF16_TEXT) {
        const struct bytes text = take_wide_text(payload);
        *value = wanted && !payload->cut ? keep_text(&schema->texts, text, true) : 0;
    } else if (field->type == TYPE_ARRAY && size_of(field->element) != 0) {
        const struct bytes array = take_bytes(payload, take_uint(payload, 2) * size_of(field->element));
        const bool wide = field->element == TYPE_UTF16_UNIT;
        *value = wanted && !payload->cut && (wide || field->element == TYPE_UTF8_UNIT)
                     ? keep_text(&schema->texts, array, wide)
                     : 0;
    } else {
        take_bytes(payload, skipped_size_of(field->type));
        return skipped_size_of(field->type) != 0;
    }
    return true;
}

const char *hm_schema_decode(struct schema *schema, uint32_t id, struct bytes payload, struct event *event)
{
    const uint32_t *index = hm_table_find(&schema->by_id, id);

    if (!index)
        return "an event of a kind that was not described before";
    const struct schema_row *row = &schema->rows[*index - 1];
    event->kind = row->kind;
    memset(event->values, 0, sizeof event->values);
    for (unsigned i = 0; i < row->field_count; i++) {
        uint64_t value = 0;
        if (!take_value(schema, &row->fields[i], &payload, &value))
            break; /* and what is behind it stays unknown */
        if (payload.cut)
            return "an event that is shorter than its fields";
        if (row->fields[i].to != NOWHERE)
            event->values[row->fields[i].to] = value;
    }
    return NULL;
}

void hm_schema_clear(struct schema *schema)
{
    for (uint32_t i = 0; i < schema->count; i++)
        free(schema->rows[i].fields);
    for (uint32_t i = 0; i < schema->texts.count; i++)
        free(schema->texts.list[i]);
    free(schema->rows);
    free(schema->texts.list);
    hm_table_clear(&schema->by_id);
    *schema = (struct schema){0};
}
