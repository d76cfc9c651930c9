/*
 * schema.c - one table: what is described and what is written cannot differ
 */
#include "nettrace/schema.h"

#include "nettrace/block.h"

/* Type codes of the format. */
enum type {
    END = 0,
    U8 = 6,
    U32 = 10,
    U64 = 12,
    TEXT16 = 18, /* UTF-16, with a zero behind it */
    ARRAY = 19,
    VARUINT = 21,
    TEXT8 = 23 /* an array of these: a 16-bit count of bytes, and UTF-8 */
};

enum { FIELDS_MOST = 14, EVENT_VERSION = 1 };

struct schema {
    const char *name;
    struct {
        const char *name;
        enum type type;
    } field[FIELDS_MOST];
};

static const struct schema schema[SCHEMA_EVENTS] = {
    [TRACE_ALLOC] = {"Alloc",
                     {{"Asked", U64},
                      {"Bytes", U64},
                      {"Type", U32},
                      {"Protect", U32},
                      {"Level", U8},
                      {"Use", U8},
                      {"Result", U32},
                      {"Address", U64},
                      {"Committed", U64},
                      {"Region", U64}}},
    [TRACE_FREE] = {"Free",
                    {{"Address", U64},
                     {"Bytes", U64},
                     {"Type", U32},
                     {"Use", U8},
                     {"Result", U32},
                     {"Decommitted", U64},
                     {"Released", U64},
                     {"Region", U64}}},
    [TRACE_VIEW_MAPPED] = {"ViewMapped", {{"Address", U64}, {"Bytes", U64}}},
    [TRACE_VIEW_UNMAPPED] = {"ViewUnmapped", {{"Address", U64}, {"Bytes", U64}}},
    [TRACE_REFUSAL] = {"Refusal",
                       {{"Bytes", U64}, {"Level", U8}, {"Use", U8}, {"Reason", U32}, {"Charged", U64}}},
    [TRACE_OVERRUN] = {"Overrun", {{"Bytes", U64}, {"Level", U8}, {"Use", U8}, {"Charged", U64}}},
    [TRACE_PRESSURE] = {"Pressure", {{"Level", U32}, {"Charged", U64}}},
    [TRACE_NOTIFICATION] = {"Notification", {{"Level", U32}}},
    [TRACE_LIMITS] = {"Limits",
                      {{"Limit", U64},
                       {"TaskLimit", U64},
                       {"Margin", U64},
                       {"Soft", U64},
                       {"HeapLimit", U64},
                       {"ProcessSoft", U64}}},
    [TRACE_RUNTIME_STARTED] = {"RuntimeStarted", {{"Version", TEXT16}}},
    [TRACE_BLOCK_ALLOC] = {"BlockAlloc", {{"Address", U64}, {"Bytes", U64}, {"Level", U8}}},
    [TRACE_BLOCK_FREE] = {"BlockFree", {{"Address", U64}, {"Bytes", U64}}},
    [TRACE_PROTECT] = {"Protect",
                       {{"Address", U64}, {"Bytes", U64}, {"Protect", U32}, {"Old", U32}, {"Result", U32}}},
    [TRACE_SAMPLE] = {"Sample",
                      {{"Reserved", U64},
                       {"Committed", U64},
                       {"Charged", U64},
                       {"GcHeap", U64},
                       {"GcTables", U64},
                       {"Code", U64},
                       {"Loader", U64},
                       {"View", U64},
                       {"Other", U64},
                       {"Blocks", U64},
                       {"Process", U64},
                       {"Gen0", U32},
                       {"Gen1", U32},
                       {"Gen2", U32}}},
    [TRACE_REGION] = {"Region",
                      {{"Base", U64}, {"Bytes", U64}, {"Committed", U64}, {"Use", U8}, {"Type", U32}}},
    [TRACE_CALLS] = {"Calls", {{"Method", TEXT16}, {"Count", U64}, {"Failed", U64}}},
    [TRACE_LOST] = {"Lost", {{"Count", U64}}},
    [SCHEMA_MAPPING] = {"ProcessMapping",
                        {{"Id", VARUINT},
                         {"StartAddress", VARUINT},
                         {"EndAddress", VARUINT},
                         {"FileOffset", VARUINT},
                         {"FileName", TEXT8},
                         {"MetadataId", VARUINT}}},
    [SCHEMA_MAPPING_METADATA] = {"ProcessMappingMetadata",
                                 {{"Id", VARUINT}, {"SymbolMetadata", TEXT8}, {"VersionMetadata", TEXT8}}},
};

/* A part of a row, whose 16-bit length comes before it. */
static size_t part_begin(struct bytes *bytes)
{
    put_number(bytes, 0, 2);
    return bytes->used;
}

static void part_end(struct bytes *bytes, size_t begin)
{
    patch_number(bytes, begin - 2, bytes->used - begin, 2);
}

/* The other provider's, as TraceEvent knows them; of ours it is the number here. */
static unsigned id_of(unsigned number)
{
    return number == SCHEMA_MAPPING ? 3 : number == SCHEMA_MAPPING_METADATA ? 5 : number;
}

static unsigned count_fields(const struct schema *event)
{
    unsigned count = 0;
    while (count < FIELDS_MOST && event->field[count].type != END)
        count++;
    return count;
}

static void describe(struct bytes *bytes, unsigned number)
{
    const struct schema *event = &schema[number];
    const bool ours = number < TRACE_KINDS;
    const unsigned fields = count_fields(event);
    const size_t row = part_begin(bytes);
    put_varuint(bytes, number);
    put_text(bytes, ours ? "Hostmem" : "Universal.System");
    put_varuint(bytes, id_of(number));
    put_text(bytes, event->name);
    put_number(bytes, fields, 2);
    for (unsigned i = 0; i < fields; i++) {
        const size_t field = part_begin(bytes);
        put_text(bytes, event->field[i].name);
        if (event->field[i].type == TEXT8)
            put_byte(bytes, ARRAY);
        put_byte(bytes, (uint8_t)event->field[i].type);
        part_end(bytes, field);
    }
    const size_t optional = part_begin(bytes);
    put_byte(bytes, 9); /* the version of the event */
    put_byte(bytes, ours ? EVENT_VERSION : 0);
    part_end(bytes, optional);
    part_end(bytes, row);
}

void hm_schema_describe(struct bytes *block)
{
    hm_block_begin(block);
    put_number(block, 0, 2); /* a header of no bytes */
    for (unsigned number = 1; number < SCHEMA_EVENTS; number++)
        describe(block, number);
    hm_block_end(block, BLOCK_METADATA);
}

void hm_schema_payload(struct bytes *payload, unsigned number, const uint64_t *figures, const char *text)
{
    const struct schema *event = &schema[number];
    const unsigned fields = count_fields(event);
    for (unsigned i = 0; i < fields; i++)
        switch (event->field[i].type) {
        case U8:
            put_number(payload, *figures++, 1);
            break;
        case U32:
            put_number(payload, *figures++, 4);
            break;
        case U64:
            put_number(payload, *figures++, 8);
            break;
        case VARUINT:
            put_varuint(payload, *figures++);
            break;
        case TEXT16:
            for (size_t c = 0; text != NULL && text[c] != 0; c++)
                put_number(payload, (uint8_t)text[c], 2);
            put_number(payload, 0, 2);
            break;
        case TEXT8: {
            const size_t length = text == NULL ? 0 : text_length(text);
            put_number(payload, length, 2);
            put_bytes(payload, text, length);
            text = NULL; /* only the first text of an event is given */
            break;
        }
        case ARRAY:
        case END:
            break;
        }
}
