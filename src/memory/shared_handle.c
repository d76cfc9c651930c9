/*
 * shared_handle.c - see shared_handle.h
 */
#include "memory/shared_handle.h"

#include "memory/os.h"

HANDLE hm_shared_handle_take(struct shared_handle *shared, HANDLE (*create)(void))
{
    uint64_t word = atomic_load(&shared->word);
    HANDLE made = NULL;
    do {
        if (word == 0 && made == NULL && (create == NULL || (made = create()) == NULL))
            return NULL;
    } while (!atomic_compare_exchange_weak(&shared->word, &word,
                                           word == 0 ? (uint64_t)HandleToULong(made) << 32 | 1 : word + 1));
    if (word == 0)
        return made;
    if (made != NULL) /* somebody else was first */
        hm_os_close(made);
    return shared_handle(shared);
}

void hm_shared_handle_set(struct shared_handle *shared)
{
    HANDLE event = hm_shared_handle_take(shared, NULL);
    if (event == NULL)
        return;
    hm_os_event_set(event);
    hm_shared_handle_give(shared);
}

void hm_shared_handle_give(struct shared_handle *shared)
{
    HANDLE handle = shared_handle(shared); /* it may be another, once the reference has been given back */
    uint64_t word = atomic_load(&shared->word);
    while (!atomic_compare_exchange_weak(&shared->word, &word, (uint32_t)word == 1 ? 0 : word - 1))
        ;
    if ((uint32_t)word == 1)
        hm_os_close(handle);
}
