// The agent stub, arm64: copied behind its header (hp_agent.h) into the zero slack of an executable page of the target.
// Twin of x86_64/inject.S, which says what the phases are for.
//
//   1. block every signal but SIGSETXID
//   2. map the area, without touching the interrupted stack
//   3. save the vector state, and errno
//   4. pthread_create(agent): the one thing that the borrowed thread does for us
//   5. restore errno; where a signal is about to be let in whose handler ends the interrupted call, the call returns EINTR
//   6. say that nothing is left to do, and return as from a handler; or jump, where the kernel remembers a timed wait
//
// No instruction jumps through memory, and every register is the thread's when it jumps: so the last instruction is a direct branch,
// which the patcher encodes for the place where the thread was.
//
// Memory is weakly ordered: what tells the patcher, or the agent, that something else is there is stored with release
// semantics (stlr) and read with acquire semantics (ldar).
//
// libc's pages may be guarded: an indirect branch may land at a `bti` only (Arm ARM D8.4.6). hint #34 is `bti c`.
#if defined(__aarch64__)
#include "hp_agent.h"

#define HEADER(field) .Lcode - HP_STUB_ENTRY + HP_STUB_##field
#define REGISTER(n) .Lcode - HP_STUB_ENTRY + HP_STUB_CONTEXT + (n) * 8
#define AREA(field) [x19, #HP_AREA_##field]

// Words of the context: hp_registers_to_context.
#define SP 31
#define PC 32
#define PSTATE 33
#define CONTEXT_WORDS 34

// struct rt_sigframe (arch/arm64/kernel/signal.c): a siginfo_t, which does not count, and a ucontext_t: its alternate stack and mask,
// the registers in the context's order, and records, of which one is needed and the last is zero.
#define FRAME_STACK 144
#define FRAME_MASK 168
#define FRAME_REGISTERS 312
#define FRAME_RECORDS 592
#define FPSIMD_MAGIC 0x46508001
#define FPSIMD_SIZE 528

#define SYS_MMAP 222
#define SYS_MUNMAP 215
#define SYS_SIGALTSTACK 132
#define SYS_SIGACTION 134
#define SYS_SIGPROCMASK 135
#define SYS_SIGPENDING 136
#define SYS_SIGRETURN 139
#define SYS_NANOSLEEP 101
#define SYS_PPOLL 73
#define SYS_PRCTL 167
#define SYS_GETTID 178
#define SYS_CLOCK_GETTIME 113
#define SYS_CLOSE 57
#define SIG_SETMASK 2
#define SIG_IGN 1
#define SA_RESTART_BIT 28
#define EINTR 4
#define PR_SET_NAME 15
#define CLOCK_MONOTONIC 1
#define LOOKS 20

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
        // 1.
        mov     x0, #SIG_SETMASK
        adr     x1, HEADER(BLOCKED)
        mov     x2, #0
        mov     x3, #8
        mov     x8, #SYS_SIGPROCMASK
        svc     #0

        // 2. PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE
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
        b.ne    .Lrestore_mask
        ldr     x10, HEADER(AREA_SIZE)
        str     x10, AREA(SIZE)
        ldr     x10, HEADER(MAGIC)
        release x10, HP_AREA_MAGIC
        mov     w10, #1
        release w10, HP_AREA_STATE

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
        sxtw    x21, w0
        str     x21, AREA(CREATE_RESULT)
        mov     w10, #2
        release w10, HP_AREA_STATE

        // 5.
        ldr     w10, AREA(SAVED_ERRNO)
        str     w10, [x20]
        cbnz    x21, .Lfailed
        mov     x20, sp                         // the frame, zeros so far
        add     x9, x20, #FRAME_REGISTERS
        adr     x10, REGISTER(0)
        mov     x11, #CONTEXT_WORDS
.Lcopy_context:
        ldr     x12, [x10], #8
        str     x12, [x9], #8
        subs    x11, x11, #1
        b.ne    .Lcopy_context
        ldr     x21, HEADER(LEAVE)
        cbz     x21, .Lreturn
        cmp     x21, #HP_LEAVE_JUMP
        b.eq    .Ljump
        add     x0, x19, #HP_AREA_PENDING
        mov     x1, #8
        mov     x8, #SYS_SIGPENDING
        svc     #0
        ldr     x22, AREA(PENDING)
        ldr     x10, HEADER(MASK)
        bic     x22, x22, x10                   // those that will be let in
.Lnext_signal:
        cbz     x22, .Lundisturbed
        rbit    x10, x22
        clz     x10, x10                        // the lowest is delivered first
        add     x0, x10, #1
        sub     x11, x22, #1
        and     x22, x22, x11
        mov     x1, #0
        add     x2, x19, #HP_AREA_ACTION
        mov     x3, #8
        mov     x8, #SYS_SIGACTION
        svc     #0
        ldp     x10, x11, [x19, #HP_AREA_ACTION]
        cmp     x10, #SIG_IGN                   // or SIG_DFL: no handler runs, and the call goes on
        b.ls    .Lnext_signal
        cmp     x21, #HP_LEAVE_CALL
        b.ne    .Linterrupted
        tbnz    w11, #SA_RESTART_BIT, .Lreturn
.Linterrupted:
        add     x9, x20, #FRAME_REGISTERS
        ldr     x10, [x9, #PC * 8]
        add     x10, x10, #4                    // behind its `svc`
        str     x10, [x9, #PC * 8]
        mov     x10, #-EINTR
        str     x10, [x9]
        b       .Lreturn
.Lundisturbed:
        cmp     x21, #HP_LEAVE_REMEMBERED
        b.eq    .Ljump

        // 6.
.Lreturn:
        mov     x0, #0
        add     x1, x20, #FRAME_STACK
        mov     x8, #SYS_SIGALTSTACK
        svc     #0
        ldr     x10, HEADER(MASK)
        str     x10, [x20, #FRAME_MASK]
        add     x9, x20, #FRAME_RECORDS         // struct fpsimd_context: magic, size, fpsr, fpcr, q0 to q31
        ldr     w10, .Lfpsimd_magic
        mov     w11, #FPSIMD_SIZE
        stp     w10, w11, [x9], #8
        add     x10, x19, #HP_AREA_VECTORS
        ldr     x11, [x10, #512]
        ldr     x12, [x10, #520]
        stp     w11, w12, [x9], #8
        mov     x11, #32
.Lcopy_vectors:
        ldp     x12, x13, [x10], #16
        stp     x12, x13, [x9], #16
        subs    x11, x11, #1
        b.ne    .Lcopy_vectors
        mov     w10, #3
        release w10, HP_AREA_STATE
        mov     x8, #SYS_SIGRETURN
        svc     #0

.Lfailed:
        mov     x22, #LOOKS                     // a moment in which the patcher can read why; in a call that remembers nothing
.Lshow_failure:
        mov     x0, #0
        mov     x1, #0
        adr     x2, HEADER(SLEEP)
        mov     x3, #0
        mov     x8, #SYS_PPOLL
        svc     #0
        subs    x22, x22, #1
        b.ne    .Lshow_failure
        bl      .Lrestore_vectors
        mov     x0, x19
        ldr     x1, HEADER(AREA_SIZE)
        ldr     x10, REGISTER(SP)
        mov     sp, x10
        mov     x8, #SYS_MUNMAP
        svc     #0
        b       .Lrestore_mask
.Ljump:
        mov     w10, #3
        release w10, HP_AREA_STATE              // before signals come in: a handler may never come back
        bl      .Lrestore_vectors
.Lrestore_mask:
        ldr     x10, REGISTER(SP)
        mov     sp, x10
        mov     x0, #SIG_SETMASK
        adr     x1, HEADER(MASK)
        mov     x2, #0
        mov     x3, #8
        mov     x8, #SYS_SIGPROCMASK
        svc     #0
        ldr     x0, REGISTER(PSTATE)
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
.Lgo_back:
        brk     #0                              // b REGISTER(PC), encoded by hp_agent_set_return

.Lrestore_vectors:
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
        ret

        // void *agent(void *area)
.Lagent:
        hint    #34
        stp     x29, x30, [sp, #-64]!
        mov     x29, sp
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        str     x23, [sp, #48]
        mov     x19, x0

        // Signals stay blocked, but for the two that glibc sends itself (32 SIGCANCEL, 33 SIGSETXID): setuid() in
        // another thread waits until every thread has taken SIGSETXID.
        mov     x0, #SIG_SETMASK
        adr     x1, .Lagent_mask
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
        mov     x10, #-1
        stp     x10, x10, [x19, #HP_AREA_DESCRIPTORS]
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
        acquire w22, HP_AREA_SEQUENCE           // asked while it slept?
        ldr     w10, AREA(DONE)
        cmp     w22, w10
        b.ne    .Lcommand

        // Nobody asks any more. What is asked from now on is not done.
        add     x21, x19, #HP_AREA_DESCRIPTORS
        mov     x23, #HP_DESCRIPTORS
        bl      .Lclose_descriptors
        mov     w10, #2
        release w10, HP_AREA_AGENT_STATE
        b       .Lleave

.Lcommand:
        ldr     x16, AREA(FUNCTION)
        cbz     x16, .Lexit
        cmp     x16, #HP_COMMAND_SYSCALL
        b.eq    .Lsystem_call
        cmp     x16, #HP_COMMAND_CLOSE
        b.eq    .Lclose
        str     wzr, [x20]
        ldp     x0, x1, [x19, #HP_AREA_ARGUMENTS]  // a variadic function takes them in the same registers (AAPCS64 6.4.2)
        ldp     x2, x3, [x19, #HP_AREA_ARGUMENTS + 16]
        ldp     x4, x5, [x19, #HP_AREA_ARGUMENTS + 32]
        blr     x16
        ldr     w10, [x20]
        str     w10, AREA(ERRNO)
        str     x0, AREA(RESULT)
        b       .Ldone
.Lsystem_call:
        ldp     x8, x0, [x19, #HP_AREA_ARGUMENTS]
        ldp     x1, x2, [x19, #HP_AREA_ARGUMENTS + 16]
        ldp     x3, x4, [x19, #HP_AREA_ARGUMENTS + 32]
        ldr     x5, [x19, #HP_AREA_ARGUMENTS + 48]
        svc     #0
        str     x0, AREA(RESULT)
        cmn     x0, #4095
        b.hs    .Ldone                          // failed
        ldr     x9, AREA(KEEP_FROM)
        ldr     x10, AREA(KEEP_TO)
        ldr     x11, AREA(KEEP_COUNT)
.Lkeep:
        cbz     x11, .Ldone
        ldr     w12, [x9], #4
        str     w12, [x10], #4
        sub     x11, x11, #1
        b       .Lkeep
.Lclose:
        ldp     x21, x23, [x19, #HP_AREA_ARGUMENTS]
        bl      .Lclose_descriptors
.Ldone:
        release w22, HP_AREA_DONE
        b       .Lbegin_idle

.Lexit:
        ldr     x21, [x19, #HP_AREA_ARGUMENTS]
        mov     w10, #2
        release w10, HP_AREA_AGENT_STATE
        release w22, HP_AREA_DONE
        cbz     x21, .Lleave                    // the borrowed thread may still be on its private stack: then it stays
        mov     x0, x19
        ldr     x1, HEADER(AREA_SIZE)
        mov     x8, #SYS_MUNMAP
        svc     #0
.Lleave:
        ldr     x23, [sp, #48]
        ldp     x21, x22, [sp, #32]
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #64
        mov     x0, #0
        ret

        // Closes those of x23 descriptors at x21 that are some. Each is forgotten first: closed twice, it may be another's by then.
.Lclose_descriptors:
        ldr     w0, [x21]
        mov     w10, #-1
        str     w10, [x21], #4
        tbnz    w0, #31, .Lnext_descriptor
        mov     x8, #SYS_CLOSE
        svc     #0
.Lnext_descriptor:
        subs    x23, x23, #1
        b.ne    .Lclose_descriptors
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

        .balign 8
.Lagent_mask:
        .quad   0xfffffffe7fffffff              // all but SIGSETXID (33) and SIGCANCEL (32)
.Lfpsimd_magic:
        .word   FPSIMD_MAGIC
hp_agent_code_end:

        .balign 4
        .globl  hp_agent_return_offset
        .hidden hp_agent_return_offset
hp_agent_return_offset:
        .word   .Lgo_back - .Lcode
#endif

        .section .note.GNU-stack,"",%progbits
