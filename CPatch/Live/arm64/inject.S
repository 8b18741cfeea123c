// The agent stub, arm64: copied behind its header (hp_remote.h) into the zero slack of an executable page of the target.
// Twin of x86_64/inject.S, which says what the phases are for.
//
//   1. map the area, without touching the interrupted stack
//   2. block every signal: a handler must not run on the private stack (nor a second one on the alternate stack)
//   3. save the vector state, and errno
//   4. pthread_create(agent): the one thing that the borrowed thread does for us
//   5. restore errno, vector state, SP; then the signal mask, so that a handler finds the thread's own stack
//   6. say that the area is free, restore flags and registers and go on where the thread was
//
// No instruction jumps through memory, and every register is the thread's by then: so the last instruction is a direct branch,
// which the patcher encodes for the place where the thread was.
//
// Memory is weakly ordered: what tells the patcher, or the agent, that something else is there is stored with release
// semantics (stlr) and read with acquire semantics (ldar).
//
// libc's pages may be guarded: an indirect branch may land at a `bti` only (Arm ARM D8.4.6). hint #34 is `bti c`.
#if defined(__aarch64__)
#include "hp_remote.h"

#define HEADER(field) .Lcode - HP_STUB_ENTRY + HP_STUB_##field
#define REGISTER(n) .Lcode - HP_STUB_ENTRY + HP_STUB_REGISTERS + (n) * 8
#define AREA(field) [x19, #HP_AREA_##field]

#define SYS_MMAP 222
#define SYS_MUNMAP 215
#define SYS_SIGPROCMASK 135
#define SYS_NANOSLEEP 101
#define SYS_PRCTL 167
#define SYS_GETTID 178
#define SYS_CLOCK_GETTIME 113
#define SYS_CLOSE 57
#define SIG_SETMASK 2
#define PR_SET_NAME 15
#define CLOCK_MONOTONIC 1

        // Stores a word of the area for another thread to see, after all that was stored before. Uses x9.
.macro release register, offset
        add     x9, x19, #\offset
        stlr    \register, [x9]
.endm

.macro acquire register, offset
        add     x9, x19, #\offset
        ldar    \register, [x9]
.endm

        .section .rodata
        .globl  hp_agent_code
        .globl  hp_agent_code_end
        .balign 16
        .skip   HP_STUB_ENTRY                   // stands for the header, so that HEADER() stays inside the section
hp_agent_code:
.Lcode:                                         // local: the blob must not be preempted in a shared library
        hint    #34
        // 1. PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE
        ldr     x0, HEADER(AREA)
        ldr     x1, HEADER(AREA_SIZE)
        mov     x2, #3
        mov     x3, #0x22
        movk    x3, #0x10, lsl #16
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #SYS_MMAP
        svc     #0
        ldr     x19, HEADER(AREA)
        cmp     x0, x19
        b.ne    .Lrestore
        ldr     x10, HEADER(AREA_SIZE)
        str     x10, AREA(SIZE)
        ldr     x10, HEADER(MAGIC)
        release x10, HP_AREA_MAGIC
        mov     w10, #1
        release w10, HP_AREA_STATE

        // 2.
        mov     x10, #-1
        str     x10, AREA(FULL_MASK)
        mov     x0, #SIG_SETMASK
        add     x1, x19, #HP_AREA_FULL_MASK
        add     x2, x19, #HP_AREA_SAVED_MASK
        mov     x3, #8
        mov     x8, #SYS_SIGPROCMASK
        svc     #0

        // 3.
        ldr     x10, HEADER(STACK_TOP)
        mov     sp, x10
        mov     x29, #0                         // the end of the chain of frames
        mov     x30, #0
        add     x9, x19, #HP_AREA_VECTORS
        stp     q0, q1, [x9]
        stp     q2, q3, [x9, #32]
        stp     q4, q5, [x9, #64]
        stp     q6, q7, [x9, #96]
        stp     q8, q9, [x9, #128]
        stp     q10, q11, [x9, #160]
        stp     q12, q13, [x9, #192]
        stp     q14, q15, [x9, #224]
        stp     q16, q17, [x9, #256]
        stp     q18, q19, [x9, #288]
        stp     q20, q21, [x9, #320]
        stp     q22, q23, [x9, #352]
        stp     q24, q25, [x9, #384]
        stp     q26, q27, [x9, #416]
        stp     q28, q29, [x9, #448]
        stp     q30, q31, [x9, #480]
        mrs     x10, fpsr
        mrs     x11, fpcr
        add     x9, x9, #512
        stp     x10, x11, [x9]
        ldr     x16, HEADER(ERRNO_LOCATION)
        blr     x16
        mov     x20, x0
        ldr     w10, [x20]
        str     w10, AREA(SAVED_ERRNO)

        // 4.
        add     x0, x19, #HP_AREA_PTHREAD
        mov     x1, #0
        adr     x2, .Lagent
        mov     x3, x19
        ldr     x16, HEADER(PTHREAD_CREATE)
        blr     x16
        sxtw    x0, w0
        str     x0, AREA(CREATE_RESULT)
        mov     w10, #2
        release w10, HP_AREA_STATE

        // 5.
        ldr     w10, AREA(SAVED_ERRNO)
        str     w10, [x20]
        add     x9, x19, #HP_AREA_VECTORS
        ldp     q0, q1, [x9]
        ldp     q2, q3, [x9, #32]
        ldp     q4, q5, [x9, #64]
        ldp     q6, q7, [x9, #96]
        ldp     q8, q9, [x9, #128]
        ldp     q10, q11, [x9, #160]
        ldp     q12, q13, [x9, #192]
        ldp     q14, q15, [x9, #224]
        ldp     q16, q17, [x9, #256]
        ldp     q18, q19, [x9, #288]
        ldp     q20, q21, [x9, #320]
        ldp     q22, q23, [x9, #352]
        ldp     q24, q25, [x9, #384]
        ldp     q26, q27, [x9, #416]
        ldp     q28, q29, [x9, #448]
        ldp     q30, q31, [x9, #480]
        add     x9, x9, #512
        ldp     x10, x11, [x9]
        msr     fpsr, x10
        msr     fpcr, x11
        ldr     x10, REGISTER(31)
        mov     sp, x10
        mov     x0, #SIG_SETMASK
        add     x1, x19, #HP_AREA_SAVED_MASK
        mov     x2, #0
        mov     x3, #8
        mov     x8, #SYS_SIGPROCMASK
        svc     #0

        // 6.
        mov     w10, #3
        release w10, HP_AREA_STATE
.Lrestore:
        ldr     x0, REGISTER(33)
        and     x0, x0, #0xf0000000             // of PSTATE only the flags are a program's own
        msr     nzcv, x0
        ldr     x0, REGISTER(0)
        ldr     x1, REGISTER(1)
        ldr     x2, REGISTER(2)
        ldr     x3, REGISTER(3)
        ldr     x4, REGISTER(4)
        ldr     x5, REGISTER(5)
        ldr     x6, REGISTER(6)
        ldr     x7, REGISTER(7)
        ldr     x8, REGISTER(8)
        ldr     x9, REGISTER(9)
        ldr     x10, REGISTER(10)
        ldr     x11, REGISTER(11)
        ldr     x12, REGISTER(12)
        ldr     x13, REGISTER(13)
        ldr     x14, REGISTER(14)
        ldr     x15, REGISTER(15)
        ldr     x16, REGISTER(16)
        ldr     x17, REGISTER(17)
        ldr     x18, REGISTER(18)
        ldr     x19, REGISTER(19)
        ldr     x20, REGISTER(20)
        ldr     x21, REGISTER(21)
        ldr     x22, REGISTER(22)
        ldr     x23, REGISTER(23)
        ldr     x24, REGISTER(24)
        ldr     x25, REGISTER(25)
        ldr     x26, REGISTER(26)
        ldr     x27, REGISTER(27)
        ldr     x28, REGISTER(28)
        ldr     x29, REGISTER(29)
        ldr     x30, REGISTER(30)
.Lreturn:
        brk     #0                              // b REGISTER(32), encoded by hp_agent_set_return

        // void *agent(void *area)
.Lagent:
        hint    #34
        stp     x29, x30, [sp, #-48]!
        mov     x29, sp
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        mov     x19, x0

        // Signals stay blocked, but for the two that glibc sends itself (32 SIGCANCEL, 33 SIGSETXID): setuid() in
        // another thread waits until every thread has taken SIGSETXID.
        mov     x10, #0xfffffffe7fffffff
        str     x10, AREA(FULL_MASK)
        mov     x0, #SIG_SETMASK
        add     x1, x19, #HP_AREA_FULL_MASK
        mov     x2, #0
        mov     x3, #8
        mov     x8, #SYS_SIGPROCMASK
        svc     #0
        mov     x0, #PR_SET_NAME
        adr     x1, HEADER(NAME)
        mov     x8, #SYS_PRCTL
        svc     #0
        mov     x8, #SYS_GETTID
        svc     #0
        str     x0, AREA(AGENT_TID)
        ldr     x0, AREA(PTHREAD)               // glibc stores it before the thread starts
        ldr     x16, HEADER(PTHREAD_DETACH)
        blr     x16
        ldr     x16, HEADER(ERRNO_LOCATION)
        blr     x16
        mov     x20, x0
        mov     w10, #1
        release w10, HP_AREA_AGENT_STATE

.Lbegin_idle:
        bl      .Lnow
        ldr     x10, HEADER(IDLE)
        add     x21, x0, x10
.Lwait:
        acquire w22, HP_AREA_SEQUENCE
        ldr     w10, AREA(DONE)
        cmp     w22, w10
        b.ne    .Lcommand
        adr     x0, HEADER(SLEEP)
        mov     x1, #0
        mov     x8, #SYS_NANOSLEEP
        svc     #0
        bl      .Lnow
        cmp     x0, x21
        b.lo    .Lwait

        // Nobody asks any more.
        add     x21, x19, #HP_AREA_CLEANUP
        mov     w22, #3
.Lcleanup:
        ldr     w0, [x21], #4
        cbz     w0, .Lnext_cleanup
        mov     x8, #SYS_CLOSE
        svc     #0
.Lnext_cleanup:
        subs    w22, w22, #1
        b.ne    .Lcleanup
        mov     w10, #2
        release w10, HP_AREA_AGENT_STATE
        b       .Lleave

.Lcommand:
        ldr     x16, AREA(FUNCTION)
        cbz     x16, .Lexit
        cmp     x16, #HP_COMMAND_SYSCALL
        b.eq    .Lsystem_call
        str     wzr, [x20]
        ldp     x0, x1, [x19, #HP_AREA_ARGUMENTS]  // a variadic function takes them in the same registers (AAPCS64 6.4.2)
        ldp     x2, x3, [x19, #HP_AREA_ARGUMENTS + 16]
        ldp     x4, x5, [x19, #HP_AREA_ARGUMENTS + 32]
        blr     x16
        ldr     w10, [x20]
        str     w10, AREA(ERRNO)
        b       .Ldone
.Lsystem_call:
        ldp     x8, x0, [x19, #HP_AREA_ARGUMENTS]
        ldp     x1, x2, [x19, #HP_AREA_ARGUMENTS + 16]
        ldp     x3, x4, [x19, #HP_AREA_ARGUMENTS + 32]
        ldr     x5, [x19, #HP_AREA_ARGUMENTS + 48]
        svc     #0
.Ldone:
        str     x0, AREA(RESULT)
        release w22, HP_AREA_DONE
        b       .Lbegin_idle

.Lexit:
        mov     w10, #2
        release w10, HP_AREA_AGENT_STATE
        release w22, HP_AREA_DONE
        acquire w10, HP_AREA_STATE
        cmp     w10, #3                         // the borrowed thread may still be on its private stack: then it stays
        b.ne    .Lleave
        mov     x0, x19
        ldr     x1, HEADER(AREA_SIZE)
        mov     x8, #SYS_MUNMAP
        svc     #0
.Lleave:
        ldp     x21, x22, [sp, #32]
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #48
        mov     x0, #0
        ret

        // Monotonic nanoseconds in x0.
.Lnow:
        mov     x0, #CLOCK_MONOTONIC
        add     x1, x19, #HP_AREA_TIME
        mov     x8, #SYS_CLOCK_GETTIME
        svc     #0
        ldp     x0, x1, [x19, #HP_AREA_TIME]
        mov     w10, #0xca00
        movk    w10, #0x3b9a, lsl #16           // 1000000000
        madd    x0, x0, x10, x1
        ret
hp_agent_code_end:

        .balign 4
        .globl  hp_agent_return_offset
        .hidden hp_agent_return_offset
hp_agent_return_offset:
        .word   .Lreturn - .Lcode
#endif

        .section .note.GNU-stack,"",%progbits
