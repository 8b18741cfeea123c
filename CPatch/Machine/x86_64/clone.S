// Twin of arm64/clone.S.
#if defined(__x86_64__)

// long hp_clone_helper(unsigned long flags, void *stack_top, int (*entry)(void *), void *argument)
    .text
    .globl hp_clone_helper
    .hidden hp_clone_helper
    .type hp_clone_helper, @function
hp_clone_helper:
    .cfi_startproc
    endbr64
    andq $-16, %rsi             // the new stack; entry and argument travel on it
    subq $16, %rsi
    movq %rdx, 0(%rsi)
    movq %rcx, 8(%rsi)
    xorl %edx, %edx             // parent_tid
    xorl %r10d, %r10d           // child_tid
    xorl %r8d, %r8d             // tls
    movl $56, %eax              // clone
    syscall
    testq %rax, %rax
    jz 1f
    retq
1:  .cfi_undefined %rip
    xorl %ebp, %ebp
    popq %rax
    popq %rdi
    callq *%rax
    movl %eax, %edi
    movl $60, %eax              // exit
    syscall
    hlt
    .cfi_endproc
    .size hp_clone_helper, . - hp_clone_helper

#endif
    .section .note.GNU-stack, "", %progbits
