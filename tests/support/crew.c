/* Threads that work together; see the header. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "support/crew.h"

static DWORD WINAPI begin(void *context)
{
    struct member *member = context;
    crew_meet(member);
    member->crew->work(member, member->crew->context);
    return 0;
}

void crew_run(struct crew *crew, unsigned size, void (*work)(struct member *, void *), void *context)
{
    HANDLE threads[CREW_MOST];
    *crew = (struct crew){.size = size, .work = work, .context = context};
    InitializeCriticalSection(&crew->lock);
    InitializeConditionVariable(&crew->all_here);
    for (unsigned i = 0; i < size; i++) {
        crew->member[i] = (struct member){.crew = crew, .number = i, .random = (i + 1) * 0x9E3779B97F4A7C15u};
        threads[i] = CreateThread(NULL, 0, begin, &crew->member[i], 0, NULL);
        assert_non_null(threads[i]);
    }
    assert_int_not_equal(WaitForMultipleObjects(size, threads, TRUE, 300000), WAIT_TIMEOUT);
    for (unsigned i = 0; i < size; i++)
        CloseHandle(threads[i]);
    DeleteCriticalSection(&crew->lock);
    if (crew->faults != 0)
        fail_msg("%u faults; the first: %s", (unsigned)crew->faults, crew->first_fault);
}

void crew_meet(struct member *member)
{
    struct crew *crew = member->crew;
    EnterCriticalSection(&crew->lock);
    unsigned round = crew->round;
    if (++crew->waiting == crew->size) {
        crew->waiting = 0;
        crew->round++;
        WakeAllConditionVariable(&crew->all_here);
    }
    while (crew->round == round)
        SleepConditionVariableCS(&crew->all_here, &crew->lock, INFINITE);
    LeaveCriticalSection(&crew->lock);
}

void crew_fault(struct member *member, const char *what, long value)
{
    if (atomic_fetch_add(&member->crew->faults, 1) == 0)
        snprintf(member->crew->first_fault, sizeof member->crew->first_fault, "%s, %ld (%#lx), member %u",
                 what, value, (unsigned long)value, member->number);
}

unsigned crew_random(struct member *member, unsigned limit)
{
    member->random ^= member->random << 13;
    member->random ^= member->random >> 7;
    member->random ^= member->random << 17;
    return (unsigned)(member->random >> 33) % limit;
}
