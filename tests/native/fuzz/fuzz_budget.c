/*
 * fuzz_budget.c - two budgets under a third, each beside plain numbers
 *
 * Exact: verdicts, use, peaks, overruns and the pressure.  How often somebody is woken is the budget's own affair;
 * demanded is that he is, whenever a look would show another pressure, and not over and over.
 */
#include "fuzz.h"

#include "memory/budget.h"

enum { BUDGETS = 3 };

static struct budget budgets[BUDGETS];

static struct model {
    struct model *parent;
    struct budget *real;
    struct budget_limits limits;
    int64_t used; /* below 0: refunded before it was charged */
    uint64_t peak, overruns, overrun_bytes, overrun_peak;
    uint64_t fail_left;
    enum budget_pressure pressure;
    int64_t early; /* refunded before it was charged, in this budget itself */
    unsigned
        allowed; /* calls of `crossed` until the next look: one for each watermark, and for each change */
} models[BUDGETS];

static unsigned wakes[BUDGETS]; /* since the last look */

static void wake_first(void)
{
    wakes[0]++;
}

static void wake_second(void)
{
    wakes[1]++;
}

static void wake_third(void)
{
    wakes[2]++;
}

static uint64_t used(const struct model *model)
{
    return model->used < 0 ? 0 : (uint64_t)model->used;
}

static uint64_t ceiling(const struct model *model, unsigned level)
{
    const struct budget_limits *limits = &model->limits;
    if (level == BUDGET_TASK)
        return limits->task_limit;
    uint64_t both = limits->limit + limits->margin;
    return level == BUDGET_DOMAIN ? limits->limit : both < limits->limit ? UINT64_MAX : both;
}

static enum budget_pressure judge(const struct model *model)
{
    uint64_t soft = model->limits.soft, now = used(model);
    if (soft == BUDGET_UNLIMITED)
        return BUDGET_HIGH;
    if (now >= (model->pressure == BUDGET_LOW ? soft - soft / 8 : soft))
        return BUDGET_LOW;
    return now <= (model->pressure == BUDGET_HIGH ? soft / 2 + soft / 8 : soft / 2) ? BUDGET_HIGH
                                                                                    : BUDGET_NEUTRAL;
}

static void check(const struct model *model)
{
    unsigned i = (unsigned)(model - models);
    const struct budget *real = model->real;
    DEMAND(real->used == (uint64_t)model->used);
    DEMAND(real->peak == model->peak);
    DEMAND(real->overruns == model->overruns);
    DEMAND(real->overrun_bytes == model->overrun_bytes);
    DEMAND(real->overrun_peak == model->overrun_peak);
    DEMAND(wakes[i] <= model->allowed);
    if (judge(model) != model->pressure)
        DEMAND(wakes[i] > 0);
}

/* Whether the model, or its parent, would refuse, and the answer if so. */
static bool refuses(struct model *model, uint64_t bytes, unsigned level, struct budget_answer *answer)
{
    uint64_t top = ceiling(model, level);
    if (bytes > top || used(model) > top - bytes) {
        if (level != BUDGET_PROCESS || model->limits.strict || bytes > BUDGET_MOST) {
            *answer = (struct budget_answer){BUDGET_OVER, model->real, top, (uint64_t)model->used};
            return true;
        }
    }
    if (model->parent != NULL && refuses(model->parent, bytes, level, answer))
        return true;
    if (level == BUDGET_PROCESS || model->fail_left != 0)
        return false;
    *answer = (struct budget_answer){BUDGET_FAILED, model->real, top, (uint64_t)model->used};
    return true;
}

/* The model and its parent take it; the answer is that of the first overrun. */
static void take(struct model *model, uint64_t bytes, unsigned level, struct budget_answer *answer)
{
    *answer = (struct budget_answer){.verdict = BUDGET_GRANTED};
    for (; model != NULL; model = model->parent) {
        uint64_t top = ceiling(model, BUDGET_PROCESS);
        model->used += (int64_t)bytes;
        if (used(model) > model->peak)
            model->peak = used(model);
        if (level != BUDGET_PROCESS && model->fail_left != BUDGET_UNLIMITED)
            model->fail_left--;
        if (level != BUDGET_PROCESS || used(model) <= top)
            continue;
        model->overruns++;
        model->overrun_bytes += bytes;
        if (used(model) - top > model->overrun_peak)
            model->overrun_peak = used(model) - top;
        if (answer->verdict == BUDGET_GRANTED)
            *answer = (struct budget_answer){BUDGET_OVERRUN, model->real, top, used(model)};
    }
}

static void check_answer(struct budget_answer real, struct budget_answer expected)
{
    DEMAND(real.verdict == expected.verdict);
    if (real.verdict == BUDGET_GRANTED)
        return;
    DEMAND(real.by == expected.by);
    DEMAND(real.ceiling == expected.ceiling);
    DEMAND(real.used == expected.used);
}

/* Little, about as much as there is left at some level, or more than there can be. */
static uint64_t take_bytes(struct input *input, const struct model *model)
{
    uint32_t how = take_byte(input);
    if (how >= 0xF0)
        return how & 1 ? BUDGET_MOST + how % 4 : BUDGET_MOST - take_byte(input);
    if (how < 0x80)
        return how < 0x40 ? how : take_number(input, 2);
    if (how % 8 == 7 && model->parent != NULL)
        model = model->parent;
    uint64_t top = ceiling(model, how % BUDGET_LEVELS);
    if (how % 16 == 0)
        top = model->limits.soft;
    uint64_t left = top > used(model) && top < BUDGET_MOST ? top - used(model) : 100;
    return left + take_byte(input) % 4 - 1;
}

static void charge(struct input *input, struct model *model, bool force)
{
    struct budget_answer real, expected;
    uint64_t bytes = take_bytes(input, model);
    uint32_t level = take_byte(input) % 5; /* more than there are */
    if (force)
        real = hm_budget_force(model->real, bytes);
    else
        real = hm_budget_charge(model->real, bytes, level);
    level = force || level > BUDGET_PROCESS ? BUDGET_PROCESS : level;
    if (bytes == 0)
        expected = (struct budget_answer){.verdict = BUDGET_GRANTED};
    else if (force || !refuses(model, bytes, level, &expected))
        take(model, bytes, level, &expected);
    check_answer(real, expected);
}

static void refund(struct model *model, uint64_t bytes)
{
    hm_budget_refund(model->real, bytes);
    for (struct model *m = model; m != NULL; m = m->parent)
        m->used -= (int64_t)bytes;
}

/* Of what the budget itself has been charged; a parent only by its children. */
static void give_back(struct input *input, struct model *model)
{
    if (model->used <= 0)
        return;
    uint32_t how = take_byte(input);
    uint64_t bytes = how < 0x40 ? how : take_bytes(input, model);
    if (how > 0xC0 || bytes > used(model))
        bytes = used(model);
    refund(model, bytes);
}

/* A page that is decommitted a moment before its commit was charged. */
static void early_refund(struct input *input, struct model *model)
{
    if (model->early != 0) {
        struct budget_answer expected;
        hm_budget_force(model->real, (uint64_t)model->early);
        take(model, (uint64_t)model->early, BUDGET_PROCESS, &expected);
        model->early = 0;
    } else {
        model->early = 1 + (int64_t)take_below(input, 5000);
        refund(model, (uint64_t)model->early);
    }
}

static uint64_t take_figure(struct input *input)
{
    uint32_t how = take_byte(input);
    return how < 0x30 ? BUDGET_UNLIMITED : how < 0xC0 ? take_number(input, 2) : take_number(input, 5);
}

static void set_limits(struct input *input, struct model *model)
{
    struct budget_limits limits = {.limit = take_figure(input), .margin = take_byte(input)}, read;
    uint32_t how = take_byte(input);
    limits.task_limit = how & 1 ? take_figure(input) : limits.limit;
    limits.soft = how & 2 ? take_figure(input) : BUDGET_UNLIMITED;
    /* Only where nobody is above: a charge that a child fails by order has been its parent's for a moment. */
    limits.fail_after = how & 4 && model->parent == NULL ? take_byte(input) % 16 : BUDGET_UNLIMITED;
    limits.strict = how & 8;
    if (how & 16)
        limits.margin = take_figure(input);
    if (limits.task_limit > limits.limit)
        limits.task_limit = limits.limit;
    if (limits.soft > limits.limit)
        limits.soft = limits.limit;
    hm_budget_set(model->real, &limits);
    model->limits = limits;
    model->fail_left = limits.fail_after;
    model->allowed++;
    hm_budget_get(model->real, &read);
    DEMAND(read.limit == limits.limit && read.task_limit == limits.task_limit);
    DEMAND(read.margin == limits.margin && read.soft == limits.soft);
    DEMAND(read.fail_after == limits.fail_after && read.strict == limits.strict);
}

static void look(struct model *model)
{
    enum budget_pressure expected = judge(model);
    DEMAND(hm_budget_pressure(model->real) == expected);
    model->pressure = expected;
    model->allowed = 2;
    wakes[model - models] = 0;
    uint64_t least = model->limits.task_limit;
    if (model->parent != NULL && model->parent->limits.task_limit < least)
        least = model->parent->limits.task_limit;
    DEMAND(hm_budget_ceiling(model->real) == least);
}

static void begin(void)
{
    static void (*const crossed[BUDGETS])(void) = {wake_first, wake_second, wake_third};
    memset(budgets, 0, sizeof budgets);
    memset(models, 0, sizeof models);
    for (unsigned i = 0; i < BUDGETS; i++) {
        budgets[i].parent = i == 0 ? NULL : &budgets[0];
        hm_budget_init(&budgets[i]);
        budgets[i].crossed = crossed[i];
        models[i] = (struct model){.parent = i == 0 ? NULL : &models[0],
                                   .real = &budgets[i],
                                   .limits = {.limit = BUDGET_UNLIMITED,
                                              .task_limit = BUDGET_UNLIMITED,
                                              .soft = BUDGET_UNLIMITED,
                                              .fail_after = BUDGET_UNLIMITED},
                                   .fail_left = BUDGET_UNLIMITED};
        look(&models[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    begin();
    for (unsigned steps = 0; more(&input) && steps < 1000; steps++) { /* so that the sums stay small enough */
        uint32_t operation = take_byte(&input);
        struct model *model = &models[1 + operation / 8 % 2];
        switch (operation % 8) {
        case 0:
        case 1:
            charge(&input, model, false);
            break;
        case 2:
            charge(&input, model, operation >= 0x80);
            break;
        case 3:
        case 4:
            give_back(&input, model);
            break;
        case 5:
            early_refund(&input, model);
            break;
        case 6:
            set_limits(&input, &models[operation / 8 % BUDGETS]);
            break;
        default:
            look(&models[operation / 8 % BUDGETS]);
        }
        for (unsigned i = 0; i < BUDGETS; i++)
            check(&models[i]);
    }
    return 0;
}
