/*
 * budget.c - charge, refund, and the watermarks
 */
#include "memory/budget.h"

static uint64_t load(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void store(_Atomic uint64_t *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_relaxed);
}

static void raise_to(_Atomic uint64_t *peak, uint64_t value)
{
    uint64_t before = load(peak);
    while (value > before && !atomic_compare_exchange_weak_explicit(
                                 peak, &before, value, memory_order_relaxed, memory_order_relaxed))
        ;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

void budget_init(struct budget *budget)
{
    const struct budget_limits none = {.limit = BUDGET_UNLIMITED,
                                       .task_limit = BUDGET_UNLIMITED,
                                       .soft = BUDGET_UNLIMITED,
                                       .fail_after = BUDGET_UNLIMITED};
    store(&budget->wake_above, UINT64_MAX);
    budget_set(budget, &none);
}

void budget_set(struct budget *budget, const struct budget_limits *limits)
{
    store(&budget->ceiling[BUDGET_TASK], limits->task_limit);
    store(&budget->ceiling[BUDGET_DOMAIN], limits->limit);
    store(&budget->ceiling[BUDGET_PROCESS], add(limits->limit, limits->margin));
    store(&budget->soft, limits->soft);
    store(&budget->fail_after, limits->fail_after);
    atomic_store_explicit(&budget->strict, limits->strict, memory_order_relaxed);
    if (budget->crossed != NULL)
        budget->crossed();
}

void budget_get(const struct budget *budget, struct budget_limits *limits)
{
    limits->task_limit = load(&budget->ceiling[BUDGET_TASK]);
    limits->limit = load(&budget->ceiling[BUDGET_DOMAIN]);
    limits->margin = load(&budget->ceiling[BUDGET_PROCESS]) - limits->limit;
    limits->soft = load(&budget->soft);
    limits->fail_after = load(&budget->fail_after);
    limits->strict = atomic_load_explicit(&budget->strict, memory_order_relaxed);
}

/* Use has passed `now`.  Of several threads that pass an armed watermark one calls. */
static void passed(struct budget *budget, _Atomic uint64_t *watermark, uint64_t disarmed)
{
    if (atomic_exchange_explicit(watermark, disarmed, memory_order_relaxed) != disarmed &&
        budget->crossed != NULL)
        budget->crossed();
}

static void grown(struct budget *budget, uint64_t now)
{
    raise_to(&budget->peak, now);
    if (now >= atomic_load_explicit(&budget->wake_above, memory_order_seq_cst))
        passed(budget, &budget->wake_above, UINT64_MAX);
}

static struct budget_answer overrun(struct budget *budget, uint64_t bytes)
{
    uint64_t ceiling = load(&budget->ceiling[BUDGET_PROCESS]);
    uint64_t now = atomic_fetch_add_explicit(&budget->used, bytes, memory_order_seq_cst) + bytes;
    grown(budget, now);
    if (now <= ceiling)
        return (struct budget_answer){.verdict = BUDGET_GRANTED};
    atomic_fetch_add_explicit(&budget->overruns, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&budget->overrun_bytes, bytes, memory_order_relaxed);
    raise_to(&budget->overrun_peak, now - ceiling);
    return (struct budget_answer){BUDGET_OVERRUN, budget, ceiling, now};
}

static struct budget_answer take(struct budget *budget, uint64_t bytes, unsigned level)
{
    uint64_t ceiling = load(&budget->ceiling[level]);
    uint64_t used = load(&budget->used);
    do {
        if (bytes > ceiling || used > ceiling - bytes) {
            if (level == BUDGET_PROCESS && bytes <= BUDGET_MOST &&
                !atomic_load_explicit(&budget->strict, memory_order_relaxed))
                return overrun(budget, bytes);
            return (struct budget_answer){BUDGET_OVER, budget, ceiling, used};
        }
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + bytes, memory_order_seq_cst,
                                                    memory_order_relaxed));
    grown(budget, used + bytes);
    return (struct budget_answer){.verdict = BUDGET_GRANTED};
}

static void give(struct budget *budget, uint64_t bytes)
{
    uint64_t now = atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_seq_cst) - bytes;
    if (now < atomic_load_explicit(&budget->wake_below, memory_order_seq_cst))
        passed(budget, &budget->wake_below, 0);
}

/* One of the charges that are granted before the ordered failure; false: they are used up. */
static bool before_failure(struct budget *budget)
{
    uint64_t left = load(&budget->fail_after);
    do {
        if (left == BUDGET_UNLIMITED)
            return true;
        if (left == 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->fail_after, &left, left - 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

struct budget_answer budget_charge(struct budget *budget, uint64_t bytes, unsigned level)
{
    struct budget_answer answer = {.verdict = BUDGET_GRANTED};
    if (bytes == 0)
        return answer;
    if (level > BUDGET_PROCESS)
        level = BUDGET_PROCESS;
    for (struct budget *b = budget; b != NULL; b = b->parent) {
        struct budget_answer one = {BUDGET_FAILED, b, load(&b->ceiling[level]), load(&b->used)};
        if (level == BUDGET_PROCESS || before_failure(b))
            one = take(b, bytes, level);
        if (one.verdict == BUDGET_OVER || one.verdict == BUDGET_FAILED) {
            for (struct budget *taken = budget; taken != b; taken = taken->parent)
                give(taken, bytes);
            return one;
        }
        if (one.verdict == BUDGET_OVERRUN)
            answer = one;
    }
    return answer;
}

struct budget_answer budget_force(struct budget *budget, uint64_t bytes)
{
    struct budget_answer answer = {.verdict = BUDGET_GRANTED};
    for (struct budget *b = bytes != 0 ? budget : NULL; b != NULL; b = b->parent) {
        struct budget_answer one = overrun(b, bytes);
        if (one.verdict == BUDGET_OVERRUN)
            answer = one;
    }
    return answer;
}

void budget_refund(struct budget *budget, uint64_t bytes)
{
    for (struct budget *b = bytes != 0 ? budget : NULL; b != NULL; b = b->parent)
        give(b, bytes);
}

uint64_t budget_ceiling(const struct budget *budget)
{
    uint64_t least = UINT64_MAX;
    for (const struct budget *b = budget; b != NULL; b = b->parent)
        if (load(&b->ceiling[BUDGET_TASK]) < least)
            least = load(&b->ceiling[BUDGET_TASK]);
    return least;
}

/* The pressure that `used` means after `before`; from *below up to *above, and not there, it stays so. */
static enum budget_pressure judge(uint64_t used, uint64_t soft, enum budget_pressure before, uint64_t *below,
                                  uint64_t *above)
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

enum budget_pressure budget_pressure(struct budget *budget)
{
    enum budget_pressure pressure =
        (enum budget_pressure)atomic_load_explicit(&budget->pressure, memory_order_relaxed);
    uint64_t below, above, used;
    /* Armed first, then read again: a change in between is seen by one of the two. */
    do {
        pressure = judge(load(&budget->used), load(&budget->soft), pressure, &below, &above);
        atomic_store_explicit(&budget->wake_below, below, memory_order_seq_cst);
        atomic_store_explicit(&budget->wake_above, above, memory_order_seq_cst);
        used = atomic_load_explicit(&budget->used, memory_order_seq_cst);
    } while (used >= above || used < below);
    atomic_store_explicit(&budget->pressure, (uint32_t)pressure, memory_order_relaxed);
    return pressure;
}
