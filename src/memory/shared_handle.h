/*
 * shared_handle.h - a handle that is there while somebody needs it
 *
 * Made by the first who needs it, closed by the last: so a module that comes and goes leaves none behind, and nobody uses
 * a handle that is closed, or another object that was given its number.
 */
#ifndef HOSTMEM_MEMORY_SHARED_HANDLE_H
#define HOSTMEM_MEMORY_SHARED_HANDLE_H

#include <stdatomic.h>
#include <stdint.h>

#include <windows.h>

/* Zero: closed.  Handles have 32 bits on every Windows. */
struct shared_handle {
    _Atomic uint64_t word; /* handle << 32 | references */
};

/* One more reference.  NULL: create failed; or it is closed, and create is NULL. */
HANDLE hm_shared_handle_take(struct shared_handle *shared, HANDLE (*create)(void));

void hm_shared_handle_give(struct shared_handle *shared);

/* Set it, if it is there: an event.  For who has no reference; the last error stays. */
void hm_shared_handle_set(struct shared_handle *shared);

/* For who has a reference. */
static inline HANDLE shared_handle(const struct shared_handle *shared)
{
    return LongToHandle((int32_t)(atomic_load(&shared->word) >> 32));
}

#endif
