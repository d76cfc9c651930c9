/*
 * clock.h - from the stamp that a call leaves in its event (hm_os_stamp) to the performance counter, which the file's times
 * are in
 *
 * A stamp is the processor's own counter: reading that costs a call a tenth of what QueryPerformanceCounter can cost.  How
 * the two belong together is seen by looking at both at the start of the trace, and again whenever the writer works.
 */
#ifndef HOSTMEM_NETTRACE_CLOCK_H
#define HOSTMEM_NETTRACE_CLOCK_H

#include <stdint.h>

struct moment {
    uint64_t stamp, counter;
};

struct clock {
    struct moment first, last; /* as far apart as both have risen evenly */
    uint64_t second;           /* in counts */
};

void hm_clock_start(struct clock *clock);
void hm_clock_look(struct clock *clock);

/* The counter at a stamp, from a little before the last look on. */
static inline uint64_t clock_time(const struct clock *clock, uint64_t stamp)
{
    const double stamps = (double)(int64_t)(clock->last.stamp - clock->first.stamp),
                 counts = (double)(int64_t)(clock->last.counter - clock->first.counter),
                 since = (double)(int64_t)(stamp - clock->last.stamp);
    return clock->last.counter + (uint64_t)(int64_t)(stamps > 0 ? since * counts / stamps : since);
}

/* Another look.  While the machine sleeps one of the two may stand still or begin anew: the rate stays as it was. */
static inline void clock_move(struct clock *clock, struct moment now)
{
    const int64_t leap = (int64_t)(now.counter - clock_time(clock, now.stamp));
    const uint64_t length = (uint64_t)(leap < 0 ? -leap : leap);
    if (clock->last.stamp != clock->first.stamp && length > clock->second / 100)
        clock->first = (struct moment){.stamp = now.stamp - (clock->last.stamp - clock->first.stamp),
                                       .counter = now.counter - (clock->last.counter - clock->first.counter)};
    clock->last = now;
}

#endif
