/*
 * The machine that the runtime is shown: as much memory as its host gives it.
 *
 * The collector reads the machine's memory by GlobalMemoryStatusEx, and in a job object with a limit that limit and
 * its own working set instead.  Load and what is available are answered from the manager's GetMemoryLoad, as the CLR
 * does (contract 3.7); the total, which no method of the interface tells, from the budget where the manager is one of
 * hostmem's.  So the collector works harder before it runs into the budget.
 *
 * While the runtime starts, under a limit of its host's, it is shown a job object of which the limit is the collector's
 * part: every 64-bit collector sizes itself for that, and has it as its hard limit from the beginning, unless the program
 * has set one.  From then on the limit is refreshed (managed.h), and jobs are Windows' own.
 */
#ifndef HOSTMEM_BRIDGE_MACHINE_H
#define HOSTMEM_BRIDGE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <windows.h>
#include <psapi.h>

#include "bridge/caller.h"
#include "bridge/managed.h"

/* What the collector's hard limit depends on, now. */
void hm_machine_read(struct managed_surroundings *around);

/* Have the runtime's limit refreshed when the budget changes. */
void hm_machine_watch_budget(IHostMemoryManager *manager);

/* Charged to the manager's budget now; 0: it is not one of hostmem's. */
uint64_t hm_machine_charged(IHostMemoryManager *manager);

/* The runtime has started: into the manager's trace, if it is one of hostmem's and traced. */
void hm_machine_record_start(IHostMemoryManager *manager, uint64_t version);

/* The redirected functions; no lock, no memory. */
BOOL hm_machine_call_memory_status(struct caller *caller, LPMEMORYSTATUSEX status);
BOOL hm_machine_call_process_memory(struct caller *caller, HANDLE process, PROCESS_MEMORY_COUNTERS *counters,
                                    DWORD size);
BOOL hm_machine_call_in_job(struct caller *caller, HANDLE process, HANDLE job, PBOOL result);
BOOL hm_machine_call_job_limits(struct caller *caller, HANDLE job, JOBOBJECTINFOCLASS kind, LPVOID buffer,
                                DWORD size, LPDWORD written);
HANDLE hm_machine_call_low_memory(struct caller *caller, MEMORY_RESOURCE_NOTIFICATION_TYPE type);

#endif
