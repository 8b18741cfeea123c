#define _GNU_SOURCE
#include "stacks.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unwind.h>

// ---- The frames of now.

typedef struct list {
    uint64_t *pcs;
    int count;
    int capacity;
} list;

static _Unwind_Reason_Code add(struct _Unwind_Context *context, void *argument) {
    list *all = argument;
    uint64_t pc = _Unwind_GetIP(context);
    // 0 is the caller of the first function.
    if (pc && all->count < all->capacity) all->pcs[all->count++] = pc;
    return _URC_NO_REASON;
}

__attribute__((noinline)) int victim_frames(uint64_t *pcs, int capacity) {
    list all = {pcs, 0, capacity};
    _Unwind_Backtrace(add, &all);
    // The first is this function's.
    if (all.count == 0) return 0;
    memmove(pcs, pcs + 1, (size_t)(all.count - 1) * sizeof *pcs);
    return all.count - 1;
}

int victim_is_in_program(uint64_t pc) {
    Dl_info own, other;
    return dladdr((const void *)(uintptr_t)victim_is_in_program, &own) && dladdr((const void *)pc, &other)
           && own.dli_fbase == other.dli_fbase;
}

// ---- The frames at every instruction.

#if defined(__x86_64__)
// rbx, rbp, r12 to r15 (System V psABI for AMD64, figure 3.36). r12 holds an error when a Swift function returns.
static const int kept[] = {3, 6, 12, 13, 14, 15};
enum { KEPT = sizeof kept / sizeof *kept, CAPACITY = 4 << 20 };

typedef struct frame {
    uint64_t pc;
    uint64_t sp;
    uint64_t registers[KEPT];
} frame;

static struct {
    frame wanted;
    int callers;
    uint64_t first, end;
    volatile int is_first;
    volatile int is_over;
    victim_step *steps;
    volatile long count;
    struct sigaction before;
} stepping;

typedef struct search {
    uint64_t pc;   // of the interrupted frame
    int from_there;  // how many frames beyond that
    int is_found;
    frame found;
} search;

static _Unwind_Reason_Code look(struct _Unwind_Context *context, void *argument) {
    search *search = argument;
    uint64_t pc = _Unwind_GetIP(context), sp = _Unwind_GetCFA(context);
    if (search->from_there >= 0) {
        search->from_there++;
    } else if (pc == search->pc) {
        search->from_there = 0;
    }
    int is_wanted = stepping.is_first ? search->from_there == stepping.callers + 1
                                      : pc == stepping.wanted.pc
                                            && (sp == stepping.wanted.sp || stepping.first < stepping.end);
    if (!is_wanted) return _URC_NO_REASON;
    search->is_found = 1;
    search->found = (frame){.pc = pc, .sp = sp};
    for (int i = 0; i < KEPT; i++) search->found.registers[i] = _Unwind_GetGR(context, kept[i]);
    return _URC_NORMAL_STOP;
}

static void step(int signal, siginfo_t *info, void *argument) {
    (void)signal;
    (void)info;
    greg_t *registers = ((ucontext_t *)argument)->uc_mcontext.gregs;
    search search = {.pc = (uint64_t)registers[REG_RIP], .from_there = -1};
    if (stepping.is_over) {
        registers[REG_EFL] &= ~0x100L;
        return;
    }
    int is_passed_over = stepping.first < stepping.end && (search.pc < stepping.first || search.pc >= stepping.end);
    if (stepping.is_first || !is_passed_over) _Unwind_Backtrace(look, &search);
    if (stepping.is_first) {
        if (!search.is_found) abort();
        stepping.wanted = search.found;
        stepping.is_first = 0;
    } else if (!is_passed_over && stepping.count < CAPACITY) {
        uint64_t lost = search.is_found ? 0 : 1;
        for (int i = 0; search.is_found && i < KEPT; i++) {
            if (search.found.registers[i] != stepping.wanted.registers[i]) lost |= UINT64_C(1) << kept[i];
        }
        stepping.steps[stepping.count++] = (victim_step){search.pc, lost};
    }
    registers[REG_EFL] |= 0x100;  // TF: the next instruction traps too
}

__attribute__((noinline)) void victim_step_begin(int callers, uint64_t first, uint64_t end) {
    if (!stepping.steps) stepping.steps = malloc(CAPACITY * sizeof *stepping.steps);
    stepping.callers = callers;
    stepping.first = first;
    stepping.end = end;
    stepping.count = 0;
    stepping.is_over = 0;
    stepping.is_first = 1;
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = step;
    sigaction(SIGTRAP, &action, &stepping.before);
    __asm__ volatile("int3" ::: "memory");
}

__attribute__((noinline)) void victim_step_end(void) {
    stepping.is_over = 1;
    __asm__ volatile("nop" ::: "memory");
    sigaction(SIGTRAP, &stepping.before, NULL);
}

long victim_steps(const victim_step **steps) {
    *steps = stepping.steps;
    return stepping.count;
}
#else
void victim_step_begin(int callers, uint64_t first, uint64_t end) { (void)callers, (void)first, (void)end; }
void victim_step_end(void) {}
long victim_steps(const victim_step **steps) {
    *steps = NULL;
    return 0;
}
#endif
