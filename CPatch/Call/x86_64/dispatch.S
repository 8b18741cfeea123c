// The entry of dispatchers, x86_64. Twin of arm64/dispatch.S.
//
// Whatever convention the function has, the registers that arguments may be in are kept: System V's and Swift's (CallConvSummary.rst,
// "x86-64"). r12, r13 and r14, which are Swift's too, are kept by C functions. Of vector registers, the upper parts too where they
// are in use. Where they are not, they are left alone: to load them would make all that follows without VEX prefixes slower.
#if defined(__x86_64__)
#include "../include/hp_call.h"
#include "registers.h"

#define IN_USE HP_CALL_REGISTERS_SIZE
#define WHOLE_VECTOR(n) (HP_CALL_REGISTERS_SIZE + 16 + (n) * 64)
#define FRAME_SIZE WHOLE_VECTOR(8)

        .text
        .globl  hp_call_dispatch_entry
        .hidden hp_call_dispatch_entry
        .type   hp_call_dispatch_entry, @function
        .p2align 5
hp_call_dispatch_entry:                         // a thunk put the dispatcher into r11
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        subq    $FRAME_SIZE, %rsp
        save_generals 0, %rsp
        movq    %rax, HP_CALL_INDIRECT(%rsp)

        movl    hp_call_upper_vectors(%rip), %eax
        testl   %eax, %eax
        je      1f
        cmpl    $0, hp_call_tells_vectors_in_use(%rip)
        je      1f
        movl    $1, %ecx
        xgetbv
1:      movl    %eax, IN_USE(%rsp)
        testl   $(1 << HP_CALL_UPPER_ZMM_BIT), %eax
        jne     2f
        testl   $(1 << HP_CALL_UPPER_YMM_BIT), %eax
        jne     3f
        save_vectors HP_CALL_VECTOR(0), %rsp, 8
        jmp     4f
2:
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        vmovups %zmm\n, WHOLE_VECTOR(\n)(%rsp)
        .endr
        jmp     4f
3:
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        vmovups %ymm\n, WHOLE_VECTOR(\n)(%rsp)
        .endr

4:      movq    %r11, %rdi
        call    hp_call_dispatch
        movq    %rax, %r10
        movq    %rdx, %r11

        movl    IN_USE(%rsp), %eax
        testl   $(1 << HP_CALL_UPPER_ZMM_BIT), %eax
        jne     5f
        testl   $(1 << HP_CALL_UPPER_YMM_BIT), %eax
        jne     6f
        load_vectors HP_CALL_VECTOR(0), %rsp, 8
        jmp     7f
5:
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        vmovups WHOLE_VECTOR(\n)(%rsp), %zmm\n
        .endr
        jmp     7f
6:
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        vmovups WHOLE_VECTOR(\n)(%rsp), %ymm\n
        .endr

7:      load_generals 0, %rsp
        movq    HP_CALL_INDIRECT(%rsp), %rax
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        jmp     *%r10
        .cfi_endproc
        .size   hp_call_dispatch_entry, . - hp_call_dispatch_entry

#endif
        .section .note.GNU-stack, "", %progbits
