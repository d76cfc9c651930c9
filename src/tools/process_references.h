/*
 * process_references.h - who might the private regions belong to that nobody claims?
 */
#ifndef HOSTMEM_TOOLS_PROCESS_REFERENCES_H
#define HOSTMEM_TOOLS_PROCESS_REFERENCES_H

#include "tools/process_map.h"

/* Fills `module` of map->others: the first module whose writable data holds an address in the region. */
void process_references_find(struct process_map *map);

#endif
