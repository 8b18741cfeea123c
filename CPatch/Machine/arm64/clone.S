// Twin of x86_64/clone.S.
#if defined(__aarch64__)

// long hp_clone_helper(unsigned long flags, void *stack_top, int (*entry)(void *), void *argument)
    .text
    .globl hp_clone_helper
    .hidden hp_clone_helper
    .type hp_clone_helper, %function
hp_clone_helper:
    .cfi_startproc
    hint #34                    // bti c
    and x1, x1, #-16            // the new stack; entry and argument travel on it
    stp x2, x3, [x1, #-16]!
    mov x2, xzr                 // parent_tid
    mov x3, xzr                 // tls
    mov x4, xzr                 // child_tid
    mov x8, #220                // clone
    svc #0
    cbz x0, 1f
    ret
1:  .cfi_undefined x30
    mov x29, xzr
    ldp x1, x0, [sp], #16
    blr x1
    mov x8, #93                 // exit
    svc #0
    brk #0
    .cfi_endproc
    .size hp_clone_helper, . - hp_clone_helper

#endif
    .section .note.GNU-stack, "", %progbits
