// Entries of all shapes.
#if defined(__x86_64__)
    .text
.macro victim name
    .globl \name
    .type \name, @function
\name:
    .cfi_startproc
.endm
.macro done name
    .cfi_endproc
    .size \name, . - \name
.endm

    .balign 16
victim victim_counter
    movl victim_count(%rip), %eax
    incl victim_count(%rip)
    ret
done victim_counter

    .balign 16
victim victim_endbr
    endbr64
    leal 1(%rdi), %eax
    nop
    nop
    ret
done victim_endbr

    .balign 16
victim victim_call_first
    call victim_triple
    incl %eax
    ret
done victim_call_first

    .balign 16
victim_triple:
    leal (%rdi, %rdi, 2), %eax
    ret

    .balign 16
victim victim_branch_first
    testl %edi, %edi
    jne 1f
    movl $100, %eax
    ret
1:  movl %edi, %eax
    ret
done victim_branch_first

    .balign 16
victim victim_loop_to_entry
    decl %edi
    cmpl $10, %edi
    jg victim_loop_to_entry
    movl %edi, %eax
    ret
done victim_loop_to_entry

    .balign 16
victim victim_one_byte
    ret
done victim_one_byte
victim victim_after_one_byte
    movl $5, %eax
    ret
done victim_after_one_byte

    .balign 16
victim victim_tiny
    xorl %eax, %eax
    ret
done victim_tiny
    .balign 16, 0x90

    .balign 16
victim victim_jumped_into
    xorl %eax, %eax
1:  incl %eax
    nop
    nop
    decl %edi
    jg 1b
    ret
done victim_jumped_into

    .balign 16
victim victim_stepped
    pushq %rbp
    nop
    popq %rbp
    nop
    leal (%rdi, %rsi), %eax
    ret
done victim_stepped

    .balign 4096
victim victim_guarded
    endbr64
    movl $1, %eax
    ret
done victim_guarded
    .balign 4096

#endif
    .section .note.GNU-stack, "", %progbits
