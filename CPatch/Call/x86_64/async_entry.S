// The entries of adapters of async functions, x86_64. Twin of arm64/async_entry.S. See ../async.c.
//
// The context of the call is in r14; every call is a jump, so these return to nobody.
#if defined(__x86_64__)
#include "../include/hp_call.h"
#include "registers.h"

        .text
        .globl  hp_call_async_entry, hp_call_async_resumed, hp_call_async_function
        .hidden hp_call_async_entry, hp_call_async_resumed, hp_call_async_function

.macro begin
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        subq    $HP_CALL_ASYNC_SIZE, %rsp
        save_generals 0, %rsp
        movq    %r13, HP_CALL_CONTEXT(%rsp)
        movq    %r14, HP_CALL_ASYNC_CONTEXT(%rsp)
.endm

// To rax, with the registers as they lie on the stack; rdx says whether vectors are among them.
.macro go_on
        movq    %rax, %r11
        testq   %rdx, %rdx
        jz      1f
        load_vectors HP_CALL_VECTOR(0), %rsp, 8
1:      load_generals 0, %rsp
        movq    HP_CALL_CONTEXT(%rsp), %r13
        movq    HP_CALL_ASYNC_CONTEXT(%rsp), %r14
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        jmp     *%r11
.endm

        .type   hp_call_async_closure_entry, @function
        .p2align 5
hp_call_async_closure_entry:                    // the box is the context
        .cfi_startproc
        endbr64
        movq    %r13, %r11
        jmp     .Lasync_entry
        .cfi_endproc
        .size   hp_call_async_closure_entry, . - hp_call_async_closure_entry

        .type   hp_call_async_entry, @function
        .p2align 5
hp_call_async_entry:                            // a thunk put the box into r11
        .cfi_startproc
        endbr64
.Lasync_entry:
        begin
        movq    HP_CALL_BOX_PROGRAM(%r11), %r10
        testb   $HP_CALL_VECTORS_IN, HP_CALL_PROGRAM_FLAGS(%r10)
        jz      2f
        save_vectors HP_CALL_VECTOR(0), %rsp, 8
2:      movq    %r11, %rdi
        movq    %rsp, %rsi
        call    hp_call_async_begin
        go_on
        .cfi_endproc
        .size   hp_call_async_entry, . - hp_call_async_entry

        .type   hp_call_async_resumed, @function
        .p2align 5
hp_call_async_resumed:                          // results are arguments, an error is in r13
        .cfi_startproc
        endbr64
        begin
        movq    -HP_CALL_ASYNC_LINK(%r14), %rdi
        movq    HP_CALL_FRAME_BOX(%rdi), %r11
        movq    HP_CALL_BOX_PROGRAM(%r11), %r10
        testb   $HP_CALL_VECTORS_RESULT, HP_CALL_PROGRAM_FLAGS(%r10)
        jz      2f
        save_vectors HP_CALL_VECTOR(0), %rsp, 4
2:      movq    %rsp, %rsi
        call    hp_call_async_end
        go_on
        .cfi_endproc
        .size   hp_call_async_resumed, . - hp_call_async_resumed

        // An async function pointer: the distance to the code, and the size of the context that it wants: a bare one.
        .section .rodata
        .type   hp_call_async_function, @object
        .p2align 3
hp_call_async_function:
        .long   hp_call_async_closure_entry - hp_call_async_function
        .long   16
        .size   hp_call_async_function, . - hp_call_async_function

#endif
        .section .note.GNU-stack, "", %progbits
