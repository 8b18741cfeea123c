// What a proof must know of x86_64. Twin: arm64/traits.c.
#include "../prove.h"

#include "x86_64/instruction.h"

#include <string.h>
#include <unicorn/unicorn.h>

#define GENERAL(number, name) {UC_X86_REG_##name, offsetof(state, general[number]), 8, #name}
#define CONTROL(number, bytes, name) {UC_X86_REG_##name, offsetof(state, control[number]), bytes, #name}
#define XMM(number) {UC_X86_REG_XMM##number, offsetof(state, vectors[number]), 16, "XMM" #number}
#define FP(number) {UC_X86_REG_FP##number, offsetof(state, stack[number]), 10, "FP" #number}

static const emulated_register registers[] = {
    GENERAL(0, RAX), GENERAL(1, RCX), GENERAL(2, RDX), GENERAL(3, RBX),
    GENERAL(4, RSP), GENERAL(5, RBP), GENERAL(6, RSI), GENERAL(7, RDI),
    GENERAL(8, R8), GENERAL(9, R9), GENERAL(10, R10), GENERAL(11, R11),
    GENERAL(12, R12), GENERAL(13, R13), GENERAL(14, R14), GENERAL(15, R15),
    {UC_X86_REG_EFLAGS, offsetof(state, flags), 8, "EFLAGS"},
    CONTROL(0, 8, FS_BASE), CONTROL(1, 8, GS_BASE), CONTROL(2, 4, MXCSR),
    CONTROL(3, 2, FPCW), CONTROL(4, 2, FPSW), CONTROL(5, 2, FPTAG),
    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7),
    XMM(8), XMM(9), XMM(10), XMM(11), XMM(12), XMM(13), XMM(14), XMM(15),
    FP(0), FP(1), FP(2), FP(3), FP(4), FP(5), FP(6), FP(7),
};

// System instructions and traps; and what a copy may do otherwise without harm: fnstenv and fnsave store the address of the
// x87 instruction before.
static bool halts(const x86_instruction *parsed) {
    if (!parsed->legacy) return false;
    unsigned reg = x86_reg(parsed);
    bool in_memory = parsed->has_modrm && parsed->modrm >> 6 != 3;
    if (parsed->map == 0) {
        switch (parsed->opcode) {
        case 0xca: case 0xcb: case 0xcc: case 0xcd: case 0xcf: case 0xf1: case 0xf4: case 0xfa: case 0xfb: case 0x8e:
        case 0x6c: case 0x6d: case 0x6e: case 0x6f: return true;
        case 0xd9: case 0xdd: return in_memory && reg == 6;
        default: return (parsed->opcode & 0xf4) == 0xe4 && parsed->opcode != 0xe8 && (parsed->opcode & 3) <= 3 &&
                        (parsed->opcode <= 0xe7 || parsed->opcode >= 0xec);
        }
    }
    if (parsed->map != 1) return false;
    switch (parsed->opcode) {
    case 0x00: case 0x01: case 0x05: case 0x06: case 0x07: case 0x08: case 0x09: case 0x0b: case 0xb9: case 0xff:
    case 0x20: case 0x21: case 0x22: case 0x23: return true;
    case 0xc7: return !in_memory;                                      // rdrand, rdseed, rdpid
    default: return parsed->opcode >= 0x30 && parsed->opcode <= 0x37;  // rdtsc, sysenter, …
    }
}

static unsigned of_instruction(const uint8_t *code, size_t length) {
    x86_instruction parsed;
    if (hp_x86_parse(code, length, &parsed) != X86_PARSED) return HALTS;
    unsigned found = halts(&parsed) ? HALTS : 0;
    if (!parsed.legacy) found |= BEYOND_EMULATOR;                      // VEX.vvvv is silently ignored
    bool one_byte = parsed.legacy && parsed.map == 0;
    if (one_byte && (parsed.opcode == 0xe8 || (parsed.opcode == 0xff && x86_reg(&parsed) == 2))) found |= CALLS;
    return found;
}

static void randomize(const space *space, uint64_t *random, state *out) {
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < 16; i++) out->general[i] = random_word(space, random);
    out->general[4] = space->arena + ZONE_START + (next_random(random) % ZONE_SIZE & ~7ull);
    out->flags = (next_random(random) & 0x8d5) | 0x202;
    for (size_t i = 0; i < 2; i++) out->control[i] = space->arena + ZONE_START + (next_random(random) % ZONE_SIZE & ~15ull);
    out->control[2] = 0x1f80;
    out->control[3] = 0x37f;
    out->control[5] = 0xffff;
    for (size_t i = 0; i < 16 * 2; i++) {
        uint64_t word = random_word(space, random);
        memcpy(&out->vectors[i / 2][i % 2 * 8], &word, 8);
    }
}

static void forget(const state *began, const state *left, state *right) { (void)began, (void)left, (void)right; }

static void branches(
    const uint8_t *code, size_t length, uint64_t address, void (*with)(void *, uint64_t, uint64_t), void *context
) {
    for (size_t at = 0; at < length;) {
        x86_instruction parsed;
        if (hp_x86_parse(code + at, length - at, &parsed) != X86_PARSED) return;
        if (hp_x86_is_relative_branch(&parsed)) with(context, address + at, hp_x86_target(&parsed, code + at, address + at));
        at += parsed.length;
    }
}

static int signs(const uint8_t *code) {
    (void)code;
    return 0;
}

const traits x86_64_traits = {
    UC_ARCH_X86, UC_MODE_64, -1, UC_X86_REG_RIP, registers, sizeof registers / sizeof *registers,
    of_instruction, randomize, forget, branches, signs, (1ull << 31) - (1 << 20),
};
