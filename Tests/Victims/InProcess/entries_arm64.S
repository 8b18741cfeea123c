// Entries of all shapes. Twin of entries_x86_64.S: same names, same order.
#if defined(__aarch64__)
    .text
.macro victim name
    .globl \name
    .type \name, %function
\name:
    .cfi_startproc
.endm
.macro done name
    .cfi_endproc
    .size \name, . - \name
.endm

    .balign 16
victim victim_counter
    adrp x8, victim_count
    ldr w0, [x8, :lo12:victim_count]
    add w9, w0, #1
    str w9, [x8, :lo12:victim_count]
    ret
done victim_counter

    .balign 16
victim victim_endbr
    hint #34                    // bti c
    add w0, w0, #1
    nop
    nop
    ret
done victim_endbr

    .balign 16
victim victim_call_first        // a call leaves the return address in a register, which must be saved before
    str x30, [sp, #-16]!
    .cfi_def_cfa_offset 16
    .cfi_offset x30, -16
    bl victim_triple
    add w0, w0, #1
    ldr x30, [sp], #16
    ret
done victim_call_first

    .balign 16
victim_triple:
    add w0, w0, w0, lsl #1
    ret

    .balign 16
victim victim_branch_first
    cbz w0, 1f
    ret
1:  mov w0, #100
    ret
done victim_branch_first

    .balign 16
victim victim_loop_to_entry
    sub w0, w0, #1
    cmp w0, #10
    b.gt victim_loop_to_entry
    ret
done victim_loop_to_entry

    .balign 16
victim victim_one_byte          // one instruction
    ret
done victim_one_byte
victim victim_after_one_byte
    mov w0, #5
    ret
done victim_after_one_byte

    .balign 16
victim victim_tiny
    mov w0, #0
    ret
done victim_tiny
    nop
    nop

    .balign 16
victim victim_jumped_into
    mov w8, #0
1:  add w8, w8, #1
    subs w0, w0, #1
    b.gt 1b
    mov w0, w8
    ret
done victim_jumped_into

    .balign 16
victim victim_stepped
    nop
    nop
    nop
    nop
    add w0, w0, w1
    ret
done victim_stepped

// Alone in its pages, of whatever size, which a test guards.
    .balign 65536
victim victim_guarded
    hint #34                    // bti c
    mov w0, #1
    ret
done victim_guarded
    .balign 65536

#endif
    .section .note.GNU-stack, "", %progbits
