/*
 * walk.c - registers as they are here, and the bounds of this thread's stack
 */
#include "trace/walk.h"

#include <windows.h>

#include "trace/unwind.h"

struct images hm_process_images;

#if defined(__x86_64__)

unsigned hm_walk(uint64_t *frame, unsigned most)
{
    struct unwind_state state = {.instruction = 0};
    uint64_t *registers = state.registers;
    /* Those that a function gives back as they were; the rest is nobody's frame. */
    __asm__ volatile("movq %%rbx, 0x18(%1)\n\t"
                     "movq %%rsp, 0x20(%1)\n\t"
                     "movq %%rbp, 0x28(%1)\n\t"
                     "movq %%rsi, 0x30(%1)\n\t"
                     "movq %%rdi, 0x38(%1)\n\t"
                     "movq %%r12, 0x60(%1)\n\t"
                     "movq %%r13, 0x68(%1)\n\t"
                     "movq %%r14, 0x70(%1)\n\t"
                     "movq %%r15, 0x78(%1)\n\t"
                     "leaq 0(%%rip), %0"
                     : "=&r"(state.instruction)
                     : "r"(registers)
                     : "memory");
    state.bottom = registers[UNWIND_STACK];
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Warray-bounds" /* GCC 12 of the segment's address 0 */
    state.top = (uintptr_t)((const NT_TIB *)NtCurrentTeb())->StackBase;
#    pragma GCC diagnostic pop
    return hm_unwind(&hm_process_images, &state, frame, most);
}

#else

unsigned hm_walk(uint64_t *frame, unsigned most)
{
    (void)frame;
    (void)most;
    return 0;
}

#endif
