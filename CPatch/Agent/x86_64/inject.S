// The agent stub, x86_64: copied behind its header (hp_agent.h) into the zero slack of an executable page of the target.
// Twin of arm64/inject.S.
//
// A thread of the target is borrowed: the patcher saves its registers into the header, points its PC at the first
// instruction here and detaches at once. From then on nothing depends on the patcher being alive:
//
//   1. block every signal: a handler must not run on the private stack, nor find a PC of ours in what it has interrupted. All but
//      SIGSETXID (33): setuid() in another thread waits until every thread has taken it, holding a lock that pthread_create takes
//   2. map the area, without touching the interrupted stack (its red zone is in use)
//   3. save the vector state, and errno
//   4. pthread_create(agent): the one thing that the borrowed thread does for us
//   5. restore errno; where a signal is about to be let in whose handler ends the interrupted call, the call returns EINTR
//   6. say that nothing is left to do, and return as from a handler (rt_sigreturn(2)): mask, vector state and registers come back in
//      one step, and whatever arrives finds the interrupted frame
//
// A return as from a handler makes the kernel forget what it remembers of a timed wait (restart_block). Such a wait is gone back into
// by a jump, with the mask restored before it: of the last few instructions.
//
// A `ret` is never used by the borrowed thread outside the functions it calls, so a shadow stack stays balanced; but it has no mark
// for a return as from a handler: such threads jump too.
//
// Where no thread could be created nobody will unmap the area: the borrowed thread does, and jumps.
//
// The agent runs on a stack of its own, calls what the patcher asks for, and leaves by itself when nothing has been asked
// for a while: a dead patcher asks nothing. It then leaves the area mapped, for a patcher that was merely slow may still
// write into it; the next one unmaps it.
#if defined(__x86_64__)
#include "hp_agent.h"

#define HEADER(field) (.Lcode - HP_STUB_ENTRY + HP_STUB_##field)(%rip)
#define REGISTER(n) (.Lcode - HP_STUB_ENTRY + HP_STUB_CONTEXT + (n) * 8)(%rip)
#define AREA(field) HP_AREA_##field(%rbx)

// Words of the context: hp_registers_to_context.
#define R8 5
#define RDI 13
#define RAX 18
#define RSP 20
#define RIP 21
#define EFLAGS 22
#define CONTEXT_WORDS 38
#define ALTERNATE_STACK 16

#define SYS_MMAP 9
#define SYS_MUNMAP 11
#define SYS_SIGACTION 13
#define SYS_SIGPROCMASK 14
#define SYS_SIGRETURN 15
#define SYS_NANOSLEEP 35
#define SYS_SIGPENDING 127
#define SYS_SIGALTSTACK 131
#define SYS_PRCTL 157
#define SYS_GETTID 186
#define SYS_PPOLL 271
#define SYS_CLOCK_GETTIME 228
#define SYS_CLOSE 3
#define SIG_SETMASK 2
#define SIG_IGN 1
#define SA_RESTART 0x10000000
#define EINTR 4
#define PR_SET_NAME 15
#define CLOCK_MONOTONIC 1
#define LOOKS 20

// struct _fpx_sw_bytes (arch/x86/include/uapi/asm/sigcontext.h), which makes rt_sigreturn take all of the vector state.
#define FP_MAGIC1 0x46505853
#define FP_MAGIC2 0x46505845
#define FP_MAGIC2_SIZE 4
#define FP_SOFTWARE 464

        .section .rodata
        .globl  hp_agent_code
        .globl  hp_agent_code_end
        .skip   HP_STUB_ENTRY                   // stands for the header, so that HEADER() stays inside the section
        .balign 16
hp_agent_code:
.Lcode:                                         // local: the blob must not be preempted in a shared library
        // 1.
        movl    $SYS_SIGPROCMASK, %eax
        movl    $SIG_SETMASK, %edi
        leaq    HEADER(BLOCKED), %rsi
        xorl    %edx, %edx
        movl    $8, %r10d
        syscall

        // 2. PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE
        movl    $SYS_MMAP, %eax
        movq    HEADER(AREA), %rdi
        movq    HEADER(AREA_SIZE), %rsi
        movl    $3, %edx
        movl    $0x100022, %r10d
        movq    $-1, %r8
        xorl    %r9d, %r9d
        syscall
        cmpq    HEADER(AREA), %rax
        jne     .Lrestore_flags_without_area
        movq    %rax, %rbx
        movq    HEADER(AREA_SIZE), %rax
        movq    %rax, AREA(SIZE)
        movq    HEADER(MAGIC), %rax
        movq    %rax, AREA(MAGIC)
        movl    $1, AREA(STATE)

        // 3.
        movq    HEADER(STACK_TOP), %rsp
        movl    $-1, %eax
        movl    $-1, %edx
        xsave64 AREA(VECTORS)
        cld
        call    *HEADER(ERRNO_LOCATION)
        movq    %rax, %rbp
        movl    (%rbp), %eax
        movl    %eax, AREA(SAVED_ERRNO)

        // 4.
        leaq    AREA(PTHREAD), %rdi
        xorl    %esi, %esi
        leaq    .Lagent(%rip), %rdx
        movq    %rbx, %rcx
        call    *HEADER(PTHREAD_CREATE)
        movslq  %eax, %r12
        movq    %r12, AREA(CREATE_RESULT)
        movl    $2, AREA(STATE)

        // 5.
        movl    AREA(SAVED_ERRNO), %eax
        movl    %eax, (%rbp)
        testq   %r12, %r12
        jnz     .Lfailed
        leaq    REGISTER(0), %rsi
        movq    HEADER(STACK_TOP), %rdi
        movl    $CONTEXT_WORDS, %ecx
        rep movsq
        movq    HEADER(STACK_TOP), %rbp         // the copy, which may be changed
        movl    HEADER(LEAVE), %r12d
        testl   %r12d, %r12d
        jz      .Lreturn
        cmpl    $HP_LEAVE_JUMP, %r12d
        je      .Ljump
        movl    $SYS_SIGPENDING, %eax
        leaq    AREA(PENDING), %rdi
        movl    $8, %esi
        syscall
        movq    HEADER(MASK), %r13
        notq    %r13
        andq    AREA(PENDING), %r13             // those that will be let in
.Lnext_signal:
        bsfq    %r13, %r14                      // the lowest is delivered first
        jz      .Lundisturbed
        btrq    %r14, %r13
        movl    $SYS_SIGACTION, %eax
        leal    1(%r14), %edi
        xorl    %esi, %esi
        leaq    AREA(ACTION), %rdx
        movl    $8, %r10d
        syscall
        cmpq    $SIG_IGN, AREA(ACTION)          // or SIG_DFL: no handler runs, and the call goes on
        jbe     .Lnext_signal
        cmpl    $HP_LEAVE_CALL, %r12d
        jne     .Linterrupted
        testl   $SA_RESTART, HP_AREA_ACTION + 8(%rbx)
        jnz     .Lreturn
.Linterrupted:
        addq    $2, RIP * 8(%rbp)               // behind its `syscall`
        movq    $-EINTR, RAX * 8(%rbp)
        jmp     .Lreturn
.Lundisturbed:
        cmpl    $HP_LEAVE_REMEMBERED, %r12d
        je      .Ljump

        // 6.
.Lreturn:
        movl    $SYS_SIGALTSTACK, %eax
        xorl    %edi, %edi
        leaq    ALTERNATE_STACK(%rbp), %rsi
        syscall
        movq    HEADER(VECTOR_SIZE), %rax
        movq    HEADER(VECTOR_FEATURES), %rcx
        movl    $FP_MAGIC1, HP_AREA_VECTORS + FP_SOFTWARE(%rbx)
        movq    %rcx, HP_AREA_VECTORS + FP_SOFTWARE + 8(%rbx)
        movl    %eax, HP_AREA_VECTORS + FP_SOFTWARE + 16(%rbx)
        movl    $FP_MAGIC2, HP_AREA_VECTORS(%rbx, %rax)
        addl    $FP_MAGIC2_SIZE, %eax
        movl    %eax, HP_AREA_VECTORS + FP_SOFTWARE + 4(%rbx)
        movl    $3, AREA(STATE)
        movq    %rbp, %rsp
        movl    $SYS_SIGRETURN, %eax
        syscall

        // From here on no instruction changes the flags (mov and syscall do not; syscall restores them from r11).
.Ljump:
        movl    $3, AREA(STATE)                 // before signals come in: a handler may never come back
        movl    $-1, %eax
        movl    $-1, %edx
        xrstor64 AREA(VECTORS)
        pushq   REGISTER(EFLAGS)
        popfq
        jmp     .Lrestore_mask
.Lfailed:
        movl    $LOOKS, %r13d                   // a moment in which the patcher can read why; in a call that remembers nothing
.Lshow_failure:
        movl    $SYS_PPOLL, %eax
        xorl    %edi, %edi
        xorl    %esi, %esi
        leaq    HEADER(SLEEP), %rdx
        xorl    %r10d, %r10d
        syscall
        decl    %r13d
        jnz     .Lshow_failure
        movl    $-1, %eax
        movl    $-1, %edx
        xrstor64 AREA(VECTORS)
        pushq   REGISTER(EFLAGS)
        popfq
        movq    REGISTER(RSP), %rsp
        movl    $SYS_MUNMAP, %eax
        movq    HEADER(AREA), %rdi
        movq    HEADER(AREA_SIZE), %rsi
        syscall
.Lrestore_mask:
        movq    REGISTER(RSP), %rsp
        movl    $SYS_SIGPROCMASK, %eax
        movl    $SIG_SETMASK, %edi
        leaq    HEADER(MASK), %rsi
        movl    $0, %edx
        movl    $8, %r10d
        syscall
        movq    REGISTER(5), %r8
        movq    REGISTER(6), %r9
        movq    REGISTER(7), %r10
        movq    REGISTER(8), %r11
        movq    REGISTER(9), %r12
        movq    REGISTER(10), %r13
        movq    REGISTER(11), %r14
        movq    REGISTER(12), %r15
        movq    REGISTER(13), %rdi
        movq    REGISTER(14), %rsi
        movq    REGISTER(15), %rbp
        movq    REGISTER(16), %rbx
        movq    REGISTER(17), %rdx
        movq    REGISTER(RAX), %rax
        movq    REGISTER(19), %rcx
        jmp     *REGISTER(RIP)

        // Nothing was mapped, and there is no stack to pop the flags from but the interrupted one: below its red zone.
        // A thread in a system call does not care, and rsp was not changed.
.Lrestore_flags_without_area:
        leaq    -256(%rsp), %rsp
        pushq   REGISTER(EFLAGS)
        popfq
        jmp     .Lrestore_mask

        // void *agent(void *area)
.Lagent:
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rdi, %rbx

        // Signals stay blocked, but for the two that glibc sends itself (32 SIGCANCEL, 33 SIGSETXID): setuid() in
        // another thread waits until every thread has taken SIGSETXID.
        movl    $SYS_SIGPROCMASK, %eax
        movl    $SIG_SETMASK, %edi
        leaq    .Lagent_mask(%rip), %rsi
        xorl    %edx, %edx
        movl    $8, %r10d
        syscall
        movl    $SYS_PRCTL, %eax
        movl    $PR_SET_NAME, %edi
        leaq    HEADER(NAME), %rsi
        syscall
        movl    $SYS_GETTID, %eax
        syscall
        movq    %rax, AREA(AGENT_TID)
        movq    %fs:0, %rdi                     // the thread pointer points to itself (ELF TLS, variant II); pthread_t
        call    *HEADER(PTHREAD_DETACH)
        call    *HEADER(ERRNO_LOCATION)
        movq    %rax, %r12
        movq    $-1, AREA(DESCRIPTORS)
        movq    $-1, HP_AREA_DESCRIPTORS + 8(%rbx)
        movl    $1, AREA(AGENT_STATE)

.Lbegin_idle:
        call    .Lnow
        movq    %rax, %r13
        addq    HEADER(IDLE), %r13
.Lwait:
        movl    AREA(SEQUENCE), %r14d
        cmpl    AREA(DONE), %r14d
        jne     .Lcommand
        movl    $SYS_NANOSLEEP, %eax
        leaq    HEADER(SLEEP), %rdi
        xorl    %esi, %esi
        syscall
        call    .Lnow
        cmpq    %r13, %rax
        jb      .Lwait
        movl    AREA(SEQUENCE), %r14d           // asked while it slept?
        cmpl    AREA(DONE), %r14d
        jne     .Lcommand

        // Nobody asks any more. What is asked from now on is not done.
        leaq    AREA(DESCRIPTORS), %r13
        movl    $HP_DESCRIPTORS, %r15d
        call    .Lclose_descriptors
        movl    $2, AREA(AGENT_STATE)
        jmp     .Lleave

.Lcommand:
        movq    AREA(FUNCTION), %r11
        testq   %r11, %r11
        jz      .Lexit
        cmpq    $HP_COMMAND_SYSCALL, %r11
        je      .Lsystem_call
        cmpq    $HP_COMMAND_CLOSE, %r11
        je      .Lclose
        movl    $0, (%r12)
        movq    HP_AREA_ARGUMENTS + 0(%rbx), %rdi
        movq    HP_AREA_ARGUMENTS + 8(%rbx), %rsi
        movq    HP_AREA_ARGUMENTS + 16(%rbx), %rdx
        movq    HP_AREA_ARGUMENTS + 24(%rbx), %rcx
        movq    HP_AREA_ARGUMENTS + 32(%rbx), %r8
        movq    HP_AREA_ARGUMENTS + 40(%rbx), %r9
        xorl    %eax, %eax                      // a variadic function is told: no vector arguments
        call    *%r11
        movl    (%r12), %ecx
        movl    %ecx, AREA(ERRNO)
        movq    %rax, AREA(RESULT)
        jmp     .Ldone
.Lsystem_call:
        movq    HP_AREA_ARGUMENTS + 0(%rbx), %rax
        movq    HP_AREA_ARGUMENTS + 8(%rbx), %rdi
        movq    HP_AREA_ARGUMENTS + 16(%rbx), %rsi
        movq    HP_AREA_ARGUMENTS + 24(%rbx), %rdx
        movq    HP_AREA_ARGUMENTS + 32(%rbx), %r10
        movq    HP_AREA_ARGUMENTS + 40(%rbx), %r8
        movq    HP_AREA_ARGUMENTS + 48(%rbx), %r9
        syscall
        movq    %rax, AREA(RESULT)
        cmpq    $-4095, %rax
        jae     .Ldone                          // failed
        movq    AREA(KEEP_FROM), %rsi
        movq    AREA(KEEP_TO), %rdi
        movq    AREA(KEEP_COUNT), %rcx
        rep movsl
        jmp     .Ldone
.Lclose:
        movq    HP_AREA_ARGUMENTS + 0(%rbx), %r13
        movq    HP_AREA_ARGUMENTS + 8(%rbx), %r15
        call    .Lclose_descriptors
.Ldone:
        movl    %r14d, AREA(DONE)
        jmp     .Lbegin_idle

.Lexit:
        movq    HP_AREA_ARGUMENTS + 0(%rbx), %rax
        movl    $2, AREA(AGENT_STATE)
        movl    %r14d, AREA(DONE)
        testq   %rax, %rax                      // the borrowed thread may still be on its private stack: then it stays
        jz      .Lleave
        movl    $SYS_MUNMAP, %eax
        movq    %rbx, %rdi
        movq    HEADER(AREA_SIZE), %rsi
        syscall
.Lleave:
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        xorl    %eax, %eax
        ret

        // Closes those of r15d descriptors at r13 that are some. Each is forgotten first: closed twice, it may be another's by then.
.Lclose_descriptors:
        movl    (%r13), %edi
        movl    $-1, (%r13)
        testl   %edi, %edi
        js      .Lnext_descriptor
        movl    $SYS_CLOSE, %eax
        syscall
.Lnext_descriptor:
        addq    $4, %r13
        decl    %r15d
        jnz     .Lclose_descriptors
        ret

        // Monotonic nanoseconds in rax.
.Lnow:
        movl    $SYS_CLOCK_GETTIME, %eax
        movl    $CLOCK_MONOTONIC, %edi
        leaq    AREA(TIME), %rsi
        syscall
        movq    AREA(TIME), %rax
        imulq   $1000000000, %rax, %rax
        addq    HP_AREA_TIME + 8(%rbx), %rax
        ret

        .balign 8
.Lagent_mask:
        .quad   0xfffffffe7fffffff              // all but SIGSETXID (33) and SIGCANCEL (32)
hp_agent_code_end:

        .balign 4
        .globl  hp_agent_return_offset
        .hidden hp_agent_return_offset
hp_agent_return_offset:
        .long   0                               // none: the stub jumps through its header
#endif

        .section .note.GNU-stack,"",%progbits
