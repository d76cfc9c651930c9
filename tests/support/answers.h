/*
 * answers.h - what budgets and quotas answer, as one value to compare
 */
#ifndef SUPPORT_ANSWERS_H
#define SUPPORT_ANSWERS_H

#include <stddef.h>

#include "memory/blocks.h"

struct answer {
    enum charge_verdict verdict;
    const struct budget *by; /* whose verdict; NULL: granted */
    uint64_t ceiling, used;  /* its own, at the level that was asked for */
};

static inline struct answer answer_by(const struct budget *by, enum charge_verdict verdict, unsigned level)
{
    struct answer answer = {.verdict = verdict, .by = by};
    if (by != NULL) {
        answer.ceiling = budget_ceiling(by, level > BUDGET_PROCESS ? BUDGET_PROCESS : level);
        answer.used = not_negative(by->used);
    }
    return answer;
}

static inline struct answer answer_of_budget(const struct budget *budget, bool room, unsigned level)
{
    if (room)
        return answer_by(NULL, CHARGE_GRANTED, level);
    return answer_by(budget, budget_refuses(budget, level) ? CHARGE_OVER : CHARGE_OVERRUN, level);
}

/* budget_fits, -take; hm_budget_force. */
static inline struct answer budget_asked(const struct budget *budget, uint64_t bytes, unsigned level)
{
    uint64_t used;
    return answer_of_budget(budget, budget_fits(budget, bytes, level, &used), level);
}

static inline struct answer budget_taken(struct budget *budget, uint64_t bytes, unsigned level)
{
    uint64_t used;
    return answer_of_budget(budget, budget_take(budget, bytes, level, &used), level);
}

static inline struct answer budget_forced(struct budget *budget, uint64_t bytes)
{
    bool overrun = hm_budget_force(budget, bytes);
    struct answer answer =
        answer_by(overrun ? budget : NULL, overrun ? CHARGE_OVERRUN : CHARGE_GRANTED, BUDGET_PROCESS);
    if (overrun)
        answer.used = hm_budget_used(budget);
    return answer;
}

static inline struct answer answer_of_charge(const struct charge *charge)
{
    struct answer answer = answer_by(charge->by, charge->verdict, charge->level);
    if (charge->verdict >= CHARGE_OVER)
        answer.used = charge->used;
    return answer;
}

/* What is left of fail_after. */
static inline uint64_t charges_left(const struct quota *quota)
{
    const uint64_t fail_after = budget_ceiling(&quota->charges, BUDGET_TASK);
    return fail_after == BUDGET_UNLIMITED ? fail_after : fail_after - quota->charges.used;
}

/* hm_quota_try, -charge, -settle; blocks_charge, -settle. */
static inline struct answer quota_tried(struct quota *quota, struct charge *charge)
{
    hm_quota_try(quota, charge);
    return answer_of_charge(charge);
}

static inline struct answer quota_charged(struct quota *quota, struct charge *charge)
{
    hm_quota_charge(quota, charge);
    return answer_of_charge(charge);
}

static inline struct answer answer_of_settling(const struct budget *overrun)
{
    struct answer answer =
        answer_by(overrun, overrun != NULL ? CHARGE_OVERRUN : CHARGE_GRANTED, BUDGET_PROCESS);
    if (overrun != NULL)
        answer.used = hm_budget_used(overrun);
    return answer;
}

static inline struct answer quota_settled(struct quota *quota, const struct charge *charge, uint64_t taken)
{
    return answer_of_settling(hm_quota_settle(quota, charge, taken));
}

static inline struct answer blocks_charged(struct quota *quota, struct charge *charge)
{
    blocks_charge(quota, charge);
    return answer_of_charge(charge);
}

static inline struct answer blocks_settled(struct quota *quota, const struct charge *charge)
{
    return answer_of_settling(blocks_settle(quota, charge));
}

#endif
