// Saving and loading the registers that pass arguments, for the assembly. Twin of arm64/registers.h.

// Argument registers, to or from a place that begins at `offset` of `base`.
.macro save_generals offset, base
        movq    %rdi, \offset + HP_CALL_GENERAL(0)(\base)
        movq    %rsi, \offset + HP_CALL_GENERAL(1)(\base)
        movq    %rdx, \offset + HP_CALL_GENERAL(2)(\base)
        movq    %rcx, \offset + HP_CALL_GENERAL(3)(\base)
        movq    %r8, \offset + HP_CALL_GENERAL(4)(\base)
        movq    %r9, \offset + HP_CALL_GENERAL(5)(\base)
.endm

.macro load_generals offset, base
        movq    \offset + HP_CALL_GENERAL(0)(\base), %rdi
        movq    \offset + HP_CALL_GENERAL(1)(\base), %rsi
        movq    \offset + HP_CALL_GENERAL(2)(\base), %rdx
        movq    \offset + HP_CALL_GENERAL(3)(\base), %rcx
        movq    \offset + HP_CALL_GENERAL(4)(\base), %r8
        movq    \offset + HP_CALL_GENERAL(5)(\base), %r9
.endm

// The registers of results.
.macro save_results offset, base
        movq    %rax, \offset(\base)
        movq    %rdx, \offset + 8(\base)
        movq    %rcx, \offset + 16(\base)
        movq    %r8, \offset + 24(\base)
.endm

.macro load_results offset, base
        movq    \offset(\base), %rax
        movq    \offset + 8(\base), %rdx
        movq    \offset + 16(\base), %rcx
        movq    \offset + 24(\base), %r8
.endm

// An async function returns by calling: results are in the registers of arguments.
.macro save_async_results offset, base
        movq    %rdi, \offset(\base)
        movq    %rsi, \offset + 8(\base)
        movq    %rdx, \offset + 16(\base)
        movq    %rcx, \offset + 24(\base)
.endm

.macro load_async_results offset, base
        movq    \offset(\base), %rdi
        movq    \offset + 8(\base), %rsi
        movq    \offset + 16(\base), %rdx
        movq    \offset + 24(\base), %rcx
.endm

.macro save_vectors offset, base, count
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        .if     \n < \count
        movaps  %xmm\n, \offset + 16 * \n(\base)
        .endif
        .endr
.endm

.macro load_vectors offset, base, count
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        .if     \n < \count
        movaps  \offset + 16 * \n(\base), %xmm\n
        .endif
        .endr
.endm
