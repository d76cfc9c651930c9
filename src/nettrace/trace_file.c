/*
 * trace_file.c - see trace_file.h
 */
#include "nettrace/trace_file.h"

#include "memory/os.h"
#include "nettrace/schema.h"

static void write(struct trace_file *file, const struct bytes *bytes)
{
    if (file->error != 0)
        return;
    if (hm_os_file_write(file->file, file->length, bytes->at, bytes->used)) {
        file->length += bytes->used;
        return;
    }
    file->error = GetLastError();
    if (file->error == 0)
        file->error = ERROR_WRITE_FAULT;
}

/* The captures are threads to the format. */
static void describe_captures(struct trace_file *file)
{
    char name[] = "lane 00";
    for (unsigned capture = 0; capture < CAPTURE_WRITER; capture++) {
        name[5] = (char)('0' + capture / 10);
        name[6] = (char)('0' + capture % 10);
        hm_thread_row(&file->new_threads, capture + 1, name, file->process, 0);
    }
    hm_thread_row(&file->new_threads, CAPTURE_WRITER + 1, "hostmem", file->process, 0);
    hm_thread_row(&file->new_threads, CAPTURE_IMAGES + 1, "hostmem images", file->process, 0);
}

static void begin_blocks(struct trace_file *file)
{
    hm_event_block_begin(&file->events);
    hm_stacks_forget(&file->stacks);
    hm_block_begin(&file->new_threads);
}

/* The date at a count of a while ago: to open a file can take long. */
static SYSTEMTIME date_at(uint64_t counter)
{
    FILETIME time;
    SYSTEMTIME utc;
    GetSystemTimeAsFileTime(&time);
    const uint64_t ago = (hm_os_counter() - counter) * 10000000 / hm_os_counter_frequency(),
                   then = ((uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime) - ago;
    time = (FILETIME){.dwLowDateTime = (DWORD)then, .dwHighDateTime = (DWORD)(then >> 32)};
    FileTimeToSystemTime(&time, &utc);
    return utc;
}

void hm_trace_file_begin(struct trace_file *file, uint64_t now)
{
    const SYSTEMTIME utc = date_at(now);
    SYSTEM_INFO system;
    struct bytes first = {.at = file->events_memory, .room = EVENTS_ROOM};
    GetSystemInfo(&system);
    file->process = GetCurrentProcessId();
    file->point = now;
    const struct nettrace_origin origin = {.utc = {utc.wYear, utc.wMonth, utc.wDayOfWeek, utc.wDay, utc.wHour,
                                                   utc.wMinute, utc.wSecond, utc.wMilliseconds},
                                           .counter = now,
                                           .frequency = hm_os_counter_frequency(),
                                           .pointer_bytes = sizeof(void *),
                                           .process = file->process,
                                           .processors = system.dwNumberOfProcessors};
    hm_nettrace_begin(&first, &origin);
    write(file, &first);
    hm_schema_describe(&first);
    write(file, &first);
    file->events.bytes = (struct bytes){.at = file->events_memory, .room = EVENTS_ROOM};
    file->new_threads = (struct bytes){.at = file->threads_memory, .room = THREADS_ROOM};
    file->stacks.block = (struct bytes){.at = file->stacks_memory, .room = STACKS_ROOM};
    begin_blocks(file);
    describe_captures(file);
}

void hm_trace_file_flush(struct trace_file *file)
{
    struct bytes *threads = &file->new_threads;
    const size_t nothing = 4; /* a header */
    if (threads->used > nothing) {
        hm_block_end(threads, BLOCK_THREAD);
        write(file, threads);
        hm_block_begin(threads);
    }
    if (hm_stacks_end(&file->stacks)) {
        write(file, &file->stacks.block);
        hm_stacks_begin(&file->stacks);
    }
    if (!event_block_is_empty(&file->events)) {
        hm_event_block_end(&file->events);
        write(file, &file->events.bytes);
        hm_event_block_begin(&file->events);
    }
}

/* forget: the threads too, whose numbers, and the captures' sequences, begin anew. */
static void write_point(struct trace_file *file, uint64_t now, bool forget)
{
    enum { FORGET_THREADS = 1 };
    uint8_t memory[32 + CAPTURES * 6];
    struct bytes block = {.at = memory, .room = sizeof memory};
    unsigned count = 0;
    hm_trace_file_flush(file);
    hm_block_begin(&block);
    put_number(&block, now, 8);
    put_number(&block, forget ? FORGET_THREADS : 0, 4);
    for (unsigned capture = 0; capture < CAPTURES; capture++)
        count += file->capture[capture].sequence != 0;
    put_number(&block, count, 4);
    for (unsigned capture = 0; capture < CAPTURES; capture++) {
        if (file->capture[capture].sequence == 0)
            continue;
        put_varuint(&block, capture + 1);
        put_varuint(&block, file->capture[capture].sequence);
    }
    hm_block_end(&block, BLOCK_SEQUENCE_POINT);
    write(file, &block);
    file->point = now;
    hm_stacks_forget(&file->stacks);
    if (forget) {
        for (unsigned capture = 0; capture < CAPTURES; capture++)
            file->capture[capture].sequence = 0;
        file->threads = (struct threads){0};
        describe_captures(file);
    }
}

/* Threads begin anew here while there is room, and seldom between two of these points, where no other can stand without
 * changing times. */
void hm_trace_file_point(struct trace_file *file, uint64_t now)
{
    write_point(file, now, file->threads.count > THREADS_MOST / 4);
}

/* The time of the last event. */
static uint64_t latest(const struct trace_file *file)
{
    uint64_t time = file->point;
    for (unsigned capture = 0; capture < CAPTURES; capture++)
        if (time < file->capture[capture].time)
            time = file->capture[capture].time;
    return time;
}

void hm_trace_file_take_over(struct trace_file *file)
{
    begin_blocks(file);
    write_point(file, latest(file), true);
}

static uint32_t number_of(struct trace_file *file, uint32_t thread)
{
    bool added;
    uint32_t number = hm_threads_number(&file->threads, thread, &added);
    if (number == 0) {
        write_point(file, latest(file), true);
        number = hm_threads_number(&file->threads, thread, &added);
    }
    if (added)
        hm_thread_row(&file->new_threads, number, NULL, file->process, thread);
    return number;
}

void hm_trace_file_add(struct trace_file *file, const struct file_event *event)
{
    enum { ROW_ROOM = 32 };
    struct bytes payload = {.at = file->payload_memory, .room = PAYLOAD_ROOM};
    hm_schema_payload(&payload, event->event, event->figures, event->text);
    if (event->capture != file->open || !event_block_has_room(&file->events, payload.used) ||
        !stacks_have_room(&file->stacks, event->frames) ||
        file->new_threads.room - file->new_threads.used < ROW_ROOM)
        hm_trace_file_flush(file);
    const uint32_t thread = number_of(file, event->thread); /* it may begin the sequences anew */
    uint64_t time = event->time;
    if (time < file->point)
        time = file->point;
    if (time < file->capture[event->capture].time)
        time = file->capture[event->capture].time;
    const struct event_head head = {.event = event->event,
                                    .capture = event->capture + 1,
                                    .sequence = file->capture[event->capture].sequence + event->skipped + 1,
                                    .thread = thread,
                                    .stack = hm_stacks_id(&file->stacks, event->frame, event->frames),
                                    .time = time};
    hm_event_block_add(&file->events, &head, &payload);
    file->open = event->capture;
    file->capture[event->capture].time = time;
    file->capture[event->capture].sequence = head.sequence;
}

void hm_trace_file_end(struct trace_file *file)
{
    uint8_t memory[4];
    struct bytes end = {.at = memory, .room = sizeof memory};
    hm_trace_file_flush(file);
    hm_block_begin(&end);
    hm_block_end(&end, BLOCK_END_OF_STREAM);
    write(file, &end);
}
