// The entries of adapters of async functions, arm64. Twin of x86_64/async_entry.S. See ../async.c.
//
// The context of the call is in x22; every call is a jump, so these return to nobody.
#if defined(__aarch64__)
#include "../include/hp_call.h"
#include "registers.h"

        .text
        .globl  hp_call_async_entry, hp_call_async_resumed, hp_call_async_functions
        .hidden hp_call_async_entry, hp_call_async_resumed, hp_call_async_functions

        .type   hp_call_async_closure_entry, %function
        .p2align 5
hp_call_async_closure_entry:                    // the adapter is the context
        .cfi_startproc
        hint    #34
        mov     x17, x20
        mov     x16, #0
        b       .Lasync_entry
        .cfi_endproc
        .size   hp_call_async_closure_entry, . - hp_call_async_closure_entry

        .type   hp_call_async_preallocated_entry, %function
        .p2align 5
hp_call_async_preallocated_entry:                      // the same, and the context of the call has room for the frame
        .cfi_startproc
        hint    #34
        mov     x17, x20
        mov     x16, x22
        b       .Lasync_entry
        .cfi_endproc
        .size   hp_call_async_preallocated_entry, . - hp_call_async_preallocated_entry

        .type   hp_call_async_entry, %function
        .p2align 5
hp_call_async_entry:                            // a thunk put the adapter into x17
        .cfi_startproc
        hint    #34
        mov     x16, #0
.Lasync_entry:
        enter   HP_CALL_ASYNC_SIZE
        save_generals sp
        ldr     x10, [x17, #HP_CALL_ADAPTER_PROGRAM]
        ldr     w9, [x10, #HP_CALL_PROGRAM_FLAGS]
        str     x9, [sp, #HP_CALL_ASYNC_FLAGS]
        tbz     w9, #HP_CALL_VECTORS_IN_BIT, 1f
        save_vectors sp, HP_CALL_VECTOR(0)
        save_other_vectors sp, HP_CALL_VECTOR(0)
1:      mov     x0, x17
        mov     x1, x22
        mov     x2, x16
        bl      hp_call_async_begin
        mov     x10, x0
        str     x10, [sp, #HP_CALL_ASYNC_FRAME]
        load_generals sp
        save_generals x10
        str     x20, [x10, #HP_CALL_CONTEXT]
        ldr     x9, [sp, #HP_CALL_ASYNC_FLAGS]
        tbz     w9, #HP_CALL_VECTORS_IN_BIT, 2f
        load_vectors sp, HP_CALL_VECTOR(0)
        load_other_vectors sp, HP_CALL_VECTOR(0)
        save_vectors x10, HP_CALL_VECTOR(0)
        save_other_vectors x10, HP_CALL_VECTOR(0)
2:      ldr     x17, [x10, #HP_CALL_FRAME_ADAPTER]
        ldr     x16, [x17, #HP_CALL_ADAPTER_PROGRAM]
        tbnz    w9, #HP_CALL_ASYNC_STACK_BIT, 6f
3:      ldr     x0, [x16, #HP_CALL_PROGRAM_PREPARE]
        mov     x1, x10
        ldr     x9, [x0, #HP_CALL_STEP_RUN]
        blr     x9

        ldr     x11, [sp, #HP_CALL_ASYNC_FRAME]
        ldr     x9, [sp, #HP_CALL_ASYNC_FLAGS]
        add     x10, x11, #HP_CALL_OUT
        tbz     w9, #HP_CALL_VECTORS_OUT_BIT, 4f
        load_vectors x10, HP_CALL_VECTOR(0)
        load_other_vectors x10, HP_CALL_VECTOR(0)
4:      ldr     x17, [x11, #HP_CALL_FRAME_ADAPTER]
        tbnz    w9, #HP_CALL_ASYNC_STACK_BIT, 8f
        .cfi_remember_state
        leave                                   // x30 too: whoever is jumped to returns to whoever called first
5:      load_generals x10
        ldr     x20, [x10, #HP_CALL_CONTEXT]
        add     x22, x11, #HP_CALL_FRAME_SIZE + HP_CALL_ASYNC_LINK
        ldr     x16, [x17, #HP_CALL_ADAPTER_TARGET]
        br      x16

        // The caller's arguments on the stack go to the top of the scratch space.
        .cfi_restore_state
6:      ldr     w11, [x16, #HP_CALL_PROGRAM_STACK_IN]
        add     x12, x11, #15
        and     x12, x12, #-16
        sub     x12, x10, x12
        add     x13, x29, #16
7:      subs    x11, x11, #8
        b.lo    3b
        ldr     x14, [x13, x11]
        str     x14, [x12, x11]
        b       7b

        // The target's arguments may be put where the entry's frame is.
8:      ldr     x16, [x17, #HP_CALL_ADAPTER_PROGRAM]
        ldrsw   x9, [x16, #HP_CALL_PROGRAM_STACK_POP]
        add     x12, x29, x9
        add     x12, x12, #16
        mov     x9, sp
        cmp     x12, x9
        b.hs    9f
        mov     sp, x12
9:      ldp     x29, x30, [x29]
        .cfi_def_cfa x12, 0
        .cfi_restore x29
        .cfi_restore x30
        ldr     w9, [x16, #HP_CALL_PROGRAM_SCRATCH]
        sub     x9, x11, x9
        ldr     w13, [x16, #HP_CALL_PROGRAM_STACK_OUT]
10:     subs    x13, x13, #8
        b.lo    11f
        ldr     x14, [x9, x13]
        str     x14, [x12, x13]
        b       10b
11:     mov     sp, x12
        .cfi_def_cfa sp, 0
        b       5b
        .cfi_endproc
        .size   hp_call_async_entry, . - hp_call_async_entry

        .type   hp_call_async_resumed, %function
        .p2align 5
hp_call_async_resumed:                          // results are arguments, an error is in x20
        .cfi_startproc
        hint    #34
        enter   HP_CALL_ASYNC_SIZE
        ldr     x11, [x22, #-HP_CALL_ASYNC_LINK]
        str     x11, [sp, #HP_CALL_ASYNC_FRAME]
        ldr     x17, [x11, #HP_CALL_FRAME_ADAPTER]
        ldr     x16, [x17, #HP_CALL_ADAPTER_PROGRAM]
        ldr     w9, [x16, #HP_CALL_PROGRAM_FLAGS]
        str     x9, [sp, #HP_CALL_ASYNC_FLAGS]
        tbz     w9, #HP_CALL_TO_NATURAL_BIT, 1f
        save_results x11, HP_CALL_RESULT
        tbz     w9, #HP_CALL_VECTORS_RESULT_BIT, 1f
        add     x10, x11, #HP_CALL_RESULT
        save_vectors x10, 32
1:      tbz     w9, #HP_CALL_FINISHES_BIT, 2f
        choose_list x0, x20
        mov     x1, x11
        str     x20, [x1, #HP_CALL_FRAME_ERROR]
        ldr     x9, [x0, #HP_CALL_STEP_RUN]
        blr     x9

        // The frame ends before the caller goes on: what is returned crosses that on the stack.
2:      ldr     x0, [sp, #HP_CALL_ASYNC_FRAME]
        ldr     x9, [sp, #HP_CALL_ASYNC_FLAGS]
        tbnz    w9, #HP_CALL_TO_NATURAL_BIT, 3f
        add     x10, x0, #HP_CALL_RESULT
        ldp     x11, x12, [x10]
        stp     x11, x12, [sp]
        ldp     x11, x12, [x10, #16]
        stp     x11, x12, [sp, #16]
        tbz     w9, #HP_CALL_VECTORS_RESULT_BIT, 3f
        load_vectors x10, 32
        save_vectors sp, HP_CALL_VECTOR(0)
3:      bl      hp_call_async_end
        mov     x22, x0
        ldr     x9, [sp, #HP_CALL_ASYNC_FLAGS]
        tbnz    w9, #HP_CALL_TO_NATURAL_BIT, 5f
        tbz     w9, #HP_CALL_VECTORS_RESULT_BIT, 4f
        load_vectors sp, HP_CALL_VECTOR(0)
4:      load_results sp, 0
5:      ldr     x16, [x22, #HP_CALL_ASYNC_RESUME]
        leave
        br      x16
        .cfi_endproc
        .size   hp_call_async_resumed, . - hp_call_async_resumed

        // Async function pointers: the distance to the code, and the size of the context that it wants. See call.h.
        .section .rodata
        .type   hp_call_async_functions, %object
        .p2align 3
hp_call_async_functions:
        .word   hp_call_async_closure_entry - hp_call_async_functions
        .word   16
        .irp    size, HP_CALL_ASYNC_SIZES
1:      .word   hp_call_async_preallocated_entry - 1b
        .word   \size
        .endr
        .size   hp_call_async_functions, . - hp_call_async_functions

#endif
        .section .note.GNU-stack, "", %progbits
