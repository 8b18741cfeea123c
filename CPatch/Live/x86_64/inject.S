// The agent stub, x86_64: copied behind its header (hp_remote.h) into the zero slack of an executable page of the target.
// Twin of arm64/inject.S.
//
// A thread of the target is borrowed: the patcher saves its registers into the header, points its PC at the first
// instruction here and detaches at once. From then on nothing depends on the patcher being alive:
//
//   1. map the area, without touching the interrupted stack (its red zone is in use)
//   2. block every signal: a handler must not run on the private stack (nor a second one on the alternate stack)
//   3. save the vector state, and errno
//   4. pthread_create(agent): the one thing that the borrowed thread does for us
//   5. restore errno, vector state, flags, SP; then the signal mask, so that a handler finds the thread's own stack
//   6. say that the area is free, restore the registers and go on where the thread was
//
// Between 5 and 6 no instruction changes the flags (mov and syscall do not; syscall restores them from r11).
// A return is never used, so a shadow stack stays balanced.
//
// The agent runs on a stack of its own, calls what the patcher asks for, and leaves by itself when nothing has been asked
// for a while: a dead patcher asks nothing. It then leaves the area mapped, for a patcher that was merely slow may still
// write into it; the next one unmaps it.
#if defined(__x86_64__)
#include "hp_remote.h"

#define HEADER(field) (.Lcode - HP_STUB_ENTRY + HP_STUB_##field)(%rip)
#define REGISTER(n) (.Lcode - HP_STUB_ENTRY + HP_STUB_REGISTERS + (n) * 8)(%rip)
#define AREA(field) HP_AREA_##field(%rbx)

#define SYS_MMAP 9
#define SYS_MUNMAP 11
#define SYS_SIGPROCMASK 14
#define SYS_NANOSLEEP 35
#define SYS_PRCTL 157
#define SYS_GETTID 186
#define SYS_CLOCK_GETTIME 228
#define SYS_CLOSE 3
#define SIG_SETMASK 2
#define PR_SET_NAME 15
#define CLOCK_MONOTONIC 1

        .section .rodata
        .globl  hp_agent_code
        .globl  hp_agent_code_end
        .skip   HP_STUB_ENTRY                   // stands for the header, so that HEADER() stays inside the section
        .balign 16
hp_agent_code:
.Lcode:                                         // local: the blob must not be preempted in a shared library
        // 1. PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE
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

        // 2.
        movq    $-1, AREA(FULL_MASK)
        movl    $SYS_SIGPROCMASK, %eax
        movl    $SIG_SETMASK, %edi
        leaq    AREA(FULL_MASK), %rsi
        leaq    AREA(SAVED_MASK), %rdx
        movl    $8, %r10d
        syscall

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
        movslq  %eax, %rax
        movq    %rax, AREA(CREATE_RESULT)
        movl    $2, AREA(STATE)

        // 5.
        movl    AREA(SAVED_ERRNO), %eax
        movl    %eax, (%rbp)
        movl    $-1, %eax
        movl    $-1, %edx
        xrstor64 AREA(VECTORS)
        pushq   REGISTER(18)
        popfq
        movq    REGISTER(19), %rsp
        movl    $SYS_SIGPROCMASK, %eax
        movl    $SIG_SETMASK, %edi
        leaq    AREA(SAVED_MASK), %rsi
        movl    $0, %edx
        movl    $8, %r10d
        syscall

        // 6.
        movl    $3, AREA(STATE)
.Lrestore:
        movq    REGISTER(0), %r15
        movq    REGISTER(1), %r14
        movq    REGISTER(2), %r13
        movq    REGISTER(3), %r12
        movq    REGISTER(4), %rbp
        movq    REGISTER(5), %rbx
        movq    REGISTER(6), %r11
        movq    REGISTER(7), %r10
        movq    REGISTER(8), %r9
        movq    REGISTER(9), %r8
        movq    REGISTER(10), %rax
        movq    REGISTER(11), %rcx
        movq    REGISTER(12), %rdx
        movq    REGISTER(13), %rsi
        movq    REGISTER(14), %rdi
        jmp     *REGISTER(16)

        // Nothing was mapped, and there is no stack to pop the flags from but the interrupted one: below its red zone.
        // A thread in a system call does not care, and rsp was not changed.
.Lrestore_flags_without_area:
        leaq    -256(%rsp), %rsp
        pushq   REGISTER(18)
        popfq
        movq    REGISTER(19), %rsp
        jmp     .Lrestore

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
        movabsq $0xfffffffe7fffffff, %rax
        movq    %rax, AREA(FULL_MASK)
        movl    $SYS_SIGPROCMASK, %eax
        movl    $SIG_SETMASK, %edi
        leaq    AREA(FULL_MASK), %rsi
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

        // Nobody asks any more.
        leaq    AREA(CLEANUP), %r13
        movl    $3, %r14d
.Lcleanup:
        movl    (%r13), %edi
        testl   %edi, %edi
        jz      .Lnext_cleanup
        movl    $SYS_CLOSE, %eax
        syscall
.Lnext_cleanup:
        addq    $4, %r13
        decl    %r14d
        jnz     .Lcleanup
        movl    $2, AREA(AGENT_STATE)
        jmp     .Lleave

.Lcommand:
        movq    AREA(FUNCTION), %r11
        testq   %r11, %r11
        jz      .Lexit
        cmpq    $HP_COMMAND_SYSCALL, %r11
        je      .Lsystem_call
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
.Ldone:
        movq    %rax, AREA(RESULT)
        movl    %r14d, AREA(DONE)
        jmp     .Lbegin_idle

.Lexit:
        movl    $2, AREA(AGENT_STATE)
        movl    %r14d, AREA(DONE)
        cmpl    $3, AREA(STATE)                 // the borrowed thread may still be on its private stack: then it stays
        jne     .Lleave
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
hp_agent_code_end:

        .balign 4
        .globl  hp_agent_return_offset
        .hidden hp_agent_return_offset
hp_agent_return_offset:
        .long   0                               // none: the stub jumps through its header
#endif

        .section .note.GNU-stack,"",%progbits
