/*
 * threads.c - a table with open addresses
 */
#include "nettrace/threads.h"

uint32_t hm_threads_number(struct threads *threads, uint32_t id, bool *added)
{
    uint32_t place = (id >> 2) * 2654435769u % THREADS_MOST;
    *added = false;
    while (threads->id[place] != 0) {
        if (threads->id[place] == id)
            return THREADS_FIRST + place;
        place = (place + 1) % THREADS_MOST;
    }
    if (threads->count == THREADS_MOST / 4 * 3)
        return 0;
    threads->count++;
    threads->id[place] = id;
    *added = true;
    return THREADS_FIRST + place;
}
