/*
 * test_model.c - random calls through the manager and on raw Win32, side by side
 *
 *     test_model [CALLS [SEED]]      100,000 calls, a fixed seed; then half as many with limits
 *
 * Each kind of call is what the CLR does (contract 3.2 to 3.4) or a wrong request; support/model.c makes the
 * call on both sides and compares.  At the end every kind must have succeeded and failed often enough, so
 * that a generator gone wrong is noticed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "support/model.h"

enum { PAGE = 4096, GRANULE = 65536, MIB = 1 << 20 };

static const bool wide = sizeof(void *) == 8;
static uint64_t seed = 20261124;
static unsigned long calls = 100000;
static uint64_t generator;
static struct model model;

static uint64_t next(void)
{
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return generator;
}

static uint64_t below(uint64_t limit)
{
    return next() % limit;
}

#define PICK(array) ((array)[below(sizeof(array) / sizeof *(array))])

static const DWORD writable[] = {PAGE_READWRITE, PAGE_READWRITE, PAGE_EXECUTE_READWRITE};
static const DWORD protections[] = {PAGE_READWRITE,    PAGE_READONLY,          PAGE_NOACCESS,
                                    PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE, PAGE_READWRITE | PAGE_GUARD};
static const DWORD bad_protections[] = {0, 0x333, PAGE_WRITECOPY, PAGE_READWRITE | PAGE_READONLY};

/* Bytes for a new region: of all three forms of the commit map. */
static SIZE_T region_size(void)
{
    uint64_t room = wide ? (uint64_t)16 << 30 : 120 * MIB;
    unsigned form = (unsigned)below(24);
    if (form == 0 && model.reserved < room)
        return (wide ? 256 * MIB + below(1024) * MIB : 65 * MIB + below(16) * MIB) + below(PAGE);
    if (form < 3 && model.reserved < room)
        return 1 + below(64 * MIB);
    return form < 10 ? 65 * PAGE + below(2 * MIB) : 1 + below(64 * PAGE);
}

static struct place plus(struct place at, uint64_t offset)
{
    return (struct place){at.ours + offset, at.raw + offset};
}

static struct place nowhere(uint64_t address)
{
    return (struct place){(char *)(uintptr_t)address, (char *)(uintptr_t)address};
}

static struct pair *any_pair(void)
{
    struct pair *pair;
    do
        pair = &model.pair[below(MODEL_PAIRS)];
    while (pair->base.ours == NULL);
    return pair;
}

/* A few pages within the region; now and then a large piece of it. */
static uint64_t run_in(const struct pair *pair, uint64_t *offset)
{
    uint64_t pages = pair->bytes / PAGE;
    uint64_t most = below(40) == 0 ? (pages < 40000 ? pages : 40000) : (pages < 24 ? pages : 24);
    uint64_t count = 1 + below(most);
    /* Half of them near the start, so that they overlap. */
    uint64_t space = pages - count + 1;
    *offset = below(below(2) && space > 32 ? 32 : space) * PAGE;
    return count * PAGE;
}

/* The same, neither end on a page boundary. */
static uint64_t odd_run_in(const struct pair *pair, uint64_t *offset)
{
    uint64_t bytes = run_in(pair, offset);
    uint64_t skip = below(PAGE);
    *offset += skip;
    return 1 + below(bytes - skip);
}

static bool alloc(struct place at, SIZE_T size, DWORD type, DWORD protect)
{
    return model_alloc(&model, at, size, type, protect, (unsigned)below(3));
}

static bool reserve(void)
{
    return alloc(nowhere(0), region_size(), MEM_RESERVE, PAGE_READWRITE);
}

static bool reserve_write_watch(void)
{
    return alloc(nowhere(0), region_size(), MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);
}

/* On x86 small ones: a big one might have to go where the window is. */
static bool reserve_top_down(void)
{
    return alloc(nowhere(0), wide ? region_size() : 1 + below(2 * MIB), MEM_RESERVE | MEM_TOP_DOWN,
                 PAGE_EXECUTE_READWRITE);
}

/* In a narrow part of the window, so that some are taken. */
static struct place window_place(SIZE_T *size)
{
    *size = region_size();
    uint64_t range = below(4) ? 8 * MIB : model.window_bytes - MIB;
    uint64_t offset = below(2) ? below(range) : below(range / GRANULE) * GRANULE;
    if (*size > model.window_bytes - offset)
        *size = (SIZE_T)(1 + below(MIB));
    return plus(model.window, offset);
}

static bool reserve_explicit(void)
{
    SIZE_T size;
    struct place at = window_place(&size);
    return alloc(at, size, MEM_RESERVE, PAGE_NOACCESS);
}

static bool reserve_commit_explicit(void)
{
    SIZE_T size;
    struct place at = window_place(&size);
    return alloc(at, 1 + size % MIB, MEM_RESERVE | MEM_COMMIT, PICK(writable));
}

static bool reserve_commit(void)
{
    return alloc(nowhere(0), 1 + below(256 * PAGE), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

static bool commit_null(void)
{
    return alloc(nowhere(0), (1 + below(4)) * GRANULE, MEM_COMMIT, PAGE_READWRITE);
}

static bool reserve_wrong(void)
{
    const SIZE_T half = (SIZE_T)1 << (sizeof(SIZE_T) * 8 - 1);
    switch (below(8)) {
    case 0:
        return alloc(nowhere(0), 0, MEM_RESERVE, PAGE_READWRITE);
    case 1:
        return alloc(nowhere(0), half + (SIZE_T)below(half), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    case 2:
        return alloc(nowhere(UINTPTR_MAX - GRANULE + 1), PAGE, MEM_RESERVE, PAGE_READWRITE);
    case 3:
        return alloc(nowhere(PAGE), PAGE, MEM_RESERVE, PAGE_READWRITE);
    case 4:
        return alloc(nowhere(0), PAGE, 0, PAGE_READWRITE);
    case 5:
        return alloc(nowhere(0), PAGE, MEM_RESERVE | 0x10u, PAGE_READWRITE);
    case 6:
        return alloc(nowhere(0), GRANULE, MEM_RESERVE | MEM_COMMIT, PICK(bad_protections));
    default: { /* where a region is already */
        struct pair *pair = any_pair();
        return alloc(plus(pair->base, below(pair->bytes)), 1 + below(GRANULE), MEM_RESERVE, PAGE_READWRITE);
    }
    }
}

static bool commit(void)
{
    struct pair *pair = any_pair();
    uint64_t offset, size = run_in(pair, &offset);
    return alloc(plus(pair->base, offset), size, MEM_COMMIT, PICK(writable));
}

/* The card table's commit: any number of bytes (contract 4). */
static bool commit_odd(void)
{
    struct pair *pair = any_pair();
    uint64_t offset, size = odd_run_in(pair, &offset);
    return alloc(plus(pair->base, offset), size, MEM_COMMIT, PAGE_READWRITE);
}

static bool commit_protect(void)
{
    struct pair *pair = any_pair();
    uint64_t offset, size = run_in(pair, &offset);
    alloc(plus(pair->base, offset), size, MEM_COMMIT, PAGE_READWRITE);
    return alloc(plus(pair->base, offset), size, MEM_COMMIT, PICK(protections));
}

static bool commit_wrong(void)
{
    struct pair *pair = any_pair();
    uint64_t offset, size = run_in(pair, &offset);
    switch (below(6)) {
    case 0: /* past the end */
        return alloc(plus(pair->base, offset), pair->bytes - offset + 1 + below(GRANULE), MEM_COMMIT,
                     PAGE_READWRITE);
    case 1:
        return alloc(plus(pair->base, offset), 0, MEM_COMMIT, PAGE_READWRITE);
    case 2:
        return alloc(plus(pair->base, offset), size, MEM_COMMIT, PICK(bad_protections));
    case 3: /* behind the end, in a granule that is partly the region's */
        return pair->bytes % GRANULE != 0 &&
               alloc(plus(pair->base, pair->bytes), PAGE, MEM_COMMIT, PAGE_READWRITE);
    case 4:
        return alloc(plus(pair->base, offset + below(PAGE)), (SIZE_T)-1 - below(2 * PAGE), MEM_COMMIT,
                     PAGE_READWRITE);
    default: /* free address space, or somebody else's region */
        return alloc(plus(model.window, model.window_bytes - below(8 * GRANULE) - 1), PAGE, MEM_COMMIT,
                     PAGE_READWRITE);
    }
}

/* Decision 10: Windows decides, an account of its own notes it. */
static bool commit_foreign(void)
{
    struct place at = plus(model.foreign, below(15 * GRANULE));
    if (below(2))
        VirtualFree(model.foreign.ours, 0, MEM_DECOMMIT), VirtualFree(model.foreign.raw, 0, MEM_DECOMMIT);
    return alloc(at, 1 + below(GRANULE), MEM_COMMIT, PAGE_READWRITE);
}

static bool reset(void)
{
    struct pair *pair = any_pair();
    uint64_t offset, size = run_in(pair, &offset);
    alloc(plus(pair->base, offset), size, MEM_COMMIT, PAGE_READWRITE);
    return alloc(plus(pair->base, offset), size, MEM_RESET, PAGE_READWRITE);
}

/* Combinations that Windows and Wine judge differently: whatever it is, the twin got it too. */
static bool reset_wrong(void)
{
    static const DWORD types[] = {MEM_RESET | MEM_COMMIT, MEM_RESET_UNDO, MEM_RESET | MEM_RESERVE,
                                  MEM_RESET | MEM_WRITE_WATCH};
    struct pair *pair = any_pair();
    uint64_t offset, size = run_in(pair, &offset);
    if (below(4) == 0)
        return alloc(nowhere(0), GRANULE, below(2) ? MEM_RESET : MEM_RESET | MEM_COMMIT, PAGE_READWRITE);
    return alloc(plus(pair->base, offset), size, PICK(types), PAGE_READWRITE);
}

/* Over holes as well: most of what it covers was never committed. */
static bool decommit(void)
{
    struct pair *pair = any_pair();
    uint64_t offset, size = run_in(pair, &offset);
    return model_free(&model, plus(pair->base, offset), size, MEM_DECOMMIT);
}

static bool decommit_odd(void)
{
    struct pair *pair = any_pair();
    uint64_t offset, size = odd_run_in(pair, &offset);
    return model_free(&model, plus(pair->base, offset), size, MEM_DECOMMIT);
}

static bool decommit_all(void)
{
    struct pair *pair = any_pair();
    return below(2) ? model_free(&model, plus(pair->base, below(PAGE)), 0, MEM_DECOMMIT)
                    : model_free(&model, pair->base, pair->bytes - below(PAGE), MEM_DECOMMIT);
}

static bool decommit_wrong(void)
{
    struct pair *pair = any_pair();
    uint64_t offset, size = run_in(pair, &offset);
    switch (below(3)) {
    case 0:
        return model_free(&model, plus(pair->base, offset), 0, MEM_DECOMMIT);
    case 1: /* sizes that wrap around */
        return model_free(&model, plus(pair->base, offset + below(PAGE)), (SIZE_T)-1 - below(2 * PAGE),
                          MEM_DECOMMIT);
    default:
        return model_free(&model, plus(pair->base, offset), pair->bytes - offset + size, MEM_DECOMMIT);
    }
}

/* As the garbage collector deletes a segment: decommit what was committed, then release (contract 3.3). */
static bool release(void)
{
    struct pair *pair = any_pair();
    if (below(2))
        model_free(&model, pair->base, 1 + below(pair->bytes), MEM_DECOMMIT);
    return model_free(&model, plus(pair->base, below(4) ? 0 : below(PAGE)), 0, MEM_RELEASE);
}

static bool release_wrong(void)
{
    static const DWORD types[] = {
        0, MEM_RELEASE | MEM_DECOMMIT, 0x123, MEM_COMMIT, MEM_RELEASE | 1, MEM_RELEASE | 2};
    struct pair *pair = any_pair();
    uint64_t offset, size = run_in(pair, &offset);
    switch (below(4)) {
    case 0: /* ROTOR's delete_large_heap */
        return model_free(&model, pair->base, pair->bytes, MEM_RELEASE);
    case 1:
        return model_free(&model, plus(pair->base, offset), size, MEM_RELEASE);
    case 2: /* interior */
        return pair->bytes > PAGE &&
               model_free(&model, plus(pair->base, PAGE + below(pair->bytes - PAGE)), 0, MEM_RELEASE);
    default:
        return model_free(&model, pair->base, below(2) ? pair->bytes : 0, PICK(types));
    }
}

static bool free_foreign(void)
{
    static const DWORD types[] = {MEM_RELEASE, MEM_RELEASE, MEM_DECOMMIT, 0};
    static char in_image[PAGE];
    char on_stack[16];
    struct pair *pair = any_pair();
    char *addresses[] = {
        NULL,
        model.bystander,
        model.bystander,
        model.bystander + below(2 * MODEL_BYSTANDER_PAGES * PAGE),
        model.view,
        model.view + below(GRANULE),
        model.foreign.ours,
        on_stack,
        in_image,
        (char *)(uintptr_t)free_foreign,
        pair->base.raw,                                     /* never came through the manager */
        model.window.ours + below(model.window_bytes),      /* freed, or never allocated, or ours after all */
        pair->base.ours + pair->bytes,                      /* just behind */
        pair->base.ours - 1,                                /* just before */
        (char *)((uintptr_t)1 << (sizeof(void *) * 8 - 1)), /* kernel */
        (char *)UINTPTR_MAX,
        (char *)(uintptr_t)next(),
    };
    char *address = PICK(addresses);
    struct place at = {address, address};
    for (unsigned i = 0; i < MODEL_PAIRS; i++) /* somebody's after all: then at its twin's place */
        if (address >= model.pair[i].base.ours && address < model.pair[i].base.ours + model.pair[i].bytes)
            at.raw = model.pair[i].base.raw + (address - model.pair[i].base.ours);
    return model_free(&model, at, below(3) == 0 ? below(2 * GRANULE) : 0, PICK(types));
}

static bool protect(void)
{
    struct pair *pair = any_pair();
    uint64_t offset, size = below(2) ? run_in(pair, &offset) : odd_run_in(pair, &offset);
    if (below(2))
        alloc(plus(pair->base, offset), size, MEM_COMMIT, PAGE_READWRITE);
    return model_protect(&model, plus(pair->base, offset), size, PICK(protections), true);
}

static bool protect_wrong(void)
{
    struct pair *pair = any_pair();
    uint64_t offset, size = run_in(pair, &offset);
    switch (below(5)) {
    case 0:
        return model_protect(&model, plus(pair->base, offset), size, PICK(bad_protections), true);
    case 1:
        return model_protect(&model, plus(pair->base, offset), size, PAGE_READWRITE, false);
    case 2:
        return model_protect(&model, plus(pair->base, offset), 0, PAGE_READWRITE, true);
    case 3:
        return model_protect(&model, plus(pair->base, offset), pair->bytes - offset + GRANULE, PAGE_READWRITE,
                             true);
    default: /* not ours: served all the same, or refused by Windows */
        return model_protect(&model, plus(model.foreign, below(15 * GRANULE)), PAGE, PAGE_READWRITE, true);
    }
}

static bool query(void)
{
    char on_stack[16];
    struct pair *pair = any_pair();
    char *addresses[] = {pair->base.ours + below(pair->bytes),
                         pair->base.raw,
                         pair->base.ours + pair->bytes,
                         model.window.ours + below(model.window_bytes),
                         model.bystander,
                         model.view,
                         on_stack,
                         (char *)(uintptr_t)query};
    return model_query(&model, PICK(addresses), sizeof(MEMORY_BASIC_INFORMATION));
}

static bool query_wrong(void)
{
    if (below(2))
        return model_query(&model, any_pair()->base.ours, below(sizeof(MEMORY_BASIC_INFORMATION)));
    return model_query(&model, (char *)UINTPTR_MAX - below(GRANULE), sizeof(MEMORY_BASIC_INFORMATION));
}

enum { WORKS = 1, FAILS = 2, BOTH = WORKS | FAILS, EITHER = 0 };

static struct kind {
    const char *name;
    bool (*run)(void);
    unsigned weight;
    unsigned must; /* outcomes that must be seen */
    bool reserves;
    unsigned long worked, failed;
} kinds[] = {
    {"reserve", reserve, 4, WORKS, true, 0, 0},
    {"reserve write watch", reserve_write_watch, 2, WORKS, true, 0, 0},
    {"reserve top down", reserve_top_down, 2, WORKS, true, 0, 0},
    {"reserve explicit", reserve_explicit, 6, BOTH, true, 0, 0},
    {"reserve+commit explicit", reserve_commit_explicit, 3, BOTH, true, 0, 0},
    {"reserve+commit", reserve_commit, 2, WORKS, true, 0, 0},
    {"commit at NULL", commit_null, 3, WORKS, true, 0, 0},
    {"reserve, wrong", reserve_wrong, 3, FAILS, true, 0, 0},
    {"commit", commit, 14, WORKS, false, 0, 0},
    {"commit, odd", commit_odd, 10, WORKS, false, 0, 0},
    {"commit, other protection", commit_protect, 5, WORKS, false, 0, 0},
    {"commit, wrong", commit_wrong, 4, FAILS, false, 0, 0},
    {"commit, foreign", commit_foreign, 2, WORKS, false, 0, 0},
    {"reset", reset, 3, WORKS, false, 0, 0},
    {"reset, wrong", reset_wrong, 2, EITHER, true, 0, 0},
    {"decommit", decommit, 9, WORKS, false, 0, 0},
    {"decommit, odd", decommit_odd, 6, WORKS, false, 0, 0},
    {"decommit all", decommit_all, 3, WORKS, false, 0, 0},
    {"decommit, wrong", decommit_wrong, 3, FAILS, false, 0, 0},
    {"release", release, 15, WORKS, false, 0, 0},
    {"release, wrong", release_wrong, 5, FAILS, false, 0, 0},
    {"free, foreign", free_foreign, 8, FAILS, false, 0, 0},
    {"protect", protect, 7, BOTH, false, 0, 0},
    {"protect, wrong", protect_wrong, 3, FAILS, false, 0, 0},
    {"query", query, 3, WORKS, false, 0, 0},
    {"query, wrong", query_wrong, 2, FAILS, false, 0, 0},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static struct kind *any_kind(void)
{
    static unsigned total;
    if (total == 0)
        for (unsigned i = 0; i < KINDS; i++)
            total += kinds[i].weight;
    unsigned at = (unsigned)below(total);
    struct kind *kind = kinds;
    for (; at >= kind->weight; kind++)
        at -= kind->weight;
    bool full = model.pairs >= MODEL_PAIRS - 1 || (!wide && model.reserved > 170 * MIB);
    if (kind->reserves && full)
        return any_kind();
    return kind;
}

/* Below what is in use, a little above, or far; and now and then no more address space. */
static hostmem_limits any_limits(void)
{
    const uint64_t rooms[] = {64 * PAGE, 8 * MIB, 64 * MIB};
    hostmem_limits limits = {.size = sizeof limits, .flags = below(2) ? HOSTMEM_LIMITS_STRICT : 0};
    limits.limit = 1 + (below(6) == 0 ? below(model.committed + 1) : model.committed + below(PICK(rooms)));
    limits.task_limit = below(3) == 0 ? 1 + below(limits.limit) : 0;
    limits.margin = below(64 * PAGE);
    limits.reserve_limit = below(4) == 0 ? model.reserved + 1 + below(8 * MIB) : 0;
    return limits;
}

static uint64_t most_reserved;

static void run_calls(unsigned long count, bool limited)
{
    print_message("%lu calls, seed %llu\n", count, (unsigned long long)seed);
    generator = seed * 0x9E3779B97F4A7C15u + 1;
    model_init(&model);
    for (unsigned i = 0; i < KINDS; i++)
        kinds[i].worked = kinds[i].failed = 0;
    unsigned long checked = 0, hm_limits_set = 0;
    most_reserved = 0;
    while (model.calls < count) {
        if (limited && model.pairs < 3)
            model_limit(&model, NULL); /* or there might be no room for any more */
        while (model.pairs < 3)
            reserve();
        if (limited && model.calls / 300 > hm_limits_set) {
            hostmem_limits limits = any_limits();
            hm_limits_set++;
            model_limit(&model, &limits);
        }
        struct kind *kind = any_kind();
        if (kind->run())
            kind->worked++;
        else
            kind->failed++;
        if (model.calls / 1000 > checked) {
            checked++;
            model_check_all(&model);
        }
        most_reserved = model.reserved > most_reserved ? model.reserved : most_reserved;
    }
    model_check_all(&model);
    model_finish(&model);
}

static void check_kinds(unsigned long count)
{
    unsigned long worked = 0, failed = 0;
    for (unsigned i = 0; i < KINDS; i++) {
        print_message("%-26s %7lu worked %7lu failed\n", kinds[i].name, kinds[i].worked, kinds[i].failed);
        worked += kinds[i].worked;
        failed += kinds[i].failed;
        unsigned long least = count / 2000;
        if (kinds[i].must & WORKS)
            assert_true(kinds[i].worked > least);
        if (kinds[i].must & FAILS)
            assert_true(kinds[i].failed > least);
    }
    print_message("at most %llu MiB reserved\n", (unsigned long long)(most_reserved >> 20));
    assert_true(worked >= failed);
}

static void test_model(void **state)
{
    (void)state;
    run_calls(calls, false);
    check_kinds(calls);
    assert_true(most_reserved > (wide ? (uint64_t)1 << 30 : 80 * MIB));
    assert_int_equal(model.overruns, 0);
}

/* Limits that change: each refusal and each overrun is foretold. */
static void test_model_with_limits(void **state)
{
    (void)state;
    static const hostmem_reason reasons[] = {HOSTMEM_REASON_TASK_LIMIT, HOSTMEM_REASON_LIMIT,
                                             HOSTMEM_REASON_MARGIN, HOSTMEM_REASON_RESERVE_LIMIT};
    run_calls(calls / 2, true);
    check_kinds(calls / 2);
    for (unsigned i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        print_message("reason %u: %llu refused\n", (unsigned)reasons[i],
                      (unsigned long long)model.refused[reasons[i]]);
        assert_true(model.refused[reasons[i]] > calls / 4000);
    }
    print_message("%llu overruns\n", (unsigned long long)model.overruns);
    assert_true(model.overruns > calls / 4000);
}

int main(int count, char **arguments)
{
    if (count > 1)
        calls = strtoul(arguments[1], NULL, 10);
    if (count > 2)
        seed = strtoull(arguments[2], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_model_with_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
