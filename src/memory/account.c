/*
 * account.c - charges and refunds, by credit or by the sums
 */
#include "memory/account.h"

#include <stddef.h>

#include "maps/hot.h"
#include "memory/credit_here.h"

static uint64_t load(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

void hm_account_init(struct account *account, struct budget *budget, struct lane *lanes,
                     enum lane_credit kind, bool early)
{
    account->early = early;
    account->budget = budget;
    account->credit.lanes = lanes;
    account->credit.kind = kind;
    unsigned place = 0;
    while (budget->credit[place] != NULL)
        place++;
    budget->credit[place] = &account->credit;
}

static uint64_t ceiling(const struct account *account, unsigned level)
{
    return budget_ceiling_at(account->budget, level > BUDGET_PROCESS ? BUDGET_PROCESS : level);
}

/* Does the budget's sum, with so many bytes more, stay below every mark? */
static inline bool budget_below_marks(const struct account *account, uint64_t bytes, unsigned level)
{
    const struct budget *budget = account->budget;
    uint64_t used = load(&budget->used) + bytes;
    return used <= load(&budget->peak) && used <= ceiling(account, level) && used < load(&budget->wake_above);
}

static bool may_use_credit(const struct budget *budget)
{
    return budget->parent == NULL && load(&budget->fail_left) == BUDGET_UNLIMITED;
}

COLD static void take_off(struct account *account, bool all)
{
    uint32_t holders = hm_credit_holders(&account->credit, all);
    for (unsigned lane = 0; holders != 0; lane++, holders >>= 1) {
        if (!(holders & 1))
            continue;
        struct credit_amount amount = hm_credit_empty(&account->credit, lane);
        gauge_sub(&account->gauge, amount.gauge);
        hm_budget_refund(account->budget, amount.budget);
    }
}

COLD static void collect(struct budget *budget, bool all)
{
    for (unsigned place = 0; place < BUDGET_CREDITS && budget->credit[place] != NULL; place++)
        take_off((struct account *)((char *)budget->credit[place] - offsetof(struct account, credit)), all);
}

void hm_account_collect(struct budget *budget, uint64_t bytes)
{
    collect(budget, load(&budget->used) + bytes > load(&budget->ceiling[BUDGET_PROCESS]));
}

static bool granted(const struct budget_answer *answer)
{
    return answer->verdict == BUDGET_GRANTED || answer->verdict == BUDGET_OVERRUN;
}

/* Bytes of the budget's and of the gauge's. */
HOT static void give_back(struct account *account, uint64_t charged, uint64_t counted)
{
    const struct credit_amount amount = {.budget = charged, .gauge = counted};
    struct budget *budget = account->budget;
    if (charged == 0)
        return;
    if (may_use_credit(budget) && !budget_near_below(budget) && credit_keep(&account->credit, amount)) {
        budget_look(budget);
        return;
    }
    gauge_sub(&account->gauge, counted);
    hm_budget_refund(budget, charged);
}

/* May credit pay?  The sums, which count all of it as used, are at or below every mark. */
HOT static bool credit_will_do(const struct account *account, unsigned level)
{
    return budget_below_marks(account, 0, level) && (!account->early || gauge_below_peak(&account->gauge, 0));
}

/* Of what is charged, so much goes to the gauge already. */
static uint64_t early_part(const struct account *account, uint64_t bytes)
{
    return account->early ? bytes : 0;
}

/* By credit; and the marks are looked at again once it is paid, for another thread may have come nearer to them. */
static bool paid(struct account *account, uint64_t bytes, unsigned level)
{
    const struct credit_amount amount = {.budget = bytes, .gauge = early_part(account, bytes)};
    if (!credit_will_do(account, level) || !credit_pay(&account->credit, amount))
        return false;
    if (credit_will_do(account, level))
        return true;
    give_back(account, amount.budget, amount.gauge);
    return false;
}

/* By the sums: also each charge that raises the peak. */
APART struct budget_answer hm_account_charge_sums(struct account *account, uint64_t bytes, unsigned level)
{
    struct budget *budget = account->budget;
    const uint64_t early = early_part(account, bytes);
    if (!budget_below_marks(account, bytes, level) || !gauge_below_peak(&account->gauge, early))
        collect(budget, load(&budget->used) + bytes > ceiling(account, level));
    struct budget_answer answer = hm_budget_charge(budget, bytes, level);
    if (answer.verdict == BUDGET_OVER && budget->parent == NULL) {
        collect(budget, true); /* what became credit since */
        answer = hm_budget_charge(budget, bytes, level);
    }
    if (granted(&answer))
        atomic_fetch_add_explicit(&account->gauge.now, early, memory_order_relaxed);
    return answer;
}

HOT bool hm_account_pay(struct account *account, uint64_t bytes, unsigned level)
{
    if (bytes == 0)
        return true;
    if (!may_use_credit(account->budget) || !paid(account, bytes, level))
        return false;
    budget_look(account->budget); /* a watermark may have been armed just now */
    return true;
}

HOT struct budget_answer hm_account_charge(struct account *account, uint64_t bytes, unsigned level)
{
    if (hm_account_pay(account, bytes, level))
        return (struct budget_answer){.verdict = BUDGET_GRANTED};
    return hm_account_charge_sums(account, bytes, level);
}

/* The gauge has come to count more. */
HOT static void follow(struct account *account)
{
    if (!gauge_below_peak(&account->gauge, 0))
        raise_to(&account->gauge.peak, hm_account_now(account));
}

HOT void hm_account_settle_gauge(struct account *account, uint64_t bytes)
{
    const struct credit_amount amount = {.gauge = bytes};
    if (!account->early && bytes != 0 &&
        !(gauge_below_peak(&account->gauge, 0) && credit_pay(&account->credit, amount))) {
        if (!gauge_below_peak(&account->gauge, bytes))
            take_off(account, false);
        atomic_fetch_add_explicit(&account->gauge.now, bytes, memory_order_seq_cst);
    }
    follow(account);
}

void hm_account_cancel(struct account *account, uint64_t bytes)
{
    give_back(account, bytes, early_part(account, bytes));
}

HOT void hm_account_refund(struct account *account, uint64_t bytes)
{
    give_back(account, bytes, bytes);
}

HOT struct budget_answer hm_account_force(struct account *account, uint64_t bytes)
{
    if (bytes == 0)
        return (struct budget_answer){.verdict = BUDGET_GRANTED};
    hm_account_collect(account->budget, bytes);
    struct budget_answer answer = hm_budget_force(account->budget, bytes);
    atomic_fetch_add_explicit(&account->gauge.now, bytes, memory_order_seq_cst);
    follow(account);
    return answer;
}

uint64_t hm_account_now(const struct account *account)
{
    struct credit *credit = (struct credit *)&account->credit;
    uint64_t now = hm_credit_less(&account->gauge.now, &credit, 1, CREDIT_GAUGE);
    return (int64_t)now < 0 ? 0 : now;
}
