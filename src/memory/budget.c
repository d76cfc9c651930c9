/*
 * budget.c - one number, and its watermarks
 */
#include "memory/budget.h"

#include <stddef.h>

static uint64_t load(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void store(_Atomic uint64_t *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_relaxed);
}

void hm_budget_init(struct budget *budget)
{
    const struct budget_limits none = {
        .limit = BUDGET_UNLIMITED, .task_limit = BUDGET_UNLIMITED, .soft = BUDGET_UNLIMITED};
    store(&budget->wake_above, UINT64_MAX);
    hm_budget_set(budget, &none);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a + b < a ? BUDGET_UNLIMITED : a + b;
}

void hm_budget_set(struct budget *budget, const struct budget_limits *limits)
{
    store(&budget->ceiling[BUDGET_TASK], limits->task_limit);
    store(&budget->ceiling[BUDGET_DOMAIN], limits->limit);
    store(&budget->ceiling[BUDGET_PROCESS], sum(limits->limit, limits->margin));
    store(&budget->soft, limits->soft);
    store(&budget->margin, limits->margin);
    atomic_store_explicit(&budget->strict, limits->strict, memory_order_relaxed);
    if (budget->crossed != NULL)
        budget->crossed();
}

void hm_budget_get(const struct budget *budget, struct budget_limits *limits)
{
    limits->task_limit = load(&budget->ceiling[BUDGET_TASK]);
    limits->limit = load(&budget->ceiling[BUDGET_DOMAIN]);
    limits->margin = load(&budget->margin);
    limits->soft = load(&budget->soft);
    limits->strict = atomic_load_explicit(&budget->strict, memory_order_relaxed);
}

uint64_t hm_budget_used(const struct budget *budget)
{
    return stock_less(&budget->used, budget->stock);
}

/* A watermark is behind us.  Of several threads that pass an armed one, one calls. */
static void pass(struct budget *budget, _Atomic uint64_t *watermark, uint64_t disarmed)
{
    if (atomic_exchange_explicit(watermark, disarmed, memory_order_relaxed) != disarmed &&
        budget->crossed != NULL)
        budget->crossed();
}

bool hm_budget_force(struct budget *budget, uint64_t bytes)
{
    const uint64_t ceiling = budget_ceiling(budget, BUDGET_PROCESS);
    uint64_t used =
        not_negative(atomic_fetch_add_explicit(&budget->used, bytes, memory_order_seq_cst) + bytes);
    budget_note(budget);
    if (used > ceiling && budget->stock != NULL) /* stock could be taken back: it is no overrun */
        used = not_negative(used - stock_held(budget->stock));
    if (used <= ceiling)
        return false;
    atomic_fetch_add_explicit(&budget->overruns, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&budget->overrun_bytes, bytes, memory_order_relaxed);
    raise_to(&budget->overrun_peak, used - ceiling);
    return true;
}

void hm_budget_look(struct budget *budget)
{
    uint64_t used = load(&budget->used);
    bool above = used >= atomic_load_explicit(&budget->wake_above, memory_order_seq_cst);
    if (!above && !budget_near_below(budget, used))
        return;
    used = hm_budget_used(budget);
    if (used >= atomic_load_explicit(&budget->wake_above, memory_order_seq_cst))
        pass(budget, &budget->wake_above, UINT64_MAX);
    if (used < atomic_load_explicit(&budget->wake_below, memory_order_seq_cst))
        pass(budget, &budget->wake_below, 0);
}

/* The pressure that `used` means after `before`; from *below up to *above, and not there, it stays so. */
static enum budget_pressure pressure_at(uint64_t used, uint64_t soft, enum budget_pressure before,
                                        uint64_t *below, uint64_t *above)
{
    const uint64_t eighth = soft / 8;
    const uint64_t low = before == BUDGET_LOW ? soft - eighth : soft;
    const uint64_t high = before == BUDGET_HIGH ? soft / 2 + eighth : soft / 2;
    *below = 0;
    *above = UINT64_MAX;
    if (soft == BUDGET_UNLIMITED)
        return BUDGET_HIGH;
    if (used >= low) {
        *below = soft - eighth;
        return BUDGET_LOW;
    }
    *above = soft;
    if (used <= high) {
        *above = soft / 2 + eighth + 1;
        return BUDGET_HIGH;
    }
    *below = soft / 2 + 1;
    return BUDGET_NEUTRAL;
}

enum budget_pressure hm_budget_pressure(struct budget *budget)
{
    enum budget_pressure pressure =
        (enum budget_pressure)atomic_load_explicit(&budget->pressure, memory_order_relaxed);
    uint64_t below, above, used;
    /* Armed first, then read again: a change in between is seen by one of the two. */
    do {
        pressure = pressure_at(hm_budget_used(budget), load(&budget->soft), pressure, &below, &above);
        atomic_store_explicit(&budget->wake_below, below, memory_order_seq_cst);
        atomic_store_explicit(&budget->wake_above, above, memory_order_seq_cst);
        used = hm_budget_used(budget);
    } while (used >= above || used < below);
    atomic_store_explicit(&budget->pressure, (uint32_t)pressure, memory_order_relaxed);
    return pressure;
}
