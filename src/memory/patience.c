/*
 * patience.c - a pause, where it may help
 */
#include "memory/patience.h"

#include "memory/os.h"

static bool wait_a_moment(struct patience *patience, DWORD error)
{
    bool transient = error == ERROR_COMMITMENT_LIMIT || error == ERROR_NO_SYSTEM_RESOURCES ||
                     error == ERROR_NOT_ENOUGH_MEMORY;
    struct os_memory memory;
    if (!transient || patience->pauses == 0)
        return false;
    if (hm_os_memory_status(&memory) && patience->bytes / 16 > memory.physical_total)
        return false; /* no page file grows to that */
    patience->pauses--;
    patience->paused = hm_os_pause(5);
    SetLastError(error);
    return patience->paused;
}

bool hm_patience_again(struct patience *patience, const struct shortage *shortage, struct vm *vm,
                       unsigned level, hostmem_use use)
{
    if (wait_a_moment(patience, shortage->error)) {
        stats_bump(&vm->stats.os_retries);
        return true;
    }
    if (shortage->of_metadata)
        hm_vm_no_memory(vm, shortage->bytes, level, use);
    return false;
}
