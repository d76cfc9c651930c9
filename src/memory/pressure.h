/*
 * pressure.h - Low, Neutral, High: when the CLR is told how much memory there is
 *
 * One thread a process looks at every manager that has somebody to tell.  It is woken when a budget passes one of its
 * watermarks, when an event waits for the host, when the machine's memory becomes low or plenty; and it looks by
 * itself where nothing would wake it (job objects, and the end of Windows' low memory).  Every callback
 * into the CLR or the host is made from this thread, with no lock held.
 *
 * Low is the tightest of budget, shared budget, machine and job object; a level is told when it changes, and Low again
 * every 8,192 ms while it lasts: that is how often .NET Framework's CLR reacts to it (contract 3.8).
 *
 * The thread holds a reference to its module, leaves by FreeLibraryAndExitThread when nobody is left, and nobody ever
 * waits for its end: only for a callback that is under way, and not on the thread itself.
 */
#ifndef HOSTMEM_MEMORY_PRESSURE_H
#define HOSTMEM_MEMORY_PRESSURE_H

#include "memory/os.h"
#include "memory/vm.h"

enum { PRESSURE_REPEAT_MS = 8192, PRESSURE_LOOK_MS = 1000, PRESSURE_IDLE_MS = 10000 };

/* One manager.  Zero it, set the first part, and join. */
struct tenant {
    struct vm *vm;
    /* Called on the pressure thread.  tell: the CLR, false: nobody was there; event: the host; gone: the tenant left
     * for good from a callback of its own, and the rest of its end comes now. */
    bool (*tell)(struct tenant *tenant, enum budget_pressure pressure);
    void (*event)(struct tenant *tenant, const hostmem_event *event);
    void (*gone)(struct tenant *tenant);
    _Atomic(void (*)(void)) shown_changed; /* how much memory the runtime is to see is another; may be NULL */

    _Atomic uint32_t forced; /* hm_budget_pressure; 0: none */
    _Atomic bool restate;    /* the CLR has forgotten what it was told */
    _Atomic bool joined;

    /* The thread's. */
    struct tenant *next;
    uint32_t pass;
    enum budget_pressure told;
    bool left, doomed;
    uint64_t told_at;
    uint64_t shown; /* hm_quota_shown */
};

/* Any number of times; false: there is no memory for the thread, or the manager has been shut down. */
bool hm_pressure_join(struct tenant *tenant);

/*
 * No callback will come any more; one that is under way has ended, unless it is the caller's own: then false, and if it
 * is for good, `gone` follows.  A tenant that never joined, or has left, is fine.
 */
bool hm_pressure_leave(struct tenant *tenant, bool for_good);

/* Have the thread look.  Any thread, also inside calls of the CLR; the last error stays. */
void hm_pressure_wake(void);

/* What is to be told, of the parts: pure. */
enum budget_pressure hm_pressure_tightest(enum budget_pressure a, enum budget_pressure b);
enum budget_pressure hm_pressure_of_job(const struct os_memory *memory, enum budget_pressure before);

#endif
