// What the victim needs in assembly. Twin of entries_arm64.h: same names, same order.

__asm__(".text\n.balign 16\nalpha: .byte 0x0f,0x1f,0x44,0,0; mov $1,%eax; ret\n"
        ".balign 16\nbeta: mov $2,%eax; ret\n"
        ".balign 16\nspin: nop; 1: jmp 1b\n"
        ".balign 4096\n.skip 4093, 0x90\nat_page_end: .byte 0x0f,0x1f,0x44,0,0; ret\n.balign 16\n");

__asm__(".text\n.balign 16\nblind_fault: movq S@GOTPCREL(%rip),%rax; mov (%rax),%rax; movslq %edi,%rdi; mov %rdi,24(%rax)\n"
        "1: call pause@PLT; jmp 1b\n");

__asm__(".text\n.balign 16\nblind_wait: push %rbp; mov $1,%ebp; mov $1,%edx; mov $100,%r10d; xor %r8d,%r8d; mov $232,%eax; syscall\n"
        "pop %rbp; ret\n");

// All but rsp and rbp, with the red zone below it, the flags, and the upper halves of ymm registers.
long check_registers(void) {
    long ok;
    __asm__ volatile(
        "mov $0x1111,%%rbx; mov $0x2222,%%rcx; mov $0x3333,%%rdx; mov $0x4444,%%rsi; mov $0x5555,%%rdi;"
        "mov $0x8888,%%r8; mov $0x9999,%%r9; mov $0xaaaa,%%r10; mov $0xbbbb,%%r11; mov $0xcccc,%%r12;"
        "mov $0xdddd,%%r13; mov $0xeeee,%%r14; mov $0xffff,%%r15;"
        "vpcmpeqd %%ymm0,%%ymm0,%%ymm0; vpsrld $3,%%ymm0,%%ymm7; vmovdqa %%ymm7,%%ymm15;"
        "movq $0x77,-8(%%rsp); movq $0x78,-120(%%rsp); mov $200000,%%eax; stc;"
        "1: dec %%eax; jnz 1b;"
        "setc %%al; cmp $1,%%al; jne 9f; cmp $0x1111,%%rbx; jne 9f; cmp $0x2222,%%rcx; jne 9f; cmp $0x3333,%%rdx; jne 9f;"
        "cmp $0x4444,%%rsi; jne 9f; cmp $0x5555,%%rdi; jne 9f; cmp $0x8888,%%r8; jne 9f; cmp $0x9999,%%r9; jne 9f;"
        "cmp $0xaaaa,%%r10; jne 9f; cmp $0xbbbb,%%r11; jne 9f; cmp $0xcccc,%%r12; jne 9f; cmp $0xdddd,%%r13; jne 9f;"
        "cmp $0xeeee,%%r14; jne 9f; cmp $0xffff,%%r15; jne 9f; cmpq $0x77,-8(%%rsp); jne 9f; cmpq $0x78,-120(%%rsp); jne 9f;"
        "vpcmpeqd %%ymm0,%%ymm0,%%ymm0; vpsrld $3,%%ymm0,%%ymm1; vpcmpeqd %%ymm1,%%ymm15,%%ymm2; vpmovmskb %%ymm2,%%eax;"
        "cmp $-1,%%eax; jne 9f; vpcmpeqd %%ymm1,%%ymm7,%%ymm2; vpmovmskb %%ymm2,%%eax; cmp $-1,%%eax; jne 9f;"
        "mov $1,%%rax; jmp 8f; 9: xor %%eax,%%eax; 8: vzeroupper;"
        : "=a"(ok)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0",
          "xmm1", "xmm2", "xmm7", "xmm15");
    return ok;
}
