/*
 * A Windows that says what a test wants, for the questions that a collector asks about the machine: hooks where the
 * stand-ins for coreclr.dll and a standalone collector import them, in place before the bridge comes.  (Wine knows no
 * limits of job objects, and the machine's figures change while one looks.)
 */
#ifndef BRIDGE_MACHINE_H
#define BRIDGE_MACHINE_H

#include "support/bridge_fake.h"

/* What Windows says, and what it was asked last. */
struct machine {
    BOOL fails; /* every call, with this error */
    DWORD error;
    MEMORYSTATUSEX memory;
    PROCESS_MEMORY_COUNTERS process;
    BOOL in_job;
    BOOL answers_job; /* FALSE: QueryInformationJobObject fails with ERROR_ACCESS_DENIED */
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION job;
    HANDLE notification;

    unsigned asked;
    HANDLE asked_process, asked_job;
    int asked_kind; /* JOBOBJECTINFOCLASS, or the type of a notification */
    DWORD asked_size;
};

extern struct machine machine;

/* Figures that nobody else has: 8 GB in all, no job. */
void machine_reset(void);

/* The stand-ins beside the test, hooked; NULL: something is missing.  The collector is not redirected yet. */
struct fake_runtime *machine_load(const wchar_t *name, HMODULE *module);

/* What the module is told, by a call of its own that has to succeed with the last error left alone. */
MEMORYSTATUSEX machine_memory(const struct fake_calls *calls);
SIZE_T machine_working_set(const struct fake_calls *calls, HANDLE process);

/* Waits for what another thread is to do; fails when it does not come. */
#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        ULONGLONG end_ = GetTickCount64() + 10000;                                                           \
        while (!(condition)) {                                                                               \
            if (GetTickCount64() > end_)                                                                     \
                fail_msg("not within 10 s: %s", #condition);                                                 \
            Sleep(5);                                                                                        \
        }                                                                                                    \
    } while (0)

#endif
