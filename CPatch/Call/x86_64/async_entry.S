// The entries of adapters of async functions, x86_64. Twin of arm64/async_entry.S. See ../async.c.
//
// The context of the call is in r14; every call is a jump, so these return to nobody.
#if defined(__x86_64__)
#include "../include/hp_call.h"
#include "registers.h"

        .text
        .globl  hp_call_async_entry, hp_call_async_resumed, hp_call_async_functions
        .hidden hp_call_async_entry, hp_call_async_resumed, hp_call_async_functions

.macro enter
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        subq    $HP_CALL_ASYNC_SIZE, %rsp
.endm

.macro leave_to target
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        jmp     *\target
.endm

        .type   hp_call_async_closure_entry, @function
        .p2align 5
hp_call_async_closure_entry:                    // the adapter is the context
        .cfi_startproc
        endbr64
        movq    %r13, %r11
        xorl    %eax, %eax
        jmp     .Lasync_entry
        .cfi_endproc
        .size   hp_call_async_closure_entry, . - hp_call_async_closure_entry

        .type   hp_call_async_preallocated_entry, @function
        .p2align 5
hp_call_async_preallocated_entry:                      // the same, and the context of the call has room for the frame
        .cfi_startproc
        endbr64
        movq    %r13, %r11
        movq    %r14, %rax
        jmp     .Lasync_entry
        .cfi_endproc
        .size   hp_call_async_preallocated_entry, . - hp_call_async_preallocated_entry

        .type   hp_call_async_entry, @function
        .p2align 5
hp_call_async_entry:                            // a thunk put the adapter into r11
        .cfi_startproc
        endbr64
        xorl    %eax, %eax
.Lasync_entry:
        enter
        movq    %rax, HP_CALL_ASYNC_FRAME(%rsp)
        save_generals 0, %rsp
        movq    HP_CALL_ADAPTER_PROGRAM(%r11), %r10
        movzbl  HP_CALL_PROGRAM_FLAGS(%r10), %eax
        movl    %eax, HP_CALL_ASYNC_FLAGS(%rsp)
        testb   $HP_CALL_VECTORS_IN, %al
        jz      1f
        save_vectors HP_CALL_VECTOR(0), %rsp, 8
1:      movq    %r11, %rdi
        movq    %r14, %rsi
        movq    HP_CALL_ASYNC_FRAME(%rsp), %rdx
        call    hp_call_async_begin
        movq    %rax, HP_CALL_ASYNC_FRAME(%rsp)
        load_generals 0, %rsp
        save_generals 0, %rax
        movq    %r13, HP_CALL_CONTEXT(%rax)
        testb   $HP_CALL_VECTORS_IN, HP_CALL_ASYNC_FLAGS(%rsp)
        jz      2f
        load_vectors HP_CALL_VECTOR(0), %rsp, 8
        save_vectors HP_CALL_VECTOR(0), %rax, 8
2:      movq    HP_CALL_FRAME_ADAPTER(%rax), %r11
        movq    HP_CALL_ADAPTER_PROGRAM(%r11), %r10
        testb   $HP_CALL_ASYNC_STACK, HP_CALL_ASYNC_FLAGS(%rsp)
        jnz     6f
3:      movq    HP_CALL_PROGRAM_PREPARE(%r10), %rdi
        movq    %rax, %rsi
        call    *HP_CALL_STEP_RUN(%rdi)

        movq    HP_CALL_ASYNC_FRAME(%rsp), %r10
        testb   $HP_CALL_VECTORS_OUT, HP_CALL_ASYNC_FLAGS(%rsp)
        jz      4f
        load_vectors HP_CALL_OUT + HP_CALL_VECTOR(0), %r10, 8
4:      movq    HP_CALL_FRAME_ADAPTER(%r10), %r11
        testb   $HP_CALL_ASYNC_STACK, HP_CALL_ASYNC_FLAGS(%rsp)
        jnz     8f
        .cfi_remember_state
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
5:      load_generals HP_CALL_OUT, %r10
        movq    HP_CALL_OUT + HP_CALL_CONTEXT(%r10), %r13
        leaq    HP_CALL_FRAME_SIZE + HP_CALL_ASYNC_LINK(%r10), %r14
        movq    HP_CALL_ADAPTER_TARGET(%r11), %r11
        jmp     *%r11

        // The caller's arguments on the stack go to the top of the scratch space.
        .cfi_restore_state
6:      movl    HP_CALL_PROGRAM_STACK_IN(%r10), %ecx
        leaq    15(%rcx), %rdx
        andq    $-16, %rdx
        movq    %rax, %rdi
        subq    %rdx, %rdi
7:      subq    $8, %rcx
        jb      3b
        movq    16(%rbp, %rcx), %rdx
        movq    %rdx, (%rdi, %rcx)
        jmp     7b

        // The return address goes where it lies for the target, below whose arguments it is; the entry's frame may be in their place.
8:      movq    HP_CALL_ADAPTER_PROGRAM(%r11), %rdx
        movslq  HP_CALL_PROGRAM_STACK_POP(%rdx), %rax
        leaq    8(%rbp, %rax), %rdi
        cmpq    %rsp, %rdi
        cmovbq  %rdi, %rsp
        movq    8(%rbp), %rax
        movq    %rax, (%rdi)
        movq    (%rbp), %rbp
        .cfi_def_cfa %rdi, 8
        .cfi_restore %rbp
        movl    HP_CALL_PROGRAM_SCRATCH(%rdx), %eax
        movq    %r10, %rsi
        subq    %rax, %rsi
        movl    HP_CALL_PROGRAM_STACK_OUT(%rdx), %ecx
9:      subq    $8, %rcx
        jb      10f
        movq    (%rsi, %rcx), %rax
        movq    %rax, 8(%rdi, %rcx)
        jmp     9b
10:     movq    %rdi, %rsp
        .cfi_def_cfa %rsp, 8
        jmp     5b
        .cfi_endproc
        .size   hp_call_async_entry, . - hp_call_async_entry

        .type   hp_call_async_resumed, @function
        .p2align 5
hp_call_async_resumed:                          // results are arguments, an error is in r13
        .cfi_startproc
        endbr64
        enter
        movq    -HP_CALL_ASYNC_LINK(%r14), %r11
        movq    %r11, HP_CALL_ASYNC_FRAME(%rsp)
        movq    HP_CALL_FRAME_ADAPTER(%r11), %r10
        movq    HP_CALL_ADAPTER_PROGRAM(%r10), %r10
        movzbl  HP_CALL_PROGRAM_FLAGS(%r10), %eax
        movl    %eax, HP_CALL_ASYNC_FLAGS(%rsp)
        testb   $HP_CALL_TO_NATURAL, %al
        jz      1f
        save_async_results HP_CALL_RESULT, %r11
        testb   $HP_CALL_VECTORS_RESULT, %al
        jz      1f
        save_vectors HP_CALL_RESULT_VECTOR(0), %r11, 4
1:      testb   $HP_CALL_FINISHES, %al
        jz      2f
        movq    %r13, HP_CALL_FRAME_ERROR(%r11)
        movq    HP_CALL_PROGRAM_SUCCESS(%r10), %rdi
        testq   %r13, %r13
        cmovnzq HP_CALL_PROGRAM_FAILURE(%r10), %rdi
        movq    %r11, %rsi
        call    *HP_CALL_STEP_RUN(%rdi)

        // The frame ends before the caller goes on: what is returned crosses that on the stack.
2:      movq    HP_CALL_ASYNC_FRAME(%rsp), %r11
        testb   $HP_CALL_TO_NATURAL, HP_CALL_ASYNC_FLAGS(%rsp)
        jnz     3f
        load_async_results HP_CALL_RESULT, %r11
        save_async_results 0, %rsp
        testb   $HP_CALL_VECTORS_RESULT, HP_CALL_ASYNC_FLAGS(%rsp)
        jz      3f
        load_vectors HP_CALL_RESULT_VECTOR(0), %r11, 4
        save_vectors HP_CALL_VECTOR(0), %rsp, 4
3:      movq    %r11, %rdi
        call    hp_call_async_end
        movq    %rax, %r14
        testb   $HP_CALL_TO_NATURAL, HP_CALL_ASYNC_FLAGS(%rsp)
        jnz     5f
        testb   $HP_CALL_VECTORS_RESULT, HP_CALL_ASYNC_FLAGS(%rsp)
        jz      4f
        load_vectors HP_CALL_VECTOR(0), %rsp, 4
4:      load_async_results 0, %rsp
5:      leave_to HP_CALL_ASYNC_RESUME(%r14)
        .cfi_endproc
        .size   hp_call_async_resumed, . - hp_call_async_resumed

        // Async function pointers: the distance to the code, and the size of the context that it wants. See call.h.
        .section .rodata
        .type   hp_call_async_functions, @object
        .p2align 3
hp_call_async_functions:
        .long   hp_call_async_closure_entry - hp_call_async_functions
        .long   16
        .irp    size, HP_CALL_ASYNC_SIZES
1:      .long   hp_call_async_preallocated_entry - 1b
        .long   \size
        .endr
        .size   hp_call_async_functions, . - hp_call_async_functions

#endif
        .section .note.GNU-stack, "", %progbits
