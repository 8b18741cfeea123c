// There is no agent on arm64 yet: the code is empty, and RemoteTarget refuses by name.
#if defined(__aarch64__)
        .section .rodata
        .globl  hp_agent_code
        .globl  hp_agent_code_end
        .balign 16
hp_agent_code:
hp_agent_code_end:
        .word   0
#endif

        .section .note.GNU-stack,"",%progbits
