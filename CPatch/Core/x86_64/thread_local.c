// Routines for thread-locals that are linked into a process, x86_64: see ../thread_local.c. Twin: arm64/thread_local.c.
#include "../arch.h"

// What code calls by the name of __tls_get_addr is a function like any other: two registers are kept, and the stack is at a multiple of 16
// where it is called. Descriptors of variables that are linked later are not known here: what they may change is one register only.
static const uint8_t get_address[] = {
    0xf3, 0x0f, 0x1e, 0xfa,         // endbr64
    0x48, 0x83, 0x7f, 0x10, 0x00,   // cmpq $0, 16(%rdi)
    0x74, 0x03,                     // je own
    0xff, 0x67, 0x10,               // jmpq *16(%rdi)
    // own:
    0x53,                           // pushq %rbx
    0x41, 0x54,                     // pushq %r12
    0x41, 0x55,                     // pushq %r13
    0x4c, 0x8b, 0x27,               // movq (%rdi), %r12
    0x48, 0x8b, 0x5f, 0x08,         // movq 8(%rdi), %rbx
    0x49, 0x8b, 0x04, 0x24,         // movq (%r12), %rax
    0x8b, 0x38,                     // movl (%rax), %edi
    0x41, 0xff, 0x54, 0x24, 0x20,   // callq *32(%r12)
    0x48, 0x85, 0xc0,               // testq %rax, %rax
    0x75, 0x3b,                     // jne found
    0x49, 0x8b, 0x7c, 0x24, 0x18,   // movq 24(%r12), %rdi
    0x49, 0x8b, 0x74, 0x24, 0x10,   // movq 16(%r12), %rsi
    0x41, 0xff, 0x54, 0x24, 0x30,   // callq *48(%r12)
    0x48, 0x85, 0xc0,               // testq %rax, %rax
    0x74, 0x30,                     // je fail
    0x49, 0x89, 0xc5,               // movq %rax, %r13
    0x48, 0x89, 0xc7,               // movq %rax, %rdi
    0x49, 0x8b, 0x74, 0x24, 0x08,   // movq 8(%r12), %rsi
    0x49, 0x8b, 0x4c, 0x24, 0x10,   // movq 16(%r12), %rcx
    0xf3, 0xa4,                     // rep movsb (%rsi), %es:(%rdi)
    0x49, 0x8b, 0x04, 0x24,         // movq (%r12), %rax
    0x8b, 0x38,                     // movl (%rax), %edi
    0x4c, 0x89, 0xee,               // movq %r13, %rsi
    0x41, 0xff, 0x54, 0x24, 0x28,   // callq *40(%r12)
    0x85, 0xc0,                     // testl %eax, %eax
    0x75, 0x0c,                     // jne fail
    0x4c, 0x89, 0xe8,               // movq %r13, %rax
    // found:
    0x48, 0x01, 0xd8,               // addq %rbx, %rax
    0x41, 0x5d,                     // popq %r13
    0x41, 0x5c,                     // popq %r12
    0x5b,                           // popq %rbx
    0xc3,                           // retq
    // fail:
    0x0f, 0x0b,                     // ud2
};
static const uint8_t fixed[] = {
    0xf3, 0x0f, 0x1e, 0xfa,         // endbr64
    0x48, 0x8b, 0x40, 0x08,         // movq 8(%rax), %rax
    0xc3,                           // retq
};
static const uint8_t forget[] = {
    0xf3, 0x0f, 0x1e, 0xfa,         // endbr64
    0x48, 0x8b, 0x57, 0x38,         // movq 56(%rdi), %rdx
    0x48, 0x8b, 0x07,               // movq (%rdi), %rax
    0x8b, 0x38,                     // movl (%rax), %edi
    0xff, 0xe2,                     // jmpq *%rdx
};

size_t hp_x86_64_thread_local_code(hp_thread_local_routine routine, const void **code) {
    switch (routine) {
    case HP_THREAD_LOCAL_ADDRESS: *code = get_address; return sizeof get_address;
    case HP_THREAD_LOCAL_FIXED: *code = fixed; return sizeof fixed;
    case HP_THREAD_LOCAL_FORGET: *code = forget; return sizeof forget;
    case HP_THREAD_LOCAL_DESCRIPTOR: break;
    }
    *code = NULL;
    return 0;
}
