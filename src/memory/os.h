/*
 * os.h - all of Windows that src/memory and src/com call, but for the last error and the thread's own number and block
 *
 * Together with maps/pages.h; os_win32.c is the real one, and a test can make the n-th call fail.  Arguments go on
 * unchanged; the last error is what the Win32 function leaves; no function blocks on anything but Windows itself.
 */
#ifndef HOSTMEM_MEMORY_OS_H
#define HOSTMEM_MEMORY_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <windows.h>

/* The five that the CLR calls through us: as the Win32 functions of these names. */
void *hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect);
bool hm_os_virtual_free(void *address, SIZE_T size, DWORD type);
bool hm_os_virtual_protect(void *address, SIZE_T size, DWORD protect, DWORD *old);
SIZE_T hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length);

/* What GetMemoryLoad is computed from, in bytes.  A limit that is not set is UINT64_MAX. */
struct os_memory {
    uint64_t physical_total;
    uint64_t physical_available;
    uint64_t job_limit;         /* tightest of the job object's process and job commit limits */
    uint64_t working_set_limit; /* the job object's working-set limit */
    uint64_t process_commit;    /* private bytes of this process */
    uint64_t process_working_set;
    uint32_t physical_load; /* percent, as Windows rounds it */
};

static inline bool os_memory_has_job_limit(const struct os_memory *memory)
{
    return memory->job_limit != UINT64_MAX || memory->working_set_limit != UINT64_MAX;
}

/* Machine and job; the process' use is 0.  False: Windows did not say, and nothing is written; the last error tells why.  A job
 * object that cannot be read counts as none. */
bool hm_os_memory_status(struct os_memory *memory);

/* process_commit and process_working_set; not written: Windows did not say.  Takes longer than all else of it.  The last error
 * stays. */
void hm_os_process_use(struct os_memory *memory);

/* Private heaps. `serialize`: any thread may call; `executable`: blocks are PAGE_EXECUTE_READWRITE. */
HANDLE hm_os_heap_create(bool serialize, bool executable);
void hm_os_heap_destroy(HANDLE heap);
void *hm_os_heap_alloc(HANDLE heap, SIZE_T bytes); /* zeroed */
bool hm_os_heap_free(HANDLE heap, void *block);
bool hm_os_heap_lock(HANDLE heap);
void hm_os_heap_unlock(HANDLE heap);

/* The module that this code is in, kept loaded: until the process ends; by one more reference (false: no memory); and that one
 * given back, not by code that it alone keeps there.  All three take the loader lock. */
void hm_os_pin_module(void);
bool hm_os_module_keep(void);
void hm_os_module_release(void);

/* Let a moment pass; false: none may (a test). */
bool hm_os_pause(DWORD milliseconds);

/* Milliseconds since some moment; what is quickest to read of all that rises evenly, at a rate that nobody knows; and the
 * performance counter, with how often it counts a second. */
uint64_t hm_os_ticks(void);
uint64_t hm_os_stamp(void);
uint64_t hm_os_counter(void);
uint64_t hm_os_counter_frequency(void);

/* Has the machine little memory left, or plenty?  As CreateMemoryResourceNotification has it.  Zero at first; one
 * thread's, which looks now and then, and closes it in the end. */
struct hm_os_resources {
    bool low, high;
    HANDLE events[2]; /* the implementation's */
};
void hm_os_resources_look(struct hm_os_resources *resources);
void hm_os_resources_close(struct hm_os_resources *resources);

/*
 * For the pressure thread: an event, which is set and reset; a wait for it, for the machine's memory to get low (unless
 * it is) or plenty (unless it is), or for the time; a thread, which releases the module (hm_os_module_keep) with its last
 * instruction; a lock that its owner may take again, and that a thread killed at process exit does not keep.
 * NULL and false: there is no memory.  Only the waits wait, and none takes the loader lock.
 */
HANDLE hm_os_event_create(void);
void hm_os_event_set(HANDLE event); /* the last error stays */
void hm_os_wait(HANDLE event, const struct hm_os_resources *now, DWORD milliseconds);
struct hm_os_thread {
    void (*run)(struct hm_os_thread *thread);
};
bool hm_os_thread_start(struct hm_os_thread *thread); /* which stays until `run` does not need it any more */
HANDLE hm_os_mutex_create(void);
bool hm_os_mutex_lock(HANDLE mutex); /* false: whoever had it was killed; the caller has it now */
void hm_os_mutex_unlock(HANDLE mutex);
HANDLE hm_os_copy(HANDLE handle); /* one more of the same object */
void hm_os_close(HANDLE handle);

/* A new file, which others may read; NULL: the last error tells why.  Bytes at an offset of it, all of them or false. */
HANDLE hm_os_file_create(const wchar_t *path);
bool hm_os_file_write(HANDLE file, uint64_t offset, const void *bytes, size_t count);

#endif
