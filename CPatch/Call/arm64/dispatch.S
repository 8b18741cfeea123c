// The entry of dispatchers, arm64. Twin of x86_64/dispatch.S.
//
// Whatever convention the function has, the registers that arguments may be in are kept: AAPCS64's and Swift's (CallConvSummary.rst,
// "ARM64"). x20, x21 and x22, which are Swift's too, are kept by C functions.
#if defined(__aarch64__)
#include "../include/hp_call.h"
#include "registers.h"

        .text
        .globl  hp_call_dispatch_entry
        .hidden hp_call_dispatch_entry
        .type   hp_call_dispatch_entry, %function
        .p2align 5
hp_call_dispatch_entry:                         // a thunk put the dispatcher into x17
        .cfi_startproc
        hint    #34
        stp     x29, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset x29, -16
        .cfi_offset x30, -8
        mov     x29, sp
        .cfi_def_cfa x29, 16
        sub     sp, sp, #HP_CALL_REGISTERS_SIZE
        save_generals sp
        save_vectors sp, HP_CALL_VECTOR(0)
        save_other_vectors sp, HP_CALL_VECTOR(0)
        stp     x17, x8, [sp, #HP_CALL_CONTEXT]
        mov     x0, x17
        ldr     x9, [x17, #HP_CALL_DISPATCHER_LOOK_UP]
        blr     x9
        mov     x16, x0
        ldp     x17, x8, [sp, #HP_CALL_CONTEXT]
        cbnz    x16, 1f
        ldr     x16, [x17, #HP_CALL_DISPATCHER_ORIGINAL]
1:      mov     x17, x1
        load_generals sp
        load_vectors sp, HP_CALL_VECTOR(0)
        load_other_vectors sp, HP_CALL_VECTOR(0)
        mov     sp, x29
        ldp     x29, x30, [sp], #16
        .cfi_def_cfa sp, 0
        .cfi_restore x29
        .cfi_restore x30
        br      x16
        .cfi_endproc
        .size   hp_call_dispatch_entry, . - hp_call_dispatch_entry

#endif
        .section .note.GNU-stack, "", %progbits
