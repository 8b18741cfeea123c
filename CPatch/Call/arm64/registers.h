// Saving and loading the registers that pass arguments, for the assembly. Twin of x86_64/registers.h.

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
