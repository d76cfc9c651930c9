/*
 * clock.c - looking at both counters
 */
#include "nettrace/clock.h"

#include "memory/os.h"

/* Of a few looks the quickest: in between the thread may be held up. */
static struct moment look(void)
{
    struct moment best = {.stamp = 0};
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t before = hm_os_stamp(), counter = hm_os_counter(), took = hm_os_stamp() - before;
        if (took < least) {
            least = took;
            best = (struct moment){.stamp = before + took / 2, .counter = counter};
        }
    }
    return best;
}

void hm_clock_start(struct clock *clock)
{
    clock->second = hm_os_counter_frequency();
    clock->first = clock->last = look();
}

void hm_clock_look(struct clock *clock)
{
    clock_move(clock, look());
}
