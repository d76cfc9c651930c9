/*
 * rival_tree.h - the manager that a user would write: a balanced tree under a lock
 *
 * An AVL tree of regions, by address; every call finds its region there.  Bytes committed are only added up per region:
 * what is committed twice counts twice.  (Ours counts every page once.)
 */
#ifndef BENCH_RIVAL_TREE_H
#define BENCH_RIVAL_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include <windows.h>

struct rival_node {
    uint64_t base, size, committed;
    struct rival_node *child[2];
    int height;
};

struct rival_tree {
    SRWLOCK lock; /* always exclusive */
    struct rival_node *root;
    uint64_t committed;
    HANDLE heap; /* of the nodes */
};

void rival_tree_init(struct rival_tree *tree);
void rival_tree_destroy(struct rival_tree *tree);

/* The table. */
bool rival_tree_insert(struct rival_tree *tree, uint64_t base, uint64_t size);
bool rival_tree_erase(struct rival_tree *tree, uint64_t base);
bool rival_tree_has(struct rival_tree *tree, uint64_t address);

/* VirtualAlloc and VirtualFree on top of it, through the library's seam. */
void *rival_tree_alloc(struct rival_tree *tree, void *address, SIZE_T size, DWORD type, DWORD protect);
bool rival_tree_free(struct rival_tree *tree, void *address, SIZE_T size, DWORD type);

#endif
