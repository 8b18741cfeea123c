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
        enter   HP_CALL_REGISTERS_SIZE
        save_generals sp
        save_vectors sp, HP_CALL_VECTOR(0)
        save_other_vectors sp, HP_CALL_VECTOR(0)
        str     x8, [sp, #HP_CALL_INDIRECT]
        mov     x0, x17
        bl      hp_call_dispatch
        mov     x16, x0
        mov     x17, x1
        ldr     x8, [sp, #HP_CALL_INDIRECT]
        load_generals sp
        load_vectors sp, HP_CALL_VECTOR(0)
        load_other_vectors sp, HP_CALL_VECTOR(0)
        leave
        br      x16
        .cfi_endproc
        .size   hp_call_dispatch_entry, . - hp_call_dispatch_entry

#endif
        .section .note.GNU-stack, "", %progbits
