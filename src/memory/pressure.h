/*
 * pressure.h - Low, Neutral, High: when the CLR is notified of how much memory there is
 *
 * One thread a process visits every manager that has somebody to notify, when a watermark is passed, an event waits for
 * the host, or the machine's memory becomes low or plenty; and by itself where nothing would wake it.  Every callback into
 * the CLR or the host is made from it, with no lock held (but `visit`, for which only an end waits).  Who may end what,
 * and which mutex guards it: docs/architecture.md, "Threads".
 */
#ifndef HOSTMEM_MEMORY_PRESSURE_H
#define HOSTMEM_MEMORY_PRESSURE_H

#include "memory/os.h"
#include "memory/vm.h"

enum { PRESSURE_REPEAT_MS = 8192, PRESSURE_LOOK_MS = 1000, PRESSURE_IDLE_MS = 10000 };

/* One manager.  Zero it; set vm, references, notify_clr, notify_host and gone; join. */
struct tenant {
    struct vm *vm;
    _Atomic uint32_t references; /* 1, the owner's */
    /* Called on the pressure thread.  notify_clr returns false if no callback is registered. */
    bool (*notify_clr)(struct tenant *tenant, enum budget_pressure pressure);
    void (*notify_host)(struct tenant *tenant, const hostmem_event *event);
    /* By whoever gives back the last reference. */
    void (*gone)(struct tenant *tenant);
    _Atomic(void (*)(void)) shown_changed; /* how much memory the runtime is to see is another; may be NULL */

    _Atomic uint32_t forced; /* budget_pressure; 0: none */
    _Atomic bool renotify;   /* the CLR has forgotten, or never had, the last notification */
    _Atomic bool joined;     /* on the list; for who has not the mutex: was, a moment ago */

    /* The mutex's. */
    struct tenant *next;
    HANDLE visit; /* made by the first attempt to join, and stays */

    /* The thread's. */
    uint32_t pass;
    enum budget_pressure notified; /* the last pressure of which it was notified */
    uint64_t notified_at;
    uint64_t notified_process; /* use of the whole process then */
    uint64_t shown;            /* hm_quota_shown as it was last passed on */
};

/* Any number of times, until the vm is closed; false: it is, or there is no memory for the thread. */
bool hm_pressure_join(struct tenant *tenant);

/*
 * After the vm was closed.  No callback will come any more; one that is under way has ended, unless it is the caller's
 * own.  A tenant that never joined, or has left, is fine.
 */
void hm_pressure_leave(struct tenant *tenant);

/* The owner's reference, after it has left: `gone` follows, at the latest when its own callback has returned. */
void hm_pressure_release(struct tenant *tenant);

/* Have the thread look.  Any thread, also inside calls of the CLR; the last error stays. */
void hm_pressure_wake(void);

/* The pressure of all parts together, and of a job object: pure. */
enum budget_pressure hm_pressure_tightest(enum budget_pressure a, enum budget_pressure b);
enum budget_pressure hm_pressure_of_job(const struct os_memory *memory, enum budget_pressure before);

#endif
