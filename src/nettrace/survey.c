/*
 * survey.c - figures of the accounting as events
 */
#include "nettrace/survey.h"

#include "memory/os.h"
#include "nettrace/schema.h"

static void add(struct trace_file *file, unsigned event, const uint64_t *figures, const char *text)
{
    const struct file_event of_writer = {.capture = CAPTURE_WRITER,
                                         .event = event,
                                         .time = hm_os_counter(),
                                         .thread = GetCurrentThreadId(),
                                         .figures = figures,
                                         .text = text};
    hm_trace_file_add(file, &of_writer);
}

void hm_survey_limits(struct trace_file *file, const struct vm *vm)
{
    uint64_t figures[TRACE_VALUES];
    hm_vm_limits(vm, figures);
    add(file, TRACE_LIMITS, figures, NULL);
}

void hm_survey_regions(struct trace_file *file, struct vm *vm)
{
    const uint32_t used = pool_used(&vm->table.records);
    for (uint32_t number = 1; number <= used; number++) {
        struct region_hold hold;
        uint64_t figures[TRACE_VALUES];
        if (!hm_region_enter_number(&vm->table, number, &hold))
            continue;
        const bool view = hold.region->kind == HOSTMEM_REGION_VIEW;
        hm_vm_region_figures(&hold, figures);
        hm_region_leave_unchanged(&vm->table, &hold);
        add(file, view ? TRACE_VIEW_MAPPED : TRACE_REGION, figures, NULL);
    }
}

/* As the host knows it; all ones: it has said nothing. */
static uint64_t collections(const struct vm *vm, unsigned generation)
{
    const uint64_t counted =
        atomic_load_explicit(&vm->recorders.collections[generation], memory_order_relaxed) - 1;
    return counted < UINT32_MAX ? counted : UINT32_MAX;
}

static uint64_t use_now(const struct vm *vm, hostmem_use use)
{
    return not_negative(atomic_load_explicit(&vm->stats.by_use[use].now, memory_order_relaxed));
}

void hm_survey_sample(struct trace_file *file, const struct vm *vm)
{
    struct os_memory memory = {.process_commit = 0};
    hm_os_process_use(&memory);
    const uint64_t figures[SCHEMA_VALUES] = {hm_budget_used(&vm->quota.reserve),
                                             stats_committed(&vm->stats),
                                             hm_budget_used(&vm->quota.commit),
                                             use_now(vm, HOSTMEM_USE_GC_HEAP),
                                             use_now(vm, HOSTMEM_USE_GC_TABLES),
                                             use_now(vm, HOSTMEM_USE_CODE),
                                             use_now(vm, HOSTMEM_USE_LOADER),
                                             use_now(vm, HOSTMEM_USE_VIEW),
                                             use_now(vm, HOSTMEM_USE_OTHER),
                                             blocks_now(&vm->quota),
                                             memory.process_commit,
                                             collections(vm, 0),
                                             collections(vm, 1),
                                             collections(vm, 2)};
    add(file, TRACE_SAMPLE, figures, NULL);
}

void hm_survey_count_calls(struct survey_calls *calls, const struct vm *vm)
{
    for (unsigned method = 0; method < HOSTMEM_METHOD_COUNT; method++)
        calls->method[method] = hm_stats_calls(&vm->stats, (hostmem_method)method);
}

void hm_survey_calls(struct trace_file *file, const struct survey_calls *calls)
{
    for (unsigned method = 0; method < HOSTMEM_METHOD_COUNT; method++) {
        const uint64_t figures[] = {calls->method[method].calls, calls->method[method].failures};
        if (figures[0] != 0)
            add(file, TRACE_CALLS, figures, hm_stats_method_names[method]);
    }
}
