/*
 * fuzz_commit_map.c - a few commit maps of one store, each beside an array of bytes
 *
 * Of a map only a window is used, which lies where the input says: at the beginning, across a stripe, at the end.
 */
#include "fuzz.h"

#include "maps/commit_map.h"

enum { MAPS = 3, WINDOW = 20000 };

static struct bit_store store;
static _Atomic uint64_t metadata;

static struct {
    bool made;
    struct commit_map map;
    uint64_t pages, origin, window; /* pages of the map; of them those of the model */
    bool model[WINDOW];
} maps[MAPS], *m;

static const uint64_t sizes[] = {
    1, 2, 63, 64, 65, 200, 4000, 16383, 16384, 16385, 32768, 50000, 90000, 300000, ((uint64_t)1 << 27) - 1};

static uint64_t set_in(uint64_t first, uint64_t count)
{
    return count_set(m->model + first, count);
}

static void make(struct input *input)
{
    m->pages = PICK(input, sizes);
    m->window = m->pages < WINDOW ? m->pages : WINDOW;
    uint64_t room = m->pages - m->window;
    switch (take_byte(input) % 4) {
    case 0:
        m->origin = 0;
        break;
    case 1:
        m->origin = room;
        break;
    default:
        m->origin = room == 0 ? 0 : take_number(input, 5) % (room + 1);
    }
    memset(m->model, 0, sizeof m->model);
    bool may_fail = order_failures(input);
    m->made = hm_commit_map_init(&m->map, &store, m->pages);
    fake_pages_fail_from(0);
    DEMAND(m->made || (may_fail && m->pages > 64)); /* up to there it needs no memory */
    if (m->made)
        DEMAND(hm_commit_map_count(&m->map, m->pages, 0, m->pages) == 0);
}

static void unmake(void)
{
    uint64_t all = set_in(0, m->window);
    DEMAND(hm_commit_map_count(&m->map, m->pages, 0, m->pages) == all);
    DEMAND(hm_commit_map_clear_all(&m->map, &store, m->pages) == all);
    m->made = false;
}

static void set(struct input *input, uint64_t first, uint64_t count)
{
    uint64_t at = m->origin + first, before = set_in(first, count);
    bool may_fail = order_failures(input);
    bool prepared = hm_commit_map_prepare(&m->map, &store, m->pages, at, count);
    fake_pages_fail_from(0);
    DEMAND(prepared || may_fail);
    DEMAND(hm_commit_map_count(&m->map, m->pages, at, count) == before);
    if (!prepared)
        return;
    DEMAND(hm_commit_map_set(&m->map, m->pages, at, count) == count - before);
    memset(m->model + first, 1, count);
}

static void clear(uint64_t first, uint64_t count)
{
    DEMAND(hm_commit_map_clear(&m->map, m->pages, m->origin + first, count) == set_in(first, count));
    memset(m->model + first, 0, count);
}

static void step(struct input *input)
{
    uint32_t operation = take_byte(input);
    uint64_t first = take_below(input, m->window);
    uint64_t count = operation & 0x80 ? take_byte(input) : take_number(input, 2);
    if (count > m->window - first)
        count = m->window - first;
    switch (operation % 8) {
    case 0:
    case 1:
    case 2:
        set(input, first, count);
        break;
    case 3:
    case 4:
        clear(first, count);
        break;
    case 5:
        unmake();
        break;
    default:
        DEMAND(hm_commit_map_count(&m->map, m->pages, m->origin + first, count) == set_in(first, count));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    metadata = 0;
    hm_bit_store_init(&store, &metadata);
    while (more(&input)) {
        m = &maps[take_byte(&input) % MAPS];
        if (m->made)
            step(&input);
        else
            make(&input);
    }
    for (m = maps; m < maps + MAPS; m++)
        if (m->made)
            unmake();
    hm_bit_store_destroy(&store);
    DEMAND(metadata == 0);
    DEMAND(fake_pages_outstanding() == 0);
    return 0;
}
