// Saving and loading the registers that pass arguments, for the assembly. Twin of x86_64/registers.h.

// A frame with `size` bytes below the caller's frame pointer and return address; and back to the caller's.
.macro enter size
        stp     x29, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset x29, -16
        .cfi_offset x30, -8
        mov     x29, sp
        .cfi_def_cfa x29, 16
        sub     sp, sp, #\size
.endm

.macro leave
        mov     sp, x29
        ldp     x29, x30, [sp], #16
        .cfi_def_cfa sp, 0
        .cfi_restore x29
        .cfi_restore x30
.endm

// Argument registers, to or from the place that begins at `base`.
.macro save_generals base
        stp     x0, x1, [\base, #HP_CALL_GENERAL(0)]
        stp     x2, x3, [\base, #HP_CALL_GENERAL(2)]
        stp     x4, x5, [\base, #HP_CALL_GENERAL(4)]
        stp     x6, x7, [\base, #HP_CALL_GENERAL(6)]
.endm

.macro load_generals base
        ldp     x0, x1, [\base, #HP_CALL_GENERAL(0)]
        ldp     x2, x3, [\base, #HP_CALL_GENERAL(2)]
        ldp     x4, x5, [\base, #HP_CALL_GENERAL(4)]
        ldp     x6, x7, [\base, #HP_CALL_GENERAL(6)]
.endm

// The registers of results, of async functions too: they return by calling, with results as arguments.
.macro save_results base, offset
        stp     x0, x1, [\base, #\offset]
        stp     x2, x3, [\base, #\offset + 16]
.endm

.macro load_results base, offset
        ldp     x0, x1, [\base, #\offset]
        ldp     x2, x3, [\base, #\offset + 16]
.endm

// What to run after the call, of the program in x16: whether it threw is in `error`.
.macro choose_list list, error
        ldp     \list, x10, [x16, #HP_CALL_PROGRAM_SUCCESS]
        cmp     \error, #0
        csel    \list, \list, x10, eq
.endm

.macro save_vectors base, offset
        stp     q0, q1, [\base, #\offset]
        stp     q2, q3, [\base, #\offset + 32]
.endm

.macro save_other_vectors base, offset
        stp     q4, q5, [\base, #\offset + 64]
        stp     q6, q7, [\base, #\offset + 96]
.endm

.macro load_vectors base, offset
        ldp     q0, q1, [\base, #\offset]
        ldp     q2, q3, [\base, #\offset + 32]
.endm

.macro load_other_vectors base, offset
        ldp     q4, q5, [\base, #\offset + 64]
        ldp     q6, q7, [\base, #\offset + 96]
.endm
