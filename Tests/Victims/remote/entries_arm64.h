// What the victim needs in assembly. Twin of entries_x86_64.h: same names, same order.
#include <sys/auxv.h>

__asm__(".text\n.balign 16\nalpha: nop; mov w0, #1; ret\n"
        ".balign 16\nbeta: mov w0, #2; ret\n"
        ".balign 16\nspin: nop; 1: b 1b\n"
        // The end of a page of any size.
        ".balign 65536\n.skip 65532\nat_page_end: nop; ret\n.balign 16\n");

__asm__(".text\n.balign 16\nblind_fault: adrp x1, :got:S; ldr x1, [x1, :got_lo12:S]; ldr x1, [x1]; sxtw x0, w0; str x0, [x1, #24]\n"
        "1: bl pause; b 1b\n");

// The program's code ends early in a page, so that there is room for a stub within its branches' reach.
__asm__(".section room, \"ax\", %progbits\n.balign 4096\nnop\n.text\n");

__asm__(".text\n.balign 16\nblind_wait: stp x29, x30, [sp, #-16]!; mov x29, #1; mov x2, #1; mov x3, #100; mov x4, #0; mov x5, #8\n"
        "mov x8, #22; svc #0; ldp x29, x30, [sp], #16; ret\n");

// All but SP, with the flags, q0 to q31, fpsr and fpcr.
__asm__(R"(
        .text
        .balign 16
check_registers:
        .cfi_startproc
        stp     x29, x30, [sp, #-176]!
        .cfi_def_cfa_offset 176
        .cfi_offset x29, -176
        .cfi_offset x30, -168
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mrs     x0, fpcr
        str     x0, [sp, #160]
        mov     x0, #1 << 25                    // FPCR.DN
        msr     fpcr, x0
        mov     x0, #1 << 27                    // FPSR.QC
        msr     fpsr, x0
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
        movz    x\n, #0x100 + \n, lsl #48
        movk    x\n, #0x200 + \n
        dup     v\n\().2d, x\n
        ins     v\n\().d[1], xzr
        .endr
        ins     v0.d[1], x1
        ins     v31.d[1], x30
        ins     v30.d[1], x29
        mov     x0, #0x18000
        cmp     xzr, xzr                        // Z and C
1:      sub     x0, x0, #1
        cbnz    x0, 1b
        b.ne    9f
        b.cc    9f
        b.mi    9f
        b.vs    9f
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
        movz    x0, #0x100 + \n, lsl #48
        movk    x0, #0x200 + \n
        cmp     x0, x\n
        b.ne    9f
        umov    x0, v\n\().d[0]
        cmp     x0, x\n
        b.ne    9f
        .endr
        umov    x0, v0.d[1]
        cmp     x0, x1
        b.ne    9f
        umov    x0, v31.d[1]
        cmp     x0, x30
        b.ne    9f
        umov    x0, v30.d[1]
        cmp     x0, x29
        b.ne    9f
        umov    x0, v17.d[1]
        cbnz    x0, 9f
        mrs     x0, fpcr
        mov     x1, #1 << 25
        cmp     x0, x1
        b.ne    9f
        mrs     x0, fpsr
        tbz     x0, #27, 9f
        mov     x1, #1
        b       8f
9:      mov     x1, #0
8:      ldr     x0, [sp, #160]
        msr     fpcr, x0
        mov     x0, x1
        ldp     d14, d15, [sp, #144]
        ldp     d12, d13, [sp, #128]
        ldp     d10, d11, [sp, #112]
        ldp     d8, d9, [sp, #96]
        ldp     x27, x28, [sp, #80]
        ldp     x25, x26, [sp, #64]
        ldp     x23, x24, [sp, #48]
        ldp     x21, x22, [sp, #32]
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #176
        ret
        .cfi_endproc
)");

// A loop that reaches `pad` by an indirect branch, in a guarded page: where a thread stands there, PSTATE.BTYPE says so. Its copy
// has no `bti`: who comes there with BTYPE set gets SIGILL.
void indirect(volatile long *rounds);
void pad(void);
void pad_copy(void);
__asm__(R"(
        .text
        .balign 65536
        .globl  pad, pad_copy
indirect:
        .cfi_startproc
        adr     x2, pad
1:      mov     x3, x30
        blr     x2
        mov     x30, x3
        ldr     x1, [x0]
        add     x1, x1, #1
        str     x1, [x0]
        b       1b
        .cfi_endproc
pad:    hint    #34                             // bti c
        nop
        nop
        ret
pad_copy:
        nop
        nop
        nop
        ret
        .balign 65536
)");
static void *t_indirect(void *a) {
    enum { GUARDED = 0x10 /* PROT_BTI */, HAS_GUARDS = 1 << 17 /* HWCAP2_BTI */ };
    if (getauxval(AT_HWCAP2) & HAS_GUARDS && mprotect((void *)indirect, 65536, PROT_READ | PROT_EXEC | GUARDED)) BAD("mprotect");
    indirect(&S->rounds[(long)a]);
    return a;
}

// Computing with SVE registers, without a system call; with SME's ZA in use, in system calls. Where the processor cannot: asleep.
static void *t_scalable(void *a) {
    if (!(getauxval(AT_HWCAP) & 1 << 22 /* HWCAP_SVE */)) pause();
    S->rounds[(long)a] = 1;
    __asm__ volatile(".arch_extension sve\n ptrue p0.b\n 1: add z0.b, p0/m, z0.b, z0.b\n b 1b");
    return a;
}
static void *t_matrix(void *a) {
    if (!(getauxval(AT_HWCAP2) & 1 << 23 /* HWCAP2_SME */)) pause();
    __asm__ volatile(".inst 0xd503457f");  // smstart za
    for (S->rounds[(long)a] = 1;;) nanosleep(&(struct timespec){0, 5000000}, 0);
}
