/*
 * i386-repair.c - what qemu's user-mode emulator of i386 tells its programs wrongly, and Wine needs
 *
 * Where the kernel runs no 32-bit programs, scripts/setup builds this as a library that every program of the i386 root
 * loads first (/etc/ld.so.preload). There are no headers for i386: the types are Linux's, as far as they are used.
 */

/*
 * The number of the trap in a signal's context is -1. Wine finds by it that an exception was a page fault; without it,
 * guard pages, write watches and access violations are all illegal instructions. The signal and its code tell it.
 */
enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11, SA_SIGINFO = 4 };
enum {
    DIVIDE = 0,
    DEBUG = 1,
    BREAKPOINT = 3,
    OVERFLOW = 4,
    INVALID = 6,
    PROTECTION = 13,
    PAGE = 14,
    X87 = 16,
    ALIGN = 17
};

struct info {
    int signal, error, code;
};

struct context {
    unsigned flags, link, stack[3], segments[4], registers[8], trap;
};

typedef void handler(int, struct info *, struct context *);

struct action {
    handler *handler;
    unsigned mask[32];
    int flags;
    void *restorer;
};

int __sigaction(int signal, const struct action *action, struct action *old);

static handler *handlers[SIGSEGV + 1];

static unsigned trap_of(int signal, int code)
{
    switch (signal) {
    case SIGILL:
        return INVALID;
    case SIGTRAP:
        return code == 2 ? DEBUG : BREAKPOINT; /* TRAP_TRACE */
    case SIGBUS:
        return ALIGN;
    case SIGFPE:
        return code == 1 ? DIVIDE : code == 2 ? OVERFLOW : X87; /* FPE_INTDIV, FPE_INTOVF */
    default:
        return code == 1 || code == 2 ? PAGE : PROTECTION; /* SEGV_MAPERR, SEGV_ACCERR */
    }
}

static void repair(int signal, struct info *info, struct context *context)
{
    if (context->trap == -1u)
        context->trap = trap_of(signal, info->code);
    handlers[signal](signal, info, context);
}

int sigaction(int signal, const struct action *action, struct action *old)
{
    if (signal != SIGILL && signal != SIGTRAP && signal != SIGBUS && signal != SIGFPE && signal != SIGSEGV)
        return __sigaction(signal, action, old);

    handler *before = handlers[signal];
    struct action ours;
    if (action && action->flags & SA_SIGINFO) {
        handlers[signal] = action->handler; /* first: the signal may come at once */
        ours = *action;
        ours.handler = repair;
        action = &ours;
    }
    int result = __sigaction(signal, action, old);
    if (result == 0 && old && old->handler == repair)
        old->handler = before;
    return result;
}

/*
 * The addresses that a program gets reach up to the last page before 4 GiB. A kernel keeps some at the end; Wine's search
 * for free ones rounds past the end without.
 */
void *mmap(void *address, unsigned size, int protection, int flags, int file, long offset);

__attribute__((constructor)) static void keep_the_last_addresses(void)
{
    mmap((void *)0xffff0000, 0xf000, 0, 0x104022, -1,
         0); /* none; fixed but replaces nothing, no reserve, private */
}

/*
 * The sizes in sysinfo are cut to 32 bits; a kernel would count in bigger units. Wine has the machine's memory from
 * here, and the available part from /proc/meminfo, so that more could be free than there is.
 */
struct machine {
    unsigned uptime, loads[3], ram, ram_free, shared, buffers, swap, swap_free;
    unsigned short processes, padding;
    unsigned high, high_free, unit;
};

long syscall(long number, ...);
void *fopen(const char *name, const char *mode);
char *fgets(char *line, int size, void *file);
int fclose(void *file);
int sscanf(const char *text, const char *format, ...);

int sysinfo(struct machine *machine)
{
    void *file;
    char line[128];
    if (syscall(116, machine) != 0)
        return -1;
    if (!(file = fopen("/proc/meminfo", "r")))
        return 0;
    machine->unit = 1024;
    machine->high = machine->high_free = 0;
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "MemTotal: %u", &machine->ram);
        sscanf(line, "MemFree: %u", &machine->ram_free);
        sscanf(line, "Shmem: %u", &machine->shared);
        sscanf(line, "Buffers: %u", &machine->buffers);
        sscanf(line, "SwapTotal: %u", &machine->swap);
        sscanf(line, "SwapFree: %u", &machine->swap_free);
    }
    fclose(file);
    return 0;
}
