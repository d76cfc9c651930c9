/*
 * survey.h - what the writer looks up itself: how things were at the start, every quarter of a second, and in the end
 */
#ifndef HOSTMEM_NETTRACE_SURVEY_H
#define HOSTMEM_NETTRACE_SURVEY_H

#include "memory/vm.h"
#include "nettrace/trace_file.h"

void hm_survey_limits(struct trace_file *file, const struct vm *vm);
void hm_survey_regions(struct trace_file *file, struct vm *vm);
void hm_survey_sample(struct trace_file *file, const struct vm *vm);

/* How often each method has been called by now; and that, into the file. */
struct survey_calls {
    hostmem_calls method[HOSTMEM_METHOD_COUNT];
};
void hm_survey_count_calls(struct survey_calls *calls, const struct vm *vm);
void hm_survey_calls(struct trace_file *file, const struct survey_calls *calls);

#endif
