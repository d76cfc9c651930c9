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

void hm_budget_init(struct budget *budget)
{
    const struct budget_limits none = {.limit = BUDGET_UNLIMITED,
                                       .task_limit = BUDGET_UNLIMITED,
                                       .soft = BUDGET_UNLIMITED,
                                       .fail_after = BUDGET_UNLIMITED};
    store(&budget->wake_above, UINT64_MAX);
    hm_budget_set(budget, &none);
}

void hm_budget_set(struct budget *budget, const struct budget_limits *limits)
{
    store(&budget->ceiling[BUDGET_TASK], limits->task_limit);
    store(&budget->ceiling[BUDGET_DOMAIN], limits->limit);
    store(&budget->ceiling[BUDGET_PROCESS], budget_sum(limits->limit, limits->margin));
    store(&budget->soft, limits->soft);
    store(&budget->margin, limits->margin);
    store(&budget->fail_after, limits->fail_after);
    store(&budget->fail_left, limits->fail_after);
    atomic_store_explicit(&budget->margin_first, limits->margin_first, memory_order_relaxed);
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
    limits->fail_after = load(&budget->fail_after);
    limits->margin_first = atomic_load_explicit(&budget->margin_first, memory_order_relaxed);
    limits->strict = atomic_load_explicit(&budget->strict, memory_order_relaxed);
}

/* Use has passed `now`.  Of several threads that pass an armed watermark one calls. */
static void passed(struct budget *budget, _Atomic uint64_t *watermark, uint64_t disarmed)
{
    if (atomic_exchange_explicit(watermark, disarmed, memory_order_relaxed) != disarmed &&
        budget->crossed != NULL)
        budget->crossed();
}

/* A page that one thread commits and another decommits at once may be refunded a moment before it is charged. */
static uint64_t counted(uint64_t used)
{
    return (int64_t)used < 0 ? 0 : used;
}

uint64_t hm_budget_used(const struct budget *budget)
{
    return counted(hm_credit_less(&budget->used, budget->credit, BUDGET_CREDITS, CREDIT_BUDGET));
}

static uint64_t without(uint64_t used, uint64_t apart)
{
    return used > apart ? used - apart : 0;
}

uint64_t hm_budget_used_of_limit(const struct budget *budget)
{
    return without(hm_budget_used(budget), budget_apart(budget));
}

void hm_budget_note_critical(struct budget *budget, uint64_t bytes)
{
    for (struct budget *b = bytes != 0 ? budget : NULL; b != NULL; b = b->parent)
        atomic_fetch_add_explicit(&b->critical, BUDGET_MOST + bytes, memory_order_seq_cst);
}

void hm_budget_drop_critical(struct budget *budget, uint64_t bytes)
{
    for (struct budget *b = bytes != 0 ? budget : NULL; b != NULL; b = b->parent) {
        atomic_fetch_add_explicit(&b->critical, BUDGET_MOST - bytes, memory_order_seq_cst);
        if (atomic_load_explicit(&b->margin_first, memory_order_relaxed) && b->crossed != NULL)
            b->crossed(); /* the watermarks were armed for more of it */
    }
}

void hm_budget_look_closely(struct budget *budget)
{
    uint64_t used = hm_budget_used(budget);
    if (used >= atomic_load_explicit(&budget->wake_above, memory_order_seq_cst))
        passed(budget, &budget->wake_above, UINT64_MAX);
    if (used < atomic_load_explicit(&budget->wake_below, memory_order_seq_cst))
        passed(budget, &budget->wake_below, 0);
}

/* Without any, `used` says it all.  (Who keeps some just now looks at the watermark itself.) */
static bool has_credit(const struct budget *budget)
{
    uint32_t holders = 0;
    for (unsigned i = 0; i < BUDGET_CREDITS && budget->credit[i] != NULL; i++)
        holders |= hm_credit_holders(budget->credit[i], false);
    return holders != 0;
}

static void give(struct budget *budget, uint64_t bytes)
{
    uint64_t now = counted(atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_seq_cst) - bytes);
    if (now < atomic_load_explicit(&budget->wake_below, memory_order_seq_cst))
        passed(budget, &budget->wake_below, 0);
    else if (has_credit(budget) && budget_near_below(budget))
        hm_budget_look_closely(budget);
}

/* As the level sees it: what is apart is not mentioned. */
static struct budget_answer over(const struct budget *budget, unsigned level, uint64_t used)
{
    uint64_t apart = level < BUDGET_PROCESS ? budget_apart(budget) : 0;
    return (struct budget_answer){BUDGET_OVER, budget, load(&budget->ceiling[level]),
                                  apart != 0 ? without(counted(used), apart) : used};
}

/* Use alone: what is to be noted of it is noted when it is certain. */
static struct budget_answer take(struct budget *budget, uint64_t bytes, unsigned level)
{
    for (;;) {
        uint64_t critical = atomic_load_explicit(&budget->critical, memory_order_seq_cst);
        uint64_t ceiling = budget_ceiling_at(budget, level);
        uint64_t used = load(&budget->used);
        if (bytes > ceiling || counted(used) > ceiling - bytes) {
            if (level != BUDGET_PROCESS || bytes > BUDGET_MOST ||
                atomic_load_explicit(&budget->strict, memory_order_relaxed))
                return over(budget, level, used);
            used = atomic_fetch_add_explicit(&budget->used, bytes, memory_order_seq_cst) + bytes;
            return (struct budget_answer){counted(used) > ceiling ? BUDGET_OVERRUN : BUDGET_GRANTED, budget,
                                          ceiling, used};
        }
        if (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + bytes, memory_order_seq_cst,
                                                   memory_order_relaxed))
            continue;
        const struct budget_answer answer = {BUDGET_GRANTED, budget, ceiling, used + bytes};
        bool within = counted(used + bytes) <= load(&budget->ceiling[level]);
        if (within || level == BUDGET_PROCESS ||
            atomic_load_explicit(&budget->critical, memory_order_seq_cst) == critical)
            return answer;
        give(budget, bytes); /* what is apart has changed meanwhile */
    }
}

/* `bytes` have been taken for good, with this answer. */
static void note(struct budget *budget, uint64_t bytes, const struct budget_answer *answer)
{
    if (counted(answer->used) == 0)
        return;
    raise_to(&budget->peak, answer->used);
    if (answer->used >= atomic_load_explicit(&budget->wake_above, memory_order_seq_cst))
        passed(budget, &budget->wake_above, UINT64_MAX);
    if (answer->verdict != BUDGET_OVERRUN)
        return;
    atomic_fetch_add_explicit(&budget->overruns, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&budget->overrun_bytes, bytes, memory_order_relaxed);
    raise_to(&budget->overrun_peak, answer->used - answer->ceiling);
}

/* One of the charges that are granted before the ordered failure; false: they are used up. */
static bool before_failure(struct budget *budget)
{
    uint64_t left = load(&budget->fail_left);
    do {
        if (left == BUDGET_UNLIMITED)
            return true;
        if (left == 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->fail_left, &left, left - 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static bool refuses(const struct budget_answer *answer)
{
    return answer->verdict == BUDGET_OVER || answer->verdict == BUDGET_FAILED;
}

/* The charge was none after all. */
static void not_yet(struct budget *budget)
{
    uint64_t left = load(&budget->fail_left);
    while (left != BUDGET_UNLIMITED &&
           !atomic_compare_exchange_weak_explicit(&budget->fail_left, &left, left + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* The budget, then its parent; whatever one of them refuses leaves no mark on the other. */
static struct budget_answer charge(struct budget *budget, uint64_t bytes, unsigned level)
{
    struct budget_answer own = take(budget, bytes, level), parents = {.verdict = BUDGET_GRANTED};
    const bool may_fail = level != BUDGET_PROCESS;
    if (refuses(&own))
        return own;
    if (may_fail && !before_failure(budget)) {
        give(budget, bytes);
        return (struct budget_answer){BUDGET_FAILED, budget, own.ceiling, own.used - bytes};
    }
    if (budget->parent != NULL)
        parents = charge(budget->parent, bytes, level);
    if (refuses(&parents)) {
        give(budget, bytes);
        if (may_fail)
            not_yet(budget);
        return parents;
    }
    note(budget, bytes, &own);
    return own.verdict == BUDGET_OVERRUN ? own : parents;
}

struct budget_answer hm_budget_charge(struct budget *budget, uint64_t bytes, unsigned level)
{
    if (bytes == 0)
        return (struct budget_answer){.verdict = BUDGET_GRANTED};
    return charge(budget, bytes, level > BUDGET_PROCESS ? BUDGET_PROCESS : level);
}

struct budget_answer hm_budget_force(struct budget *budget, uint64_t bytes)
{
    struct budget_answer answer = {.verdict = BUDGET_GRANTED};
    for (struct budget *b = bytes != 0 ? budget : NULL; b != NULL; b = b->parent) {
        uint64_t ceiling = load(&b->ceiling[BUDGET_PROCESS]);
        uint64_t used = atomic_fetch_add_explicit(&b->used, bytes, memory_order_seq_cst) + bytes;
        struct budget_answer one = {counted(used) > ceiling ? BUDGET_OVERRUN : BUDGET_GRANTED, b, ceiling,
                                    used};
        note(b, bytes, &one);
        if (answer.verdict != BUDGET_OVERRUN)
            answer = one;
    }
    return answer;
}

void hm_budget_refund(struct budget *budget, uint64_t bytes)
{
    for (struct budget *b = bytes != 0 ? budget : NULL; b != NULL; b = b->parent)
        give(b, bytes);
}

static uint64_t task_ceiling(const struct budget *budget)
{
    return load(&budget->ceiling[BUDGET_TASK]);
}

/* The least of a budget's figure and its parents'. */
static uint64_t tightest(const struct budget *budget, uint64_t (*figure)(const struct budget *budget))
{
    uint64_t least = UINT64_MAX;
    for (const struct budget *b = budget; b != NULL; b = b->parent)
        if (figure(b) < least)
            least = figure(b);
    return least;
}

uint64_t hm_budget_ceiling(const struct budget *budget)
{
    return tightest(budget, task_ceiling);
}

uint64_t hm_budget_least_size(const struct budget *budget)
{
    return tightest(budget, budget_size);
}

/* The pressure that `used` means after `before`; from *below up to *above, and not there, it stays so. */
static enum hm_budget_pressure judge(uint64_t used, uint64_t soft, enum hm_budget_pressure before,
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

enum hm_budget_pressure hm_budget_pressure(struct budget *budget)
{
    enum hm_budget_pressure pressure =
        (enum hm_budget_pressure)atomic_load_explicit(&budget->pressure, memory_order_relaxed);
    uint64_t below, above, used;
    /* Armed first, then read again: a change in between is seen by one of the two. */
    do {
        uint64_t apart = budget_apart(budget);
        pressure =
            judge(without(hm_budget_used(budget), apart), load(&budget->soft), pressure, &below, &above);
        below = below != 0 ? budget_sum(below, apart) : 0;
        above = budget_sum(above, apart);
        atomic_store_explicit(&budget->wake_below, below, memory_order_seq_cst);
        atomic_store_explicit(&budget->wake_above, above, memory_order_seq_cst);
        used = hm_budget_used(budget);
    } while (used >= above || used < below);
    atomic_store_explicit(&budget->pressure, (uint32_t)pressure, memory_order_relaxed);
    return pressure;
}
