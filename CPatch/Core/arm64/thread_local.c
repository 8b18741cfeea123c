// Routines for thread-locals that are linked into a process, arm64: see ../thread_local.c. Twin: x86_64/thread_local.c.
#include "../arch.h"

// What code calls by the name of __tls_get_addr is a function like any other. What it finds in a descriptor may change x0 and x30
// alone ("ELF for the Arm 64-bit Architecture", Thread Local Storage): it keeps whatever the functions that it calls may not keep.
static const uint32_t get_address[] = {
    0xd503245f,  // bti c
    0xf9400810,  // ldr x16, [x0, #16]
    0xb4000050,  // cbz x16, own
    0xd61f0200,  // br x16
    // own:
    0xa9bd7bfd,  // stp x29, x30, [sp, #-48]!
    0x910003fd,  // mov x29, sp
    0xa90153f3,  // stp x19, x20, [sp, #16]
    0xf90013f5,  // str x21, [sp, #32]
    0xa9405013,  // ldp x19, x20, [x0]
    0xf9400261,  // ldr x1, [x19]
    0xb9400020,  // ldr w0, [x1]
    0xf9401262,  // ldr x2, [x19, #32]
    0xd63f0040,  // blr x2
    0xb5000240,  // cbnz x0, found
    0xa9410261,  // ldp x1, x0, [x19, #16]
    0xf9401a62,  // ldr x2, [x19, #48]
    0xd63f0040,  // blr x2
    0xb4000260,  // cbz x0, fail
    0xaa0003f5,  // mov x21, x0
    0xa9408a61,  // ldp x1, x2, [x19, #8]
    // copy:
    0x38401423,  // ldrb w3, [x1], #1
    0x38001403,  // strb w3, [x0], #1
    0xd1000442,  // sub x2, x2, #1
    0xb5ffffa2,  // cbnz x2, copy
    0xf9400261,  // ldr x1, [x19]
    0xb9400020,  // ldr w0, [x1]
    0xaa1503e1,  // mov x1, x21
    0xf9401662,  // ldr x2, [x19, #40]
    0xd63f0040,  // blr x2
    0x350000e0,  // cbnz w0, fail
    0xaa1503e0,  // mov x0, x21
    // found:
    0x8b140000,  // add x0, x0, x20
    0xf94013f5,  // ldr x21, [sp, #32]
    0xa94153f3,  // ldp x19, x20, [sp, #16]
    0xa8c37bfd,  // ldp x29, x30, [sp], #48
    0xd65f03c0,  // ret
    // fail:
    0xd4200020,  // brk #0x1
};
static const uint32_t fixed[] = {
    0xd503245f,  // bti c
    0xf9400400,  // ldr x0, [x0, #8]
    0xd65f03c0,  // ret
};
static const uint32_t descriptor[] = {
    0xd503245f,  // bti c
    0xd10a83ff,  // sub sp, sp, #672
    0xa9007bfd,  // stp x29, x30, [sp]
    0x910003fd,  // mov x29, sp
    0xa9010be1,  // stp x1, x2, [sp, #16]
    0xa90213e3,  // stp x3, x4, [sp, #32]
    0xa9031be5,  // stp x5, x6, [sp, #48]
    0xa90423e7,  // stp x7, x8, [sp, #64]
    0xa9052be9,  // stp x9, x10, [sp, #80]
    0xa90633eb,  // stp x11, x12, [sp, #96]
    0xa9073bed,  // stp x13, x14, [sp, #112]
    0xa90843ef,  // stp x15, x16, [sp, #128]
    0xa9094bf1,  // stp x17, x18, [sp, #144]
    0xad0507e0,  // stp q0, q1, [sp, #160]
    0xad060fe2,  // stp q2, q3, [sp, #192]
    0xad0717e4,  // stp q4, q5, [sp, #224]
    0xad081fe6,  // stp q6, q7, [sp, #256]
    0xad0927e8,  // stp q8, q9, [sp, #288]
    0xad0a2fea,  // stp q10, q11, [sp, #320]
    0xad0b37ec,  // stp q12, q13, [sp, #352]
    0xad0c3fee,  // stp q14, q15, [sp, #384]
    0xad0d47f0,  // stp q16, q17, [sp, #416]
    0xad0e4ff2,  // stp q18, q19, [sp, #448]
    0xad0f57f4,  // stp q20, q21, [sp, #480]
    0xad105ff6,  // stp q22, q23, [sp, #512]
    0xad1167f8,  // stp q24, q25, [sp, #544]
    0xad126ffa,  // stp q26, q27, [sp, #576]
    0xad1377fc,  // stp q28, q29, [sp, #608]
    0xad147ffe,  // stp q30, q31, [sp, #640]
    0xa9408400,  // ldp x0, x1, [x0, #8]
    0xd63f0020,  // blr x1
    0xd53bd041,  // mrs x1, TPIDR_EL0
    0xcb010000,  // sub x0, x0, x1
    0xad4507e0,  // ldp q0, q1, [sp, #160]
    0xad460fe2,  // ldp q2, q3, [sp, #192]
    0xad4717e4,  // ldp q4, q5, [sp, #224]
    0xad481fe6,  // ldp q6, q7, [sp, #256]
    0xad4927e8,  // ldp q8, q9, [sp, #288]
    0xad4a2fea,  // ldp q10, q11, [sp, #320]
    0xad4b37ec,  // ldp q12, q13, [sp, #352]
    0xad4c3fee,  // ldp q14, q15, [sp, #384]
    0xad4d47f0,  // ldp q16, q17, [sp, #416]
    0xad4e4ff2,  // ldp q18, q19, [sp, #448]
    0xad4f57f4,  // ldp q20, q21, [sp, #480]
    0xad505ff6,  // ldp q22, q23, [sp, #512]
    0xad5167f8,  // ldp q24, q25, [sp, #544]
    0xad526ffa,  // ldp q26, q27, [sp, #576]
    0xad5377fc,  // ldp q28, q29, [sp, #608]
    0xad547ffe,  // ldp q30, q31, [sp, #640]
    0xa9410be1,  // ldp x1, x2, [sp, #16]
    0xa94213e3,  // ldp x3, x4, [sp, #32]
    0xa9431be5,  // ldp x5, x6, [sp, #48]
    0xa94423e7,  // ldp x7, x8, [sp, #64]
    0xa9452be9,  // ldp x9, x10, [sp, #80]
    0xa94633eb,  // ldp x11, x12, [sp, #96]
    0xa9473bed,  // ldp x13, x14, [sp, #112]
    0xa94843ef,  // ldp x15, x16, [sp, #128]
    0xa9494bf1,  // ldp x17, x18, [sp, #144]
    0xa9407bfd,  // ldp x29, x30, [sp]
    0x910a83ff,  // add sp, sp, #672
    0xd65f03c0,  // ret
};
static const uint32_t forget[] = {
    0xd503245f,  // bti c
    0xf9401c10,  // ldr x16, [x0, #56]
    0xf9400001,  // ldr x1, [x0]
    0xb9400020,  // ldr w0, [x1]
    0xd61f0200,  // br x16
};

size_t hp_arm64_thread_local_code(hp_thread_local_routine routine, const void **code) {
    switch (routine) {
    case HP_THREAD_LOCAL_ADDRESS: *code = get_address; return sizeof get_address;
    case HP_THREAD_LOCAL_FIXED: *code = fixed; return sizeof fixed;
    case HP_THREAD_LOCAL_DESCRIPTOR: *code = descriptor; return sizeof descriptor;
    case HP_THREAD_LOCAL_FORGET: *code = forget; return sizeof forget;
    }
    *code = NULL;
    return 0;
}
