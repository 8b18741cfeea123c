// The entry thunk of an async Swift function, arm64: see ../async_thunk.c. Twin: x86_64/async_thunk.c.
//
// An async function has its context in x22, self in x20, arguments where a C function has them and the place of an indirect result in
// x8; whoever returns to it passes results as arguments, and an error in x20 (LLVM's swifttailcc). Every call being a jump, the stack,
// with the arguments there, and x30 are left as they were found.
#include "../arch.h"

#include <string.h>

static const uint32_t code[] = {
    0xd503245f,  // hint #34
    0xa9b17bfd,  // stp x29, x30, [sp, #-0xf0]!
    0x910003fd,  // mov x29, sp
    0xa90107e0,  // stp x0, x1, [sp, #0x10]
    0xa9020fe2,  // stp x2, x3, [sp, #0x20]
    0xa90317e4,  // stp x4, x5, [sp, #0x30]
    0xa9041fe6,  // stp x6, x7, [sp, #0x40]
    0xa90553e8,  // stp x8, x20, [sp, #0x50]
    0xf90033f6,  // str x22, [sp, #0x60]
    0xad0387e0,  // stp q0, q1, [sp, #0x70]
    0xad048fe2,  // stp q2, q3, [sp, #0x90]
    0xad0597e4,  // stp q4, q5, [sp, #0xb0]
    0xad069fe6,  // stp q6, q7, [sp, #0xd0]
    0x58000520,  // ldr x0, size
    0x58000550,  // ldr x16, alloc
    0xd63f0200,  // blr x16
    0xf94033e9,  // ldr x9, [sp, #0x60]
    0x100001ea,  // adr x10, resume
    0xa9002809,  // stp x9, x10, [x0]
    0xaa0003f6,  // mov x22, x0
    0x58000410,  // ldr x16, replacement
    // leave_to_x16:
    0xad4387e0,  // ldp q0, q1, [sp, #0x70]
    0xad448fe2,  // ldp q2, q3, [sp, #0x90]
    0xad4597e4,  // ldp q4, q5, [sp, #0xb0]
    0xad469fe6,  // ldp q6, q7, [sp, #0xd0]
    0xa94107e0,  // ldp x0, x1, [sp, #0x10]
    0xa9420fe2,  // ldp x2, x3, [sp, #0x20]
    0xa94317e4,  // ldp x4, x5, [sp, #0x30]
    0xa9441fe6,  // ldp x6, x7, [sp, #0x40]
    0xa94553e8,  // ldp x8, x20, [sp, #0x50]
    0xa8cf7bfd,  // ldp x29, x30, [sp], #0xf0
    0xd61f0200,  // br x16
    // resume:
    0xd503245f,  // hint #34
    0xa9b17bfd,  // stp x29, x30, [sp, #-0xf0]!
    0x910003fd,  // mov x29, sp
    0xa90107e0,  // stp x0, x1, [sp, #0x10]
    0xa9020fe2,  // stp x2, x3, [sp, #0x20]
    0xa90317e4,  // stp x4, x5, [sp, #0x30]
    0xa9041fe6,  // stp x6, x7, [sp, #0x40]
    0xa90553e8,  // stp x8, x20, [sp, #0x50]
    0xf94002c9,  // ldr x9, [x22]
    0xf90033e9,  // str x9, [sp, #0x60]
    0xad0387e0,  // stp q0, q1, [sp, #0x70]
    0xad048fe2,  // stp q2, q3, [sp, #0x90]
    0xad0597e4,  // stp q4, q5, [sp, #0xb0]
    0xad069fe6,  // stp q6, q7, [sp, #0xd0]
    0xaa1603e0,  // mov x0, x22
    0x58000170,  // ldr x16, dealloc
    0xd63f0200,  // blr x16
    0xf94033f6,  // ldr x22, [sp, #0x60]
    0xf94006d0,  // ldr x16, [x22, #8]
    0x17ffffe2,  // b leave_to_x16
};

size_t hp_arm64_async_thunk_code(uint8_t *out) {
    _Static_assert(sizeof code % 8 == 0 && sizeof code + HP_ASYNC_THUNK_DATA <= HP_ASYNC_THUNK_CAPACITY, "as it was assembled");
    memcpy(out, code, sizeof code);
    return sizeof code;
}
