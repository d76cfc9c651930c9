/*
 * trace.h - a trace of one manager: from the recorder's ring into a file, by a thread
 */
#ifndef HOSTMEM_NETTRACE_TRACE_H
#define HOSTMEM_NETTRACE_TRACE_H

#include <hostmem/trace.h>

#include "memory/vm.h"

struct trace;

/*
 * Begin; `options` are checked.  The module is kept while the thread is there.  HOST_E_INVALIDOPERATION: there is one
 * already; E_OUTOFMEMORY; or what Windows says of the file.
 */
HRESULT hm_trace_start(struct vm *vm, const hostmem_trace_options *options, struct trace **trace);

/*
 * End: what is left, and the end of the file, are written by the caller's thread, which waits for the trace's own while that
 * writes, and no further.  So it may be called where no other thread runs any more.  S_OK, or why the file is not whole.
 */
HRESULT hm_trace_end(struct trace *trace);

#endif
