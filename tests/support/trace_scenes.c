/*
 * trace_scenes.c - traces of programs that never were; declared in trace_maker.h
 *
 * `small`: few events, whose sums are known; in a second, or as many times faster as the amount says. `leaks`:
 * what is left, and frees of what is not there. `program`: of any length, with all that a report shows. `crowded`: as much
 * as a report keeps, of everything, and long names.
 */
#include <string.h>

#include "support/trace_maker.h"

#define MB              ((uint64_t)1 << 20)
#define KB              ((uint64_t)1 << 10)
#define NONE            UINT64_MAX
#define SECONDS(number) (1000 + (uint64_t)((number)*MAKER_FREQUENCY / pace + 0.5))

enum { COMMIT = 0x1000, RESERVE = 0x2000, DECOMMIT = 0x4000, RELEASE = 0x8000 };
enum { OTHER, GC_HEAP, GC_TABLES, CODE, LOADER, VIEW };
enum { FAILED = 0x8007000E, INVALID_ADDRESS = 0x800701E7, NOT_OWNED = 0x80131022 };
enum { REASON_LIMIT = 3, LOW = 1, NEUTRAL, HIGH };

static double pace = 1;

static const uint64_t coreclr = 0x7FF800000000, clrjit = 0x7FF900000000;

static void images(struct trace_maker *maker, uint64_t time)
{
    MAKE(maker, MADE_IMAGE, time, 0, 1, 4711, coreclr, coreclr + 5 * MB, 0,
         (uintptr_t) "C:\\app\\coreclr.dll", 0);
    MAKE(maker, MADE_IMAGE, time, 0, 2, 4711, clrjit, clrjit + 2 * MB, 0, (uintptr_t) "C:\\app\\clrjit.dll",
         0);
}

static void begin(struct trace_maker *maker)
{
    maker_begin(maker, 8);
    maker_rows(maker);
    maker_stack(maker, 1, 3, (const uint64_t[]){coreclr + 0x1234, coreclr + 0x5678, coreclr + 0x9ABC});
    maker_stack(maker, 2, 2, (const uint64_t[]){clrjit + 0x777, coreclr + 0x5678});
    images(maker, SECONDS(0));
}

static void sample(struct trace_maker *maker, double time, uint64_t reserved, const uint64_t *uses,
                   uint32_t gen0)
{
    /* No sum is half way between two tenths of a MiB: C libraries round that differently. */
    const uint64_t blocks = 180 * KB;
    uint64_t sum = 0;

    for (unsigned use = 0; use <= VIEW; use++)
        sum += uses[use];
    MAKE(maker, MADE_SAMPLE, SECONDS(time), 0, reserved, sum, sum + blocks, uses[GC_HEAP], uses[GC_TABLES],
         uses[CODE], uses[LOADER], uses[VIEW], uses[OTHER], blocks, sum + 30 * MB, gen0, gen0 / 4, gen0 / 16);
}

/* 256 MB of heap of which 5 MB are committed and one is given back; code; a view; a refusal, and low memory. */
static void few_events(struct trace_maker *maker, uint64_t faster)
{
    const uint64_t heap = 0x20000000000, code = 0x7FF000000000, view = 0x10000000000;
    uint64_t uses[6] = {0};

    pace = faster == 0 ? 1 : (double)faster;
    begin(maker);
    MAKE(maker, MADE_LIMITS, SECONDS(0), 0, 64 * MB, NONE, 16 * MB, 56 * MB, NONE, NONE);
    MAKE(maker, MADE_REGION, SECONDS(0), 0, 0x30000000000, 64 * KB, 64 * KB, OTHER, RESERVE | COMMIT);
    uses[OTHER] = 64 * KB;
    sample(maker, 0, 64 * KB, uses, 0);
    MAKE(maker, MADE_RUNTIME, SECONDS(0.1), 0, (uintptr_t) "10.0.1");
    MAKE(maker, MADE_ALLOC, SECONDS(0.2), 1, 0, 256 * MB, RESERVE, 4, 2, GC_HEAP, 0, heap, 0, heap);
    MAKE(maker, MADE_ALLOC, SECONDS(0.3), 1, heap, 4 * MB, COMMIT, 4, 0, GC_HEAP, 0, heap, 4 * MB, heap);
    MAKE(maker, MADE_ALLOC, SECONDS(0.4), 1, heap + 8 * MB, MB, COMMIT, 4, 0, GC_HEAP, 0, heap + 8 * MB, MB,
         heap);
    MAKE(maker, MADE_ALLOC, SECONDS(0.5), 2, 0, 128 * KB, RESERVE | COMMIT, 0x40, 2, OTHER, 0, code, 128 * KB,
         code);
    MAKE(maker, MADE_REGION, SECONDS(0.5), 0, code, 128 * KB, 128 * KB, CODE, RESERVE | COMMIT);
    MAKE(maker, MADE_VIEW_MAPPED, SECONDS(0.6), 0, view, 512 * KB, 0);
    MAKE(maker, MADE_FREE, SECONDS(0.7), 0, heap + MB, MB, DECOMMIT, GC_HEAP, 0, MB, 0, heap);
    uses[GC_HEAP] = 4 * MB;
    uses[CODE] = 128 * KB;
    sample(maker, 0.75, 256 * MB + 192 * KB, uses, 4);
    MAKE(maker, MADE_REFUSAL, SECONDS(0.8), 1, 80 * MB, 1, GC_HEAP, REASON_LIMIT, 5 * MB);
    MAKE(maker, MADE_ALLOC, SECONDS(0.8), 1, heap, 80 * MB, COMMIT, 4, 1, GC_HEAP, FAILED, 0, 0, 0);
    MAKE(maker, MADE_PRESSURE, SECONDS(0.81), 0, LOW, 5 * MB);
    MAKE(maker, MADE_NOTIFICATION, SECONDS(0.82), 0, LOW);
    maker_sequence_point(maker, SECONDS(0.85));
    /* Two threads: the second's is written first. */
    maker_stack(maker, 1, 2, (const uint64_t[]){clrjit + 0x888, coreclr + 0x9999});
    MAKE(maker, MADE_FREE, SECONDS(0.95), 0, code, 0, RELEASE, CODE, 0, 128 * KB, 128 * KB, code);
    maker_close(maker);
    MAKE(maker, MADE_ALLOC, SECONDS(0.9), 1, code, 64 * KB, COMMIT, 0x40, 2, CODE, 0, code, 0, code);
    MAKE(maker, MADE_VIEW_UNMAPPED, SECONDS(0.96), 0, view, 512 * KB);
    MAKE(maker, MADE_NOTIFICATION, SECONDS(0.97), 0, HIGH);
    uses[CODE] = 0;
    sample(maker, 1, 256 * MB + 64 * KB, uses, 8);
    MAKE(maker, MADE_CALLS, SECONDS(1), 0, (uintptr_t) "VirtualAlloc", 6, 1);
    MAKE(maker, MADE_CALLS, SECONDS(1), 0, (uintptr_t) "VirtualFree", 2, 0);
    maker_end(maker);
}

/* ----------------------------------------------------------------------------------------------------------- leaks */

static void reserve(struct trace_maker *maker, double time, uint32_t stack, unsigned use, uint64_t base,
                    uint64_t bytes)
{
    MAKE(maker, MADE_ALLOC, SECONDS(time), stack, 0, bytes, RESERVE | COMMIT, 4, 2, use, 0, base, bytes,
         base);
}

static void release(struct trace_maker *maker, double time, uint32_t stack, unsigned use, uint64_t base,
                    uint64_t bytes)
{
    MAKE(maker, MADE_FREE, SECONDS(time), stack, base, 0, RELEASE, use, 0, bytes, bytes, base);
}

static void misuse(struct trace_maker *maker, double time, uint32_t stack, unsigned type, uint64_t address,
                   uint64_t region)
{
    MAKE(maker, MADE_FREE, SECONDS(time), stack, address, 0, type, OTHER, NOT_OWNED, 0, 0, region);
}

/* Stacks 1 and 2 differ in their fourth frames; 3 reserves, too; 4 and 5 free; 6 frees what it must not.  The trace began
 * late: there were 40 collections before it, and 7,000 calls. */
static void leaks(struct trace_maker *maker)
{
    enum { FIRST = 70, SECOND = 200 }; /* threads */
    const uint64_t heap = 0x20000000000, twice = 0x30000000000, later = 0x50000000000;
    const uint64_t before = 0x60000000000, nobody = 0x70000000000;
    uint64_t uses[6] = {64 * KB};

    pace = 1;
    begin(maker);
    for (uint32_t i = 1; i <= 6; i++)
        maker_stack(maker, i, 4,
                    (const uint64_t[]){coreclr + (i <= 2 ? 0x1000 : i * 0x1000), coreclr + 0x10,
                                       coreclr + 0x20, coreclr + i});
    maker_thread(maker, FIRST, "first", 4711);
    maker_thread(maker, SECOND, "", 4712);
    maker->thread = FIRST;
    MAKE(maker, MADE_REGION, SECONDS(0), 0, before, 64 * KB, 64 * KB, OTHER, RESERVE | COMMIT);
    sample(maker, 0, 64 * KB, uses, 40);
    reserve(maker, 0.1, 1, GC_HEAP, heap, MB);
    reserve(maker, 0.2, 3, LOADER, twice, 64 * KB);
    reserve(maker, 0.4, 2, GC_HEAP, heap + 2 * MB, 2 * MB);
    reserve(maker, 0.45, 1, LOADER, heap + 8 * MB, 128 * KB);
    release(maker, 0.5, 4, LOADER, twice, 64 * KB);
    maker->thread = SECOND;
    misuse(maker, 0.6, 6, RELEASE, twice, 0);
    /* There again, and gone again: the last time is the one that counts. */
    reserve(maker, 0.65, 1, CODE, twice, 64 * KB);
    release(maker, 0.7, 5, CODE, twice, 64 * KB);
    misuse(maker, 0.75, 6, DECOMMIT, twice + 4 * KB, 0);
    misuse(maker, 0.8, 6, RELEASE, nobody, 0);
    MAKE(maker, MADE_FREE, SECONDS(0.81), 6, heap, 4 * KB, RELEASE, GC_HEAP, INVALID_ADDRESS, 0, 0, heap);
    /* And once more. Two threads at once; the one that succeeds is back later. */
    reserve(maker, 0.82, 3, LOADER, twice, 64 * KB);
    misuse(maker, 0.83, 6, RELEASE, twice, twice);
    maker->thread = FIRST;
    release(maker, 0.84, 4, LOADER, twice, 64 * KB);
    /* Nobody's when it was freed; ours only later. */
    misuse(maker, 0.85, 6, RELEASE, later, 0);
    reserve(maker, 0.86, 3, LOADER, later, 64 * KB);
    release(maker, 0.87, 4, LOADER, later, 64 * KB);
    release(maker, 0.88, 4, OTHER, before, 64 * KB);
    misuse(maker, 0.89, 6, RELEASE, before, 0);
    MAKE(maker, MADE_VIEW_MAPPED, SECONDS(0.9), 3, 0x10000000000, 512 * KB, 0);
    MAKE(maker, MADE_REGION, SECONDS(0.91), 0, before + MB, 64 * KB, 0, OTHER, RESERVE);
    uses[OTHER] = 0;
    uses[GC_HEAP] = 3 * MB;
    uses[LOADER] = 128 * KB;
    sample(maker, 1, 3 * MB + 192 * KB, uses, 40);
    MAKE(maker, MADE_CALLS, SECONDS(1), 0, (uintptr_t) "VirtualAlloc", 7007, 0);
    MAKE(maker, MADE_CALLS, SECONDS(1), 0, (uintptr_t) "VirtualQuery", 9, 0);
    maker_end(maker);
}

/* --------------------------------------------------------------------------------------------------------- program */

enum { HEAPS = 5, CHUNKS = 64, ARENAS = 160 };

static uint64_t dice = 1;

static uint64_t throw_dice(uint64_t sides)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 33) % sides;
}

/* A heap of chunks that comes and goes in waves, and arenas of code and loader that only grow. */
static void program(struct trace_maker *maker, uint64_t amount)
{
    static bool committed[HEAPS][CHUNKS];
    static const uint64_t chunk = 512 * KB, limit = 64 * MB, soft = 56 * MB;
    uint64_t uses[6] = {0}, arenas = 0, arena_used = 0, reserved = HEAPS * CHUNKS * chunk + 4 * MB;
    unsigned pressure = HIGH;

    pace = 1;
    dice = 1;
    memset(committed, 0, sizeof committed);
    begin(maker);
    for (uint32_t i = 0; i < 40; i++)
        maker_stack(maker, 10 + i, 3,
                    (const uint64_t[]){clrjit + 0x1000 + i * 0x90, coreclr + 0x5000 + i % 7 * 0x30,
                                       coreclr + 0x9ABC});
    MAKE(maker, MADE_LIMITS, SECONDS(0), 0, limit, NONE, 16 * MB, soft, NONE, NONE);
    MAKE(maker, MADE_RUNTIME, SECONDS(0), 0, (uintptr_t) "10.0.1");
    for (unsigned heap = 0; heap < HEAPS; heap++)
        MAKE(maker, MADE_ALLOC, SECONDS(0), 1, 0, CHUNKS * chunk, RESERVE, 4, 2, GC_HEAP, 0,
             0x20000000000 + heap * 256 * MB, 0, 0x20000000000 + heap * 256 * MB);
    MAKE(maker, MADE_ALLOC, SECONDS(0), 1, 0, 4 * MB, RESERVE | COMMIT, 4, 2, GC_TABLES, 0, 0x1F000000000,
         4 * MB, 0x1F000000000);
    uses[GC_TABLES] = 4 * MB;
    for (uint64_t i = 0; i < amount; i++) {
        const double time = 0.01 + (double)i / (double)amount * 20;
        const uint64_t phase = i * 6 / amount, wanted = (10 + phase % 3 * 27 + throw_dice(8)) * MB;
        const unsigned heap = (unsigned)throw_dice(HEAPS), at = (unsigned)throw_dice(CHUNKS);
        const uint64_t region = 0x20000000000 + heap * 256 * MB, address = region + at * chunk;
        const uint32_t stack = 10 + (uint32_t)(throw_dice(40) * throw_dice(40) / 40);
        uint64_t sum = 0;
        for (unsigned use = 0; use <= VIEW; use++)
            sum += uses[use];
        if (i % (amount / 80 + 1) == 0)
            sample(maker, time, reserved, uses, (uint32_t)(i * 900 / amount));
        if (throw_dice(40) == 0 && arenas < ARENAS) {
            const uint64_t arena = 0x7FF000000000 + arenas * 64 * KB;
            const unsigned use = arenas % 3 == 0 ? CODE : LOADER;
            if (arena_used == 0) {
                MAKE(maker, MADE_ALLOC, SECONDS(time), stack, 0, 64 * KB, RESERVE, 4, 2, use, 0, arena, 0,
                     arena);
                reserved += 64 * KB;
            }
            MAKE(maker, MADE_ALLOC, SECONDS(time), stack, arena, 16 * KB, COMMIT, 4, 2, use, 0,
                 arena + arena_used, 16 * KB, arena);
            uses[use] += 16 * KB;
            arena_used = (arena_used + 16 * KB) % (64 * KB);
            arenas += arena_used == 0;
        } else if (!committed[heap][at] && uses[GC_HEAP] < wanted) {
            if (sum + chunk > limit) {
                MAKE(maker, MADE_REFUSAL, SECONDS(time), stack, chunk, 1, GC_HEAP, REASON_LIMIT, sum);
                MAKE(maker, MADE_ALLOC, SECONDS(time), stack, address, chunk, COMMIT, 4, 1, GC_HEAP, FAILED,
                     0, 0, 0);
                continue;
            }
            MAKE(maker, MADE_ALLOC, SECONDS(time), stack, address, chunk, COMMIT, 4, 0, GC_HEAP, 0, address,
                 chunk, region);
            committed[heap][at] = true;
            uses[GC_HEAP] += chunk;
        } else if (committed[heap][at] && uses[GC_HEAP] > wanted) {
            MAKE(maker, MADE_FREE, SECONDS(time), 0, address, chunk, DECOMMIT, GC_HEAP, 0, chunk, 0, region);
            committed[heap][at] = false;
            uses[GC_HEAP] -= chunk;
        } else {
            MAKE(maker, MADE_PROTECT, SECONDS(time), 0, address, 4 * KB, 4, 4, 0);
        }
        const unsigned now = sum > soft ? LOW : sum > soft * 3 / 4 ? NEUTRAL : HIGH;
        if (now != pressure)
            MAKE(maker, MADE_NOTIFICATION, SECONDS(time), 0, now);
        pressure = now;
    }
    sample(maker, 20.01, reserved, uses, 900);
    maker_end(maker);
}

/* --------------------------------------------------------------------------------------------------------- crowded */

/* At every moment of the map all regions are others; each is freed twice, by stacks of their own. */
static void crowded(struct trace_maker *maker)
{
    enum { MOMENTS = 95, REGIONS = 330, STACKS = 2500, DEPTH = 24, MISUSES = 600 };
    const uint64_t base = 0x7FF100000000, image = 0x7FFA00000000;
    const uint64_t uses[6] = {123456789, 234567891, 345678912, 45678912, 56789123, 67891234};
    unsigned misuses = 0;

    pace = 1;
    begin(maker);
    MAKE(maker, MADE_IMAGE, SECONDS(0), 0, 3, 4711, image, image + 512 * MB, 0,
         (uintptr_t) "C:\\app\\Microsoft.Extensions.DependencyInjection.Abstractions.dll", 0);
    for (uint32_t i = 0; i < STACKS; i++) {
        uint64_t stack[DEPTH];
        for (unsigned frame = 0; frame < DEPTH; frame++)
            stack[frame] = image + (uint64_t)(i * DEPTH + frame) * 0x1235;
        maker_stack(maker, 10 + i, DEPTH, stack);
    }
    MAKE(maker, MADE_LIMITS, SECONDS(0), 0, 640 * MB, 320 * MB, 160 * MB, 560 * MB, 480 * MB, 600 * MB);
    for (unsigned moment = 0; moment < MOMENTS; moment++) {
        for (unsigned i = 0; i < REGIONS; i++) {
            const double time = 0.005 + moment * 0.02 + 0.018 * i / REGIONS;
            const uint64_t bytes = 64 * MB - i * 4 * KB;
            const uint64_t region = base + ((uint64_t)moment * REGIONS + i) * 64 * MB;
            const uint64_t last = region - (uint64_t)REGIONS * 64 * MB;
            if (i % 40 == 0)
                sample(maker, time, 1234567890 + i, uses, moment);
            if (moment != 0) {
                release(maker, time, 10 + i * 3 % STACKS, i % 5, last, bytes);
                if (misuses++ < MISUSES)
                    misuse(maker, time, 10 + misuses * 7 % STACKS, RELEASE, last, 0);
            }
            reserve(maker, time, 10 + (i * 5 + moment) % STACKS, i % 5, region, bytes);
        }
    }
    maker_end(maker);
}

bool maker_scene(struct trace_maker *maker, const char *scene, uint64_t amount)
{
    if (strcmp(scene, "small") == 0)
        few_events(maker, amount);
    else if (strcmp(scene, "leaks") == 0)
        leaks(maker);
    else if (strcmp(scene, "program") == 0)
        program(maker, amount);
    else if (strcmp(scene, "crowded") == 0)
        crowded(maker);
    else
        return false;
    return true;
}
