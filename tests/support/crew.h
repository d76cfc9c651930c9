/*
 * crew.h - several threads that do the same at once
 *
 * CMocka's assertions end a test by a jump, which only its own thread may do: members note what went wrong,
 * and crew_run hands it to the test.
 */
#ifndef CREW_H
#define CREW_H

#include <stdatomic.h>
#include <stdint.h>

#include <windows.h>

enum { CREW_MOST = 24 };

struct crew;

struct member {
    struct crew *crew;
    unsigned number;
    uint64_t random;
};

struct crew {
    unsigned size;
    void (*work)(struct member *member, void *context);
    void *context;
    CRITICAL_SECTION lock;
    CONDITION_VARIABLE all_here;
    unsigned waiting, round;
    char first_fault[160];
    atomic_uint faults;
    struct member member[CREW_MOST];
};

/* Run `work` on `size` threads and wait for all; fails the test if a member noted a fault. */
void crew_run(struct crew *crew, unsigned size, void (*work)(struct member *, void *), void *context);

/* Wait until every member has come here. */
void crew_meet(struct member *member);

/* Note a fault; the first one's text is shown. */
void crew_fault(struct member *member, const char *what, long value);

#define crew_check(member, condition, value)                                                                 \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            crew_fault(member, #condition, (long)(value));                                                   \
    } while (0)

/* A number below `limit`. */
unsigned crew_random(struct member *member, unsigned limit);

#endif
