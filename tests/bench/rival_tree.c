/*
 * rival_tree.c - see rival_tree.h
 */
#include "bench/rival_tree.h"

#include "memory/os.h"

static int height_of(const struct rival_node *node)
{
    return node == NULL ? 0 : node->height;
}

static void set_height(struct rival_node *node)
{
    int left = height_of(node->child[0]), right = height_of(node->child[1]);
    node->height = 1 + (left > right ? left : right);
}

/* Lift the child on `side` above the node. */
static struct rival_node *rotated(struct rival_node *node, int side)
{
    struct rival_node *child = node->child[side];
    node->child[side] = child->child[!side];
    child->child[!side] = node;
    set_height(node);
    set_height(child);
    return child;
}

static struct rival_node *balanced(struct rival_node *node)
{
    int lean = height_of(node->child[1]) - height_of(node->child[0]);
    if (lean >= -1 && lean <= 1) {
        set_height(node);
        return node;
    }
    int side = lean > 0;
    struct rival_node *child = node->child[side];
    if (height_of(child->child[!side]) > height_of(child->child[side]))
        node->child[side] = rotated(child, !side);
    return rotated(node, side);
}

static struct rival_node *with(struct rival_node *node, struct rival_node *fresh)
{
    if (node == NULL)
        return fresh;
    int side = fresh->base > node->base;
    node->child[side] = with(node->child[side], fresh);
    return balanced(node);
}

static struct rival_node *without_first(struct rival_node *node, struct rival_node **first)
{
    if (node->child[0] == NULL) {
        *first = node;
        return node->child[1];
    }
    node->child[0] = without_first(node->child[0], first);
    return balanced(node);
}

static struct rival_node *without(struct rival_node *node, uint64_t base, struct rival_node **gone)
{
    if (node == NULL)
        return NULL;
    if (node->base != base) {
        int side = base > node->base;
        node->child[side] = without(node->child[side], base, gone);
        return balanced(node);
    }
    *gone = node;
    if (node->child[1] == NULL)
        return node->child[0];
    struct rival_node *next, *right = without_first(node->child[1], &next);
    next->child[0] = node->child[0];
    next->child[1] = right;
    return balanced(next);
}

static struct rival_node *at(const struct rival_tree *tree, uint64_t address)
{
    struct rival_node *node = tree->root;
    while (node != NULL && address - node->base >= node->size)
        node = node->child[address > node->base];
    return node;
}

void rival_tree_init(struct rival_tree *tree)
{
    *tree = (struct rival_tree){.lock = SRWLOCK_INIT, .heap = HeapCreate(0, 0, 0)};
}

void rival_tree_destroy(struct rival_tree *tree)
{
    HeapDestroy(tree->heap);
}

bool rival_tree_insert(struct rival_tree *tree, uint64_t base, uint64_t size)
{
    struct rival_node *node = HeapAlloc(tree->heap, 0, sizeof *node);
    if (node == NULL)
        return false;
    *node = (struct rival_node){.base = base, .size = size, .height = 1};
    AcquireSRWLockExclusive(&tree->lock);
    tree->root = with(tree->root, node);
    ReleaseSRWLockExclusive(&tree->lock);
    return true;
}

bool rival_tree_erase(struct rival_tree *tree, uint64_t base)
{
    struct rival_node *gone = NULL;
    AcquireSRWLockExclusive(&tree->lock);
    tree->root = without(tree->root, base, &gone);
    if (gone != NULL)
        tree->committed -= gone->committed;
    ReleaseSRWLockExclusive(&tree->lock);
    if (gone == NULL)
        return false;
    HeapFree(tree->heap, 0, gone);
    return true;
}

bool rival_tree_has(struct rival_tree *tree, uint64_t address)
{
    AcquireSRWLockExclusive(&tree->lock);
    bool found = at(tree, address) != NULL;
    ReleaseSRWLockExclusive(&tree->lock);
    return found;
}

/* Of the region at the address; false: it is nobody's. */
static bool count_committed(struct rival_tree *tree, void *address, uint64_t more)
{
    AcquireSRWLockExclusive(&tree->lock);
    struct rival_node *node = at(tree, (uintptr_t)address);
    if (node != NULL) {
        node->committed += more;
        tree->committed += more;
    }
    ReleaseSRWLockExclusive(&tree->lock);
    return node != NULL;
}

void *rival_tree_alloc(struct rival_tree *tree, void *address, SIZE_T size, DWORD type, DWORD protect)
{
    void *base = hm_os_virtual_alloc(address, size, type, protect);
    if (base == NULL)
        return NULL;
    if ((type & MEM_RESERVE) != 0 && !rival_tree_insert(tree, (uintptr_t)base, size)) {
        hm_os_virtual_free(base, 0, MEM_RELEASE);
        return NULL;
    }
    if ((type & MEM_COMMIT) != 0)
        count_committed(tree, base, size);
    return base;
}

bool rival_tree_free(struct rival_tree *tree, void *address, SIZE_T size, DWORD type)
{
    if ((type & MEM_DECOMMIT) != 0)
        return count_committed(tree, address, 0 - (uint64_t)size) && hm_os_virtual_free(address, size, type);
    return rival_tree_erase(tree, (uintptr_t)address) && hm_os_virtual_free(address, size, type);
}
