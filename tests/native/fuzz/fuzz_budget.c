/*
 * fuzz_budget.c - quotas and blocks, each budget beside plain numbers
 *
 * Two quotas under a third, or two with stock and nobody above them.  Exact: verdicts, use, peaks, overruns, what is left
 * of fail_after, and the pressure.  How often somebody is woken is the budget's own affair; demanded is that he is,
 * whenever a look would show another pressure and no charge is under way, and not over and over.
 */
#include "fuzz.h"

#include "memory/blocks.h"
#include "support/answers.h"

enum { QUOTAS = 3, PARTS = 3, BUDGETS = QUOTAS * PARTS, ROW = 4, PENDING = 6 };

static struct quota quotas[QUOTAS];
static struct stock stocks[QUOTAS];

struct model {
    struct budget *real;
    struct budget_limits limits;
    int64_t used; /* below 0: refunded before it was charged */
    uint64_t peak, overruns, overrun_bytes, overrun_peak;
    enum budget_pressure pressure;
    /* Calls of `crossed` until the next look: one for each watermark, and for each change. */
    unsigned allowed, wakes;
};

static struct owner {
    struct owner *parent;
    struct quota *real;
    struct model commit, heap, reserve;
    uint64_t fail_left;
    uint64_t settled[PARTS]; /* by charge_kind, blocks apart */
    uint64_t blocks, settled_blocks, blocks_peak;
    int64_t early; /* refunded before it was charged */
} owners[QUOTAS];

/* Charged, and neither settled nor cancelled. */
static struct pending {
    bool open, block;
    struct owner *owner;
    struct charge charge;
} pending[PENDING];

static void wake(unsigned owner, bool heap)
{
    (heap ? &owners[owner].heap : &owners[owner].commit)->wakes++;
}

#define WAKER(owner)                                                                                         \
    static void wake_commit_##owner(void)                                                                    \
    {                                                                                                        \
        wake(owner, false);                                                                                  \
    }                                                                                                        \
    static void wake_heap_##owner(void)                                                                      \
    {                                                                                                        \
        wake(owner, true);                                                                                   \
    }
WAKER(0)
WAKER(1)
WAKER(2)

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

/* ---------------------------------------------------------------------------------------------- the whole of it */

static bool somebody_pending(void)
{
    for (unsigned i = 0; i < PENDING; i++)
        if (pending[i].open)
            return true;
    return false;
}

static void check(const struct model *model)
{
    const struct budget *real = model->real;
    const uint64_t held = real->stock == NULL ? 0 : stock_held(real->stock);
    DEMAND(real->used - held == (uint64_t)model->used);
    DEMAND(hm_budget_used(real) == used(model));
    DEMAND(real->peak == model->peak);
    DEMAND(real->overruns == model->overruns);
    DEMAND(real->overrun_bytes == model->overrun_bytes);
    DEMAND(real->overrun_peak == model->overrun_peak);
    DEMAND(model->wakes <= model->allowed);
    if (judge(model) != model->pressure && !somebody_pending())
        DEMAND(model->wakes > 0);
}

static uint64_t shown(const struct owner *owner)
{
    uint64_t least = BUDGET_UNLIMITED;
    for (; owner != NULL; owner = owner->parent) {
        const uint64_t both[] = {owner->commit.limits.task_limit, owner->heap.limits.task_limit};
        for (unsigned i = 0; i < 2; i++)
            least = both[i] < least ? both[i] : least;
    }
    return least;
}

static void check_all(void)
{
    for (struct owner *owner = owners; owner < owners + QUOTAS; owner++) {
        check(&owner->commit);
        check(&owner->heap);
        owner->reserve.pressure = judge(&owner->reserve); /* nobody watches it */
        check(&owner->reserve);
        DEMAND(charges_left(owner->real) == owner->fail_left);
        DEMAND(hm_quota_shown(owner->real) == shown(owner));
        if (owner->real->stock == NULL)
            continue;
        DEMAND(blocks_now(owner->real) == owner->blocks);
        DEMAND(owner->real->stock->charged.peak == owner->blocks_peak);
        DEMAND(owner->parent == NULL || stock_held(owner->real->stock) == 0);
        DEMAND(stock_held(owner->real->stock) <= STOCK_MOST); /* of one thread */
    }
}

/* ------------------------------------------------------------------------------------------------------ charges */

static unsigned row_of(struct owner *owner, enum charge_kind kind, struct model *row[ROW])
{
    unsigned count = 0;
    for (; owner != NULL; owner = owner->parent) {
        row[count++] = kind == CHARGE_RESERVE ? &owner->reserve : &owner->commit;
        if (kind == CHARGE_HEAP)
            row[count++] = &owner->heap;
    }
    return count;
}

static bool is_beyond(const struct model *model, uint64_t bytes, unsigned level)
{
    uint64_t top = ceiling(model, level);
    return bytes > top || used(model) > top - bytes;
}

static struct answer answer_of(enum charge_verdict verdict, const struct model *model, unsigned level)
{
    return (struct answer){verdict, model->real, ceiling(model, level), used(model)};
}

static bool may_fail(const struct charge *charge)
{
    return charge->level < BUDGET_PROCESS && charge->kind != CHARGE_RESERVE;
}

static void count_fail_left(struct owner *owner, int64_t change)
{
    for (; owner != NULL; owner = owner->parent)
        if (owner->fail_left != BUDGET_UNLIMITED)
            owner->fail_left += (uint64_t)change;
}

/* What the charge must be answered; it is taken where it is no overrun. */
static struct answer expect(struct owner *owner, struct charge *charge, bool stock)
{
    struct answer answer = {.verdict = CHARGE_GRANTED};
    struct model *row[ROW];
    const unsigned count = row_of(owner, charge->kind, row);
    charge->overruns = 0;
    if (charge->bytes == 0)
        return answer;
    for (unsigned i = 0; i < count; i++)
        if (is_beyond(row[i], charge->bytes, charge->level) &&
            (charge->level < BUDGET_PROCESS || row[i]->limits.strict))
            return answer_of(CHARGE_OVER, row[i], charge->level);
    for (struct owner *o = owner; o != NULL && may_fail(charge); o = o->parent)
        if (o->fail_left == 0 || budget_ceiling(&o->real->charges, BUDGET_TASK) == 0)
            return answer_of(CHARGE_FAILED, &o->commit, charge->level);
    for (unsigned i = 0; i < count; i++)
        if (is_beyond(row[i], charge->bytes, charge->level)) {
            charge->overruns |= 1u << i;
            if (answer.verdict == CHARGE_GRANTED)
                answer = answer_of(CHARGE_OVERRUN, row[i], charge->level);
        } else {
            row[i]->used += (int64_t)charge->bytes;
        }
    if (may_fail(charge) && !stock)
        count_fail_left(owner, -1);
    return answer;
}

static void check_answer(struct answer real, struct answer expected)
{
    DEMAND(real.verdict == expected.verdict);
    if (real.verdict == CHARGE_GRANTED)
        return;
    DEMAND(real.by == expected.by);
    DEMAND(real.ceiling == expected.ceiling);
    DEMAND(real.used == expected.used);
}

static void note(struct model *model)
{
    if (used(model) > model->peak)
        model->peak = used(model);
}

/* Taken whatever the limits say; is it an overrun? */
static bool force(struct model *model, uint64_t bytes)
{
    const uint64_t top = ceiling(model, BUDGET_PROCESS);
    model->used += (int64_t)bytes;
    note(model);
    if (used(model) <= top)
        return false;
    model->overruns++;
    model->overrun_bytes += bytes;
    if (used(model) - top > model->overrun_peak)
        model->overrun_peak = used(model) - top;
    return true;
}

static struct answer settled(struct owner *owner, const struct charge *charge, uint64_t taken)
{
    struct answer answer = {.verdict = CHARGE_GRANTED};
    struct model *row[ROW];
    const unsigned count = row_of(owner, charge->kind, row);
    for (unsigned i = 0; i < count; i++) {
        const uint64_t held = charge->overruns >> i & 1 ? 0 : charge->bytes;
        if (taken <= held) {
            row[i]->used -= (int64_t)(held - taken);
            if (taken != 0)
                note(row[i]);
        } else if (force(row[i], taken - held) && answer.verdict == CHARGE_GRANTED) {
            answer = answer_of(CHARGE_OVERRUN, row[i], BUDGET_PROCESS);
        }
    }
    return answer;
}

/* Little, about as much as there is left at some level, or more than there can be. */
static uint64_t take_bytes(struct input *input, struct owner *owner, enum charge_kind kind)
{
    uint32_t how = take_byte(input);
    struct model *row[ROW];
    const unsigned count = row_of(owner, kind, row);
    if (how >= 0xF0)
        return ((uint64_t)1 << 48) - take_byte(input);
    if (how < 0x80)
        return how < 0x40 ? how : take_number(input, 2);
    const struct model *model = row[how / 16 % count];
    uint64_t top = ceiling(model, how % BUDGET_LEVELS);
    if (how % 8 == 0)
        top = model->limits.soft;
    uint64_t left = top > used(model) && top < (uint64_t)1 << 48 ? top - used(model) : 100;
    return left + take_byte(input) % 4 - 1;
}

static void begin_charge(struct input *input, struct pending *slot, struct owner *owner)
{
    struct answer real;
    uint32_t how = take_byte(input);
    slot->owner = owner;
    slot->block = how % 2 && owner->real->stock != NULL;
    struct charge charge = {.level = how / 2 % 5, /* more than there are */
                            .kind = slot->block ? CHARGE_COMMIT : (enum charge_kind)(how / 16 % PARTS)};
    charge.bytes = take_bytes(input, owner, charge.kind);
    struct charge expected = charge;
    expected.level = charge.level > BUDGET_PROCESS ? BUDGET_PROCESS : charge.level;
    const bool stock = slot->block && owner->parent == NULL && owner->fail_left == BUDGET_UNLIMITED;
    real = slot->block ? blocks_charged(owner->real, &charge) : quota_charged(owner->real, &charge);
    check_answer(real, expect(owner, &expected, stock));
    slot->open = real.verdict == CHARGE_GRANTED || real.verdict == CHARGE_OVERRUN;
    if (!slot->open)
        return;
    DEMAND(charge.bytes == 0 || charge.overruns == expected.overruns);
    slot->charge = charge;
    if (slot->block && charge.overruns == 0)
        owner->blocks += charge.bytes;
}

/* It came to what was charged, to less or more, or to nothing. */
static void end_charge(struct input *input, struct pending *slot)
{
    static const struct answer nothing = {.verdict = CHARGE_GRANTED};
    struct owner *owner = slot->owner;
    const struct charge *charge = &slot->charge;
    uint32_t how = take_byte(input);
    slot->open = false;
    if (how % 4 == 0) {
        if (slot->block)
            hm_blocks_cancel(owner->real, charge);
        else
            hm_quota_cancel(owner->real, charge);
        settled(owner, charge, 0);
        if (charge->bytes != 0 && may_fail(charge))
            count_fail_left(owner, 1);
        owner->blocks -= slot->block && charge->overruns == 0 ? charge->bytes : 0;
    } else if (slot->block) {
        owner->blocks += charge->overruns != 0 ? charge->bytes : 0;
        owner->settled_blocks += charge->bytes;
        if (charge->bytes != 0 && owner->blocks > owner->blocks_peak)
            owner->blocks_peak = owner->blocks;
        struct answer real = blocks_settled(owner->real, charge);
        check_answer(real, charge->bytes != 0 ? settled(owner, charge, charge->bytes) : nothing);
    } else {
        uint64_t taken = how % 4 == 1 ? charge->bytes / (1 + how / 64) + how % 64 : charge->bytes;
        owner->settled[charge->kind] += taken;
        check_answer(quota_settled(owner->real, charge, taken), settled(owner, charge, taken));
    }
}

static void refund(struct owner *owner, enum charge_kind kind, uint64_t bytes)
{
    struct model *row[ROW];
    const unsigned count = row_of(owner, kind, row);
    for (unsigned i = 0; i < count; i++)
        row[i]->used -= (int64_t)bytes;
}

static void give_back(struct input *input, struct owner *owner)
{
    uint32_t how = take_byte(input);
    const bool block = how % 4 == 3;
    const enum charge_kind kind = block ? CHARGE_COMMIT : (enum charge_kind)(how % 4);
    uint64_t *all = block ? &owner->settled_blocks : &owner->settled[kind];
    uint64_t bytes = how < 0x40 ? how : how > 0xC0 ? *all : take_bytes(input, owner, kind);
    bytes = bytes < *all ? bytes : *all;
    *all -= bytes;
    refund(owner, kind, bytes);
    if (!block) {
        hm_quota_refund(owner->real, kind, bytes);
    } else if (bytes != 0) {
        owner->blocks -= bytes;
        blocks_refund(owner->real, bytes);
    }
}

/* A page that is decommitted a moment before its commit was charged. */
static void early_refund(struct input *input, struct owner *owner)
{
    if (owner->early != 0) {
        const struct charge none = {.level = BUDGET_PROCESS, .kind = CHARGE_HEAP};
        const uint64_t bytes = (uint64_t)owner->early;
        check_answer(quota_settled(owner->real, &none, bytes), settled(owner, &none, bytes));
        owner->early = 0;
    } else {
        owner->early = 1 + (int64_t)take_below(input, 5000);
        hm_quota_refund(owner->real, CHARGE_HEAP, (uint64_t)owner->early);
        refund(owner, CHARGE_HEAP, (uint64_t)owner->early);
    }
}

static void change_use(struct input *input, struct owner *owner)
{
    uint32_t how = take_byte(input);
    const bool becomes = how & 1;
    uint64_t *from = &owner->settled[becomes ? CHARGE_COMMIT : CHARGE_HEAP];
    uint64_t bytes = how & 2 ? *from : take_below(input, *from + 1);
    *from -= bytes;
    owner->settled[becomes ? CHARGE_HEAP : CHARGE_COMMIT] += bytes;
    if (bytes == 0)
        return;
    if (becomes)
        hm_quota_move(owner->real, CHARGE_COMMIT, CHARGE_HEAP, bytes);
    else
        hm_quota_move(owner->real, CHARGE_HEAP, CHARGE_COMMIT, bytes);
    for (; owner != NULL; owner = owner->parent)
        if (becomes)
            force(&owner->heap, bytes);
        else
            owner->heap.used -= (int64_t)bytes;
}

/* ------------------------------------------------------------------------------------------------------- limits */

static uint64_t take_figure(struct input *input)
{
    uint32_t how = take_byte(input);
    return how < 0x30 ? BUDGET_UNLIMITED : how < 0xC0 ? take_number(input, 2) : take_number(input, 5);
}

static struct budget_limits flat(uint64_t limit, uint64_t soft)
{
    return (struct budget_limits){.limit = limit, .task_limit = limit, .soft = soft};
}

static void set_limits(struct input *input, struct owner *owner)
{
    struct budget_limits limits = {.limit = take_figure(input), .margin = take_byte(input)}, read;
    uint32_t how = take_byte(input);
    limits.task_limit = how & 1 ? take_figure(input) : limits.limit;
    limits.soft = how & 2 ? take_figure(input) : BUDGET_UNLIMITED;
    limits.strict = how & 8;
    if (how & 16)
        limits.margin = take_figure(input);
    if (limits.task_limit > limits.limit)
        limits.task_limit = limits.limit;
    if (limits.soft > limits.limit)
        limits.soft = limits.limit;
    const uint64_t heap = how & 32 ? take_figure(input) : BUDGET_UNLIMITED;
    const uint64_t reserve = how & 64 ? take_figure(input) : BUDGET_UNLIMITED;
    owner->fail_left = how & 4 ? take_byte(input) % 16 : BUDGET_UNLIMITED;
    hm_quota_set(owner->real, &limits, heap, reserve, owner->fail_left);
    owner->commit.limits = limits;
    owner->heap.limits = flat(heap, heap == BUDGET_UNLIMITED ? heap : heap - heap / 8);
    owner->reserve.limits = flat(reserve, BUDGET_UNLIMITED);
    owner->commit.allowed++;
    owner->heap.allowed++;
    DEMAND(budget_ceiling(&owner->real->charges, BUDGET_TASK) == owner->fail_left);
    hm_budget_get(&owner->real->commit, &read);
    DEMAND(read.limit == limits.limit && read.task_limit == limits.task_limit);
    DEMAND(read.margin == limits.margin && read.soft == limits.soft && read.strict == limits.strict);
}

static void look(struct model *model)
{
    enum budget_pressure expected = judge(model);
    DEMAND(hm_budget_pressure(model->real) == expected);
    model->pressure = expected;
    model->allowed = 2;
    model->wakes = 0;
}

static void begin(bool stock)
{
    static void (*const crossed[QUOTAS][2])(void) = {
        {wake_commit_0, wake_heap_0}, {wake_commit_1, wake_heap_1}, {wake_commit_2, wake_heap_2}};
    const struct budget_limits none = {
        .limit = BUDGET_UNLIMITED, .task_limit = BUDGET_UNLIMITED, .soft = BUDGET_UNLIMITED};
    memset(quotas, 0, sizeof quotas);
    memset(stocks, 0, sizeof stocks);
    memset(owners, 0, sizeof owners);
    memset(pending, 0, sizeof pending);
    for (unsigned i = 0; i < QUOTAS; i++) {
        struct quota *real = &quotas[i];
        hm_quota_init(real, i == 0 ? NULL : &stocks[i]);
        real->parent = i == 0 || stock ? NULL : &quotas[0];
        real->commit.crossed = crossed[i][0];
        real->heap.crossed = crossed[i][1];
        owners[i] = (struct owner){.parent = i == 0 || stock ? NULL : &owners[0],
                                   .real = real,
                                   .commit = {.real = &real->commit, .limits = none},
                                   .heap = {.real = &real->heap, .limits = none},
                                   .reserve = {.real = &real->reserve, .limits = none},
                                   .fail_left = BUDGET_UNLIMITED};
        look(&owners[i].commit);
        look(&owners[i].heap);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    begin(take_byte(&input) & 1);
    for (unsigned steps = 0; more(&input) && steps < 1000; steps++) { /* so that the sums stay small enough */
        uint32_t operation = take_byte(&input);
        struct owner *any = &owners[operation / 8 % QUOTAS], *own = &owners[1 + operation / 8 % 2];
        struct pending *slot = &pending[operation / 16 % PENDING];
        switch (operation % 8) {
        case 0:
        case 1:
        case 2:
            if (slot->open)
                end_charge(&input, slot);
            else
                begin_charge(&input, slot, own);
            break;
        case 3:
            for (unsigned i = 0; i < PENDING; i++) /* all that is under way */
                if (pending[i].open)
                    end_charge(&input, &pending[i]);
            break;
        case 4:
            give_back(&input, own);
            break;
        case 5:
            if (operation >= 0x80)
                early_refund(&input, own);
            else
                change_use(&input, own);
            break;
        case 6:
            set_limits(&input, any);
            break;
        default:
            look(operation >= 0x80 ? &any->commit : &any->heap);
        }
        check_all();
    }
    return 0;
}
