/*
 * file.h - files by names in UTF-8, on Windows too, and the program's arguments as such
 */
#ifndef HOSTMEM_REPORT_FILE_H
#define HOSTMEM_REPORT_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "report/nettrace.h"

/* NULL: errno says why. */
FILE *hm_file_open(const char *name, const char *mode);
void hm_file_remove(const char *name); /* but no device */

struct nettrace_source hm_file_source(FILE *file);

/* A file that is a trace: nothing is to be written over it. */
bool hm_file_is_trace(const char *name);

/* stdout without anybody changing its bytes, and read as UTF-8. */
void hm_file_prepare_stdout(void);

#endif
