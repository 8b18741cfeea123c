// The entries of adapters, arm64. Twin of x86_64/entry.S.
//
// A Swift function (swift/docs/ABI/CallConvSummary.rst, "ARM64"; LLVM's swiftcc) has its arguments in x0 to x7, v0 to v7 and on the
// stack; where the result goes in x8; self or a closure's context in x20, which it keeps; an error in x21. It returns in x0 to x3
// and v0 to v3. x21 is left alone here: what the caller put there is for the target, and what the target left there for the caller.
//
// An indirect branch may land at a `bti` only where pages are guarded (Arm ARM D8.4.6). hint #34 is `bti c`.
#if defined(__aarch64__)
#include "../include/hp_call.h"
#include "registers.h"

// From x29, which lies at the end of the frame.
#define FRAME(offset) [x29, #(offset) - HP_CALL_FRAME_SIZE]

        .text
        .globl  hp_call_entry, hp_call_closure_entry
        .hidden hp_call_entry, hp_call_closure_entry
        .type   hp_call_closure_entry, %function
        .type   hp_call_entry, %function
        .p2align 5
hp_call_closure_entry:                          // the adapter is the context
        .cfi_startproc
        hint    #34
        mov     x17, x20
        b       .Lentry
        .cfi_endproc
        .size   hp_call_closure_entry, . - hp_call_closure_entry

        .p2align 5
hp_call_entry:                                  // a thunk put the adapter into x17
        .cfi_startproc
        hint    #34
.Lentry:
        enter   HP_CALL_FRAME_SIZE
        save_generals sp
        stp     x20, x8, [sp, #HP_CALL_CONTEXT]
        .cfi_offset x20, HP_CALL_CONTEXT - HP_CALL_FRAME_SIZE - 16
        str     x17, [sp, #HP_CALL_FRAME_ADAPTER]
        ldr     x9, [x17, #HP_CALL_ADAPTER_CONTEXT]
        str     x9, [sp, #HP_CALL_OUT + HP_CALL_CONTEXT]
        ldr     x16, [x17, #HP_CALL_ADAPTER_PROGRAM]
        ldr     w9, [x16, #HP_CALL_PROGRAM_FLAGS]
        tbz     w9, #HP_CALL_VECTORS_IN_BIT, 1f
        save_vectors sp, HP_CALL_VECTOR(0)
        save_other_vectors sp, HP_CALL_VECTOR(0)
1:      ldr     x0, [x16, #HP_CALL_PROGRAM_PREPARE]
        mov     x1, sp
        ldr     w9, [x16, #HP_CALL_PROGRAM_SCRATCH]
        sub     sp, sp, x9
        ldr     x9, [x0, #HP_CALL_STEP_RUN]
        blr     x9

        ldr     x17, FRAME(HP_CALL_FRAME_ADAPTER)
        ldr     x16, [x17, #HP_CALL_ADAPTER_PROGRAM]
        ldr     w9, [x16, #HP_CALL_PROGRAM_FLAGS]
        ldr     x17, [x17, #HP_CALL_ADAPTER_TARGET]
        sub     x10, x29, #HP_CALL_FRAME_SIZE - HP_CALL_OUT
        tbz     w9, #HP_CALL_VECTORS_OUT_BIT, 2f
        load_vectors x10, HP_CALL_VECTOR(0)
        load_other_vectors x10, HP_CALL_VECTOR(0)
2:      load_generals x10
        ldp     x20, x8, [x10, #HP_CALL_CONTEXT]
        blr     x17

        ldr     x17, FRAME(HP_CALL_FRAME_ADAPTER)
        ldr     x16, [x17, #HP_CALL_ADAPTER_PROGRAM]
        ldr     w9, [x16, #HP_CALL_PROGRAM_FLAGS]
        sub     x10, x29, #HP_CALL_FRAME_SIZE - HP_CALL_RESULT
        tbz     w9, #HP_CALL_TO_NATURAL_BIT, 3f
        save_results x10, 0
        tbz     w9, #HP_CALL_VECTORS_RESULT_BIT, 3f
        save_vectors x10, 32
3:      tbz     w9, #HP_CALL_FINISHES_BIT, 4f
        choose_list x0, x21
        sub     x1, x29, #HP_CALL_FRAME_SIZE
        str     x21, [x1, #HP_CALL_FRAME_ERROR]
        ldr     x9, [x0, #HP_CALL_STEP_RUN]
        blr     x9
        ldr     x17, FRAME(HP_CALL_FRAME_ADAPTER)
        ldr     x16, [x17, #HP_CALL_ADAPTER_PROGRAM]
        ldr     w9, [x16, #HP_CALL_PROGRAM_FLAGS]
        sub     x10, x29, #HP_CALL_FRAME_SIZE - HP_CALL_RESULT
4:      tbnz    w9, #HP_CALL_TO_NATURAL_BIT, 6f
        tbz     w9, #HP_CALL_VECTORS_RESULT_BIT, 5f
        load_vectors x10, 32
5:      load_results x10, 0
6:      sub     x10, x29, #HP_CALL_FRAME_SIZE
        ldr     x20, [x10, #HP_CALL_CONTEXT]
        leave
        .cfi_restore x20
        ret
        .cfi_endproc
        .size   hp_call_entry, . - hp_call_entry

#endif
        .section .note.GNU-stack, "", %progbits
