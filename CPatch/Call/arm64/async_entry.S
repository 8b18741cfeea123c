// The entries of adapters of async functions, arm64. Twin of x86_64/async_entry.S. See ../async.c.
//
// The context of the call is in x22; every call is a jump, so these return to nobody.
#if defined(__aarch64__)
#include "../include/hp_call.h"
#include "registers.h"

        .text
        .globl  hp_call_async_entry, hp_call_async_resumed, hp_call_async_function
        .hidden hp_call_async_entry, hp_call_async_resumed, hp_call_async_function

.macro begin
        stp     x29, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset x29, -16
        .cfi_offset x30, -8
        mov     x29, sp
        .cfi_def_cfa x29, 16
        sub     sp, sp, #HP_CALL_ASYNC_SIZE
        save_generals sp
        str     x20, [sp, #HP_CALL_CONTEXT]
        str     x22, [sp, #HP_CALL_ASYNC_CONTEXT]
.endm

// To x0, with the registers as they lie on the stack; x1 says whether vectors are among them. x30 is what it was: whoever is jumped
// to returns to whoever called first.
.macro go_on
        mov     x16, x0
        cbz     x1, 1f
        load_vectors sp, HP_CALL_VECTOR(0)
        load_other_vectors sp, HP_CALL_VECTOR(0)
1:      load_generals sp
        ldr     x20, [sp, #HP_CALL_CONTEXT]
        ldr     x22, [sp, #HP_CALL_ASYNC_CONTEXT]
        mov     sp, x29
        ldp     x29, x30, [sp], #16
        .cfi_def_cfa sp, 0
        .cfi_restore x29
        .cfi_restore x30
        br      x16
.endm

        .type   hp_call_async_closure_entry, %function
        .p2align 5
hp_call_async_closure_entry:                    // the box is the context
        .cfi_startproc
        hint    #34
        mov     x17, x20
        b       .Lasync_entry
        .cfi_endproc
        .size   hp_call_async_closure_entry, . - hp_call_async_closure_entry

        .type   hp_call_async_entry, %function
        .p2align 5
hp_call_async_entry:                            // a thunk put the box into x17
        .cfi_startproc
        hint    #34
.Lasync_entry:
        begin
        ldr     x16, [x17, #HP_CALL_BOX_PROGRAM]
        ldr     w9, [x16, #HP_CALL_PROGRAM_FLAGS]
        tbz     w9, #HP_CALL_VECTORS_IN_BIT, 2f
        save_vectors sp, HP_CALL_VECTOR(0)
        save_other_vectors sp, HP_CALL_VECTOR(0)
2:      mov     x0, x17
        mov     x1, sp
        bl      hp_call_async_begin
        go_on
        .cfi_endproc
        .size   hp_call_async_entry, . - hp_call_async_entry

        .type   hp_call_async_resumed, %function
        .p2align 5
hp_call_async_resumed:                          // results are arguments, an error is in x20
        .cfi_startproc
        hint    #34
        begin
        ldr     x0, [x22, #-HP_CALL_ASYNC_LINK]
        ldr     x17, [x0, #HP_CALL_FRAME_BOX]
        ldr     x16, [x17, #HP_CALL_BOX_PROGRAM]
        ldr     w9, [x16, #HP_CALL_PROGRAM_FLAGS]
        tbz     w9, #HP_CALL_VECTORS_RESULT_BIT, 2f
        save_vectors sp, HP_CALL_VECTOR(0)
2:      mov     x1, sp
        bl      hp_call_async_end
        go_on
        .cfi_endproc
        .size   hp_call_async_resumed, . - hp_call_async_resumed

        // An async function pointer: the distance to the code, and the size of the context that it wants: a bare one.
        .section .rodata
        .type   hp_call_async_function, %object
        .p2align 3
hp_call_async_function:
        .word   hp_call_async_closure_entry - hp_call_async_function
        .word   16
        .size   hp_call_async_function, . - hp_call_async_function

#endif
        .section .note.GNU-stack, "", %progbits
