/*
 * check.h - the parts of hostmem-check
 *
 * A part is what one process finds out: a runtime starts once in a process, and a crash or a hang is to be a row that has
 * failed, not the end of the report.
 */
#ifndef HOSTMEM_CHECK_CHECK_H
#define HOSTMEM_CHECK_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include <windows.h>

#include <hostmem/hostmem.h>

enum { CHECK_PATH = 1024 };

#define MIB ((uint64_t)1 << 20)

/* Of the process of a part that has come to its end. */
enum { PART_DONE = 61 };

/* What a part is given. */
struct check {
    wchar_t argument[64];        /* of the part: the version of a runtime */
    wchar_t folder[CHECK_PATH];  /* of this run: the C# assembly is in it, if there is one */
    wchar_t mscoree[CHECK_PATH]; /* instead of the system's; "": the system's */
};

struct row_text {
    const char *id, *sentence;
};

struct part {
    const char *name;  /* its rows are NAME.ID; %s: the major version in the argument */
    const char *title; /* %s: the argument */
    void (*run)(const struct check *check);
    const struct row_text *rows; /* up to one without an id */
    uint64_t job_limit;          /* its process is in a job with that memory limit; 0: none */
};

extern const struct part part_machine, part_manager, part_budget, part_windows, part_job, part_control,
    part_framework, part_dotnet, part_dotnet_clrgc, part_dotnet_job, part_cost;

/* "8.0", or NULL: this is Windows. */
const char *wine_version(void);

/* The C# assembly, in the folder of this run. */
#define CHECK_ASSEMBLY L"hostmem-check-managed"

/* Is it a part of this program? */
bool assembly_is_there(void);
/* False: the last error tells why not. */
bool assembly_write(const wchar_t *folder);

#endif
