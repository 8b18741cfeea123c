// The entry of dispatchers, x86_64. Twin of arm64/dispatch.S.
//
// Whatever convention the function has, the registers that arguments may be in are kept: System V's and Swift's (CallConvSummary.rst,
// "x86-64"). r12, r13 and r14, which are Swift's too, are kept by C functions.
#if defined(__x86_64__)
#include "../include/hp_call.h"
#include "registers.h"

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
        subq    $HP_CALL_REGISTERS_SIZE, %rsp
        save_generals 0, %rsp
        save_vectors HP_CALL_VECTOR(0), %rsp, 8
        movq    %rax, HP_CALL_INDIRECT(%rsp)
        movq    %r11, HP_CALL_CONTEXT(%rsp)
        movq    %r11, %rdi
        call    *HP_CALL_DISPATCHER_LOOK_UP(%r11)
        movq    %rax, %r10
        testq   %r10, %r10
        jnz     1f
        movq    HP_CALL_CONTEXT(%rsp), %r11
        movq    HP_CALL_DISPATCHER_ORIGINAL(%r11), %r10
1:      movq    %rdx, %r11
        load_generals 0, %rsp
        load_vectors HP_CALL_VECTOR(0), %rsp, 8
        movq    HP_CALL_INDIRECT(%rsp), %rax
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        jmp     *%r10
        .cfi_endproc
        .size   hp_call_dispatch_entry, . - hp_call_dispatch_entry

#endif
        .section .note.GNU-stack, "", %progbits
