// The entries of adapters, x86_64. Twin of arm64/entry.S.
//
// A Swift function (swift/docs/ABI/CallConvSummary.rst, "x86-64"; LLVM's swiftcc) has its arguments in rdi rsi rdx rcx r8 r9, xmm0
// to xmm7 and on the stack; where the result goes in rax; self or a closure's context in r13, which it keeps; an error in r12. It
// returns in rax rdx rcx r8 and xmm0 to xmm3. r12 is left alone here: what the caller put there is for the target, and what the
// target left there for the caller.
#if defined(__x86_64__)
#include "../include/hp_call.h"
#include "registers.h"

// From %rbp, which lies at the end of the frame.
#define FRAME(offset) ((offset) - HP_CALL_FRAME_SIZE)(%rbp)

        .text
        .globl  hp_call_entry, hp_call_closure_entry
        .hidden hp_call_entry, hp_call_closure_entry
        .type   hp_call_closure_entry, @function
        .type   hp_call_entry, @function
        .p2align 5
hp_call_closure_entry:                          // the adapter is the context
        .cfi_startproc
        endbr64
        movq    %r13, %r11
        jmp     .Lentry
        .cfi_endproc
        .size   hp_call_closure_entry, . - hp_call_closure_entry

        .p2align 5
hp_call_entry:                                  // a thunk put the adapter into r11
        .cfi_startproc
        endbr64
.Lentry:
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        subq    $HP_CALL_FRAME_SIZE, %rsp
        save_generals 0, %rsp
        movq    %r13, HP_CALL_CONTEXT(%rsp)
        .cfi_offset %r13, HP_CALL_CONTEXT - HP_CALL_FRAME_SIZE - 16
        movq    %rax, HP_CALL_INDIRECT(%rsp)
        movq    %r11, HP_CALL_FRAME_ADAPTER(%rsp)
        movq    HP_CALL_ADAPTER_CONTEXT(%r11), %rax
        movq    %rax, HP_CALL_OUT + HP_CALL_CONTEXT(%rsp)
        movq    HP_CALL_ADAPTER_PROGRAM(%r11), %r10
        testb   $HP_CALL_VECTORS_IN, HP_CALL_PROGRAM_FLAGS(%r10)
        jz      1f
        save_vectors HP_CALL_VECTOR(0), %rsp, 8
1:      movq    HP_CALL_PROGRAM_PREPARE(%r10), %rdi
        movq    %rsp, %rsi
        movl    HP_CALL_PROGRAM_SCRATCH(%r10), %eax
        subq    %rax, %rsp
        call    *HP_CALL_STEP_RUN(%rdi)

        movq    FRAME(HP_CALL_FRAME_ADAPTER), %r11
        movq    HP_CALL_ADAPTER_PROGRAM(%r11), %r10
        testb   $HP_CALL_VECTORS_OUT, HP_CALL_PROGRAM_FLAGS(%r10)
        jz      2f
        load_vectors HP_CALL_OUT + HP_CALL_VECTOR(0) - HP_CALL_FRAME_SIZE, %rbp, 8
2:      load_generals HP_CALL_OUT - HP_CALL_FRAME_SIZE, %rbp
        movq    FRAME(HP_CALL_OUT + HP_CALL_INDIRECT), %rax
        movq    FRAME(HP_CALL_OUT + HP_CALL_CONTEXT), %r13
        call    *HP_CALL_ADAPTER_TARGET(%r11)

        movq    FRAME(HP_CALL_FRAME_ADAPTER), %r11
        movq    HP_CALL_ADAPTER_PROGRAM(%r11), %r10
        testb   $HP_CALL_TO_NATURAL, HP_CALL_PROGRAM_FLAGS(%r10)
        jz      3f
        save_results HP_CALL_RESULT - HP_CALL_FRAME_SIZE, %rbp
        testb   $HP_CALL_VECTORS_RESULT, HP_CALL_PROGRAM_FLAGS(%r10)
        jz      3f
        save_vectors HP_CALL_RESULT_VECTOR(0) - HP_CALL_FRAME_SIZE, %rbp, 4
3:      testb   $HP_CALL_FINISHES, HP_CALL_PROGRAM_FLAGS(%r10)
        jz      4f
        movq    %r12, FRAME(HP_CALL_FRAME_ERROR)
        movq    HP_CALL_PROGRAM_SUCCESS(%r10), %rdi
        testq   %r12, %r12
        cmovnzq HP_CALL_PROGRAM_FAILURE(%r10), %rdi
        leaq    FRAME(0), %rsi
        call    *HP_CALL_STEP_RUN(%rdi)
        movq    FRAME(HP_CALL_FRAME_ADAPTER), %r11
        movq    HP_CALL_ADAPTER_PROGRAM(%r11), %r10
4:      testb   $HP_CALL_TO_NATURAL, HP_CALL_PROGRAM_FLAGS(%r10)
        jnz     6f
        testb   $HP_CALL_VECTORS_RESULT, HP_CALL_PROGRAM_FLAGS(%r10)
        jz      5f
        load_vectors HP_CALL_RESULT_VECTOR(0) - HP_CALL_FRAME_SIZE, %rbp, 4
5:      load_results HP_CALL_RESULT - HP_CALL_FRAME_SIZE, %rbp
6:      movq    FRAME(HP_CALL_CONTEXT), %r13
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        .cfi_restore %r13
        ret
        .cfi_endproc
        .size   hp_call_entry, . - hp_call_entry

#endif
        .section .note.GNU-stack, "", %progbits
