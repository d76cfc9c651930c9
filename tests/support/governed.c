/*
 * governed.c - see governed.h
 */
#include "support/governed.h"

#include <stdlib.h>

hostmem_limits limits_of(uint64_t limit, uint64_t task_limit, uint64_t margin, uint32_t flags)
{
    return (hostmem_limits){.size = sizeof(hostmem_limits),
                            .flags = flags,
                            .limit = limit,
                            .task_limit = task_limit,
                            .margin = margin};
}

struct governed *governed_make(const hostmem_limits *limits, hostmem_budget *shared)
{
    struct governed *g = calloc(1, sizeof *g);
    assert_non_null(g);
    hostmem_options options = {.size = sizeof options,
                               .limits = limits,
                               .shared = shared,
                               .event = event_log_note,
                               .context = &g->log};
    assert_hresult(hostmem_create(&options, &g->f.manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(g->f.manager, &g->f.memory), S_OK);
    assert_hresult(IHostMemoryManager_CreateMalloc(g->f.memory, MALLOC_THREADSAFE, &g->heap), S_OK);
    return g;
}

void governed_end(struct governed *g)
{
    void *state = g;
    hostmem_statistics statistics = fixture_statistics(g->f.manager);
    assert_int_equal(statistics.blocks, 0);
    assert_int_equal(statistics.heap.now, 0);
    assert_int_equal(statistics.charged.now, statistics.view_committed.now);
    assert_int_equal(IHostMalloc_Release(g->heap), 0);
    fixture_teardown(&state);
}

int governed_setup(void **state)
{
    *state = governed_make(NULL, NULL);
    return 0;
}

int governed_teardown(void **state)
{
    governed_end(*state);
    return 0;
}

void governed_limit(struct governed *g, const hostmem_limits *limits)
{
    assert_hresult(hostmem_set_limits(g->f.manager, limits), S_OK);
}

static uint64_t sum(const hostmem_statistics *statistics)
{
    return statistics->committed.now + statistics->view_committed.now + statistics->heap.now;
}

uint64_t charged(struct governed *g)
{
    hostmem_statistics statistics = fixture_statistics(g->f.manager);
    assert_int_equal(statistics.charged.now, sum(&statistics));
    return statistics.charged.now;
}

static HRESULT alloc(struct governed *g, void *address, SIZE_T size, DWORD type, unsigned level,
                     void **memory)
{
    *memory = (void *)1;
    SetLastError(NO_ERROR_SET);
    return IHostMemoryManager_VirtualAlloc(g->f.memory, address, size, type, PAGE_READWRITE,
                                           (EMemoryCriticalLevel)level, memory);
}

void *grant(struct governed *g, void *address, SIZE_T size, DWORD type, unsigned level, uint64_t fresh)
{
    hostmem_statistics before = fixture_statistics(g->f.manager);
    void *memory;
    assert_hresult(alloc(g, address, size, type, level, &memory), S_OK);
    hostmem_statistics statistics = fixture_statistics(g->f.manager);
    assert_int_equal(statistics.charged.now, before.charged.now + fresh);
    assert_int_equal(statistics.charged.now, sum(&statistics));
    assert_true(statistics.charged.peak >= statistics.charged.now);
    assert_int_equal(statistics.refusals, g->refusals);
    assert_int_equal(statistics.overrun.count, before.overrun.count);
    assert_int_equal(event_log_count(&g->log, HOSTMEM_EVENT_OVERRUN), g->overruns);
    return memory;
}

static void assert_told(const hostmem_event *event, unsigned level, const struct refusal *expected)
{
    assert_int_equal(event->size, sizeof *event);
    assert_int_equal(event->reason, expected->reason);
    assert_int_equal(event->critical_level, level < HOSTMEM_LEVEL_NONE ? level : HOSTMEM_LEVEL_NONE);
    assert_int_equal(event->bytes, expected->bytes);
    assert_int_equal(event->limit, expected->limit);
    assert_int_equal(event->used, expected->used);
    assert_int_equal(event->lost, 0);
}

static void assert_refusal(struct governed *g, const hostmem_statistics *before, unsigned level,
                           const struct refusal *expected)
{
    hostmem_statistics statistics = fixture_statistics(g->f.manager);
    assert_int_equal(statistics.charged.now, before->charged.now);
    assert_int_equal(statistics.charged.now, sum(&statistics));
    assert_int_equal(statistics.reserved.now, before->reserved.now);
    assert_int_equal(statistics.regions, before->regions);
    assert_int_equal(statistics.overrun.count, before->overrun.count);
    assert_int_equal(statistics.refusals, ++g->refusals);
    for (unsigned reason = 0; reason < HOSTMEM_REASON_COUNT; reason++)
        assert_int_equal(statistics.refused[reason],
                         before->refused[reason] + (reason == (unsigned)expected->reason));
    hostmem_event event = event_log_wait(&g->log, HOSTMEM_EVENT_REFUSED, g->refusals);
    assert_told(&event, level, expected);
    assert_int_equal(event_log_count(&g->log, HOSTMEM_EVENT_REFUSED), g->refusals);
}

void refuse(struct governed *g, void *address, SIZE_T size, DWORD type, unsigned level,
            struct refusal expected)
{
    hostmem_statistics before = fixture_statistics(g->f.manager);
    void *memory;
    assert_hresult(alloc(g, address, size, type, level, &memory), E_OUTOFMEMORY);
    assert_int_equal(GetLastError(), ERROR_COMMITMENT_LIMIT);
    assert_null(memory);
    assert_refusal(g, &before, level, &expected);
}

void *overrun(struct governed *g, void *address, SIZE_T size, DWORD type, unsigned level,
              struct refusal expected)
{
    hostmem_statistics before = fixture_statistics(g->f.manager);
    void *memory;
    assert_hresult(alloc(g, address, size, type, level, &memory), S_OK);
    hostmem_statistics statistics = fixture_statistics(g->f.manager);
    assert_int_equal(statistics.charged.now, before.charged.now + expected.bytes);
    assert_int_equal(statistics.refusals, before.refusals);
    hostmem_event event = event_log_wait(&g->log, HOSTMEM_EVENT_OVERRUN, ++g->overruns);
    assert_told(&event, level, &expected);
    return memory;
}

void *grant_block(struct governed *g, SIZE_T size, unsigned level)
{
    uint64_t before = charged(g);
    void *block = NULL;
    assert_hresult(IHostMalloc_Alloc(g->heap, size, (EMemoryCriticalLevel)level, &block), S_OK);
    assert_non_null(block);
    assert_int_equal(charged(g), before + size);
    return block;
}

void refuse_block(struct governed *g, SIZE_T size, unsigned level, struct refusal expected)
{
    hostmem_statistics before = fixture_statistics(g->f.manager);
    char file[] = "file.c";
    void *block = (void *)1;
    SetLastError(NO_ERROR_SET);
    assert_hresult(IHostMalloc_Alloc(g->heap, size, (EMemoryCriticalLevel)level, &block), E_OUTOFMEMORY);
    assert_int_equal(GetLastError(), ERROR_COMMITMENT_LIMIT);
    assert_null(block);
    assert_refusal(g, &before, level, &expected);

    before = fixture_statistics(g->f.manager);
    block = (void *)1;
    SetLastError(NO_ERROR_SET);
    assert_hresult(IHostMalloc_DebugAlloc(g->heap, size, (EMemoryCriticalLevel)level, file, __LINE__, &block),
                   E_OUTOFMEMORY);
    assert_int_equal(GetLastError(), ERROR_COMMITMENT_LIMIT);
    assert_null(block);
    assert_refusal(g, &before, level, &expected);
    assert_int_equal(fixture_statistics(g->f.manager).blocks, before.blocks);
}

void release(struct governed *g, void *address)
{
    fixture_free(&g->f, address, 0, MEM_RELEASE);
}

void decommit(struct governed *g, void *address, SIZE_T size)
{
    fixture_free(&g->f, address, size, MEM_DECOMMIT);
}
