// What a proof must know of arm64. Twin: x86_64/traits.c.
#include "../prove.h"

#include "arm64/instruction.h"

#include <string.h>
#include <unicorn/unicorn.h>

#define GENERAL(number) {UC_ARM64_REG_X##number, offsetof(state, general[number]), 8, "x" #number}
#define VECTOR(number) {UC_ARM64_REG_V##number, offsetof(state, vectors[number]), 16, "v" #number}
#define CONTROL(number, bytes, name) {UC_ARM64_REG_##name, offsetof(state, control[number]), bytes, #name}

enum { SP = 31 };

static const emulated_register registers[] = {
    GENERAL(0), GENERAL(1), GENERAL(2), GENERAL(3), GENERAL(4), GENERAL(5), GENERAL(6), GENERAL(7),
    GENERAL(8), GENERAL(9), GENERAL(10), GENERAL(11), GENERAL(12), GENERAL(13), GENERAL(14), GENERAL(15),
    GENERAL(16), GENERAL(17), GENERAL(18), GENERAL(19), GENERAL(20), GENERAL(21), GENERAL(22), GENERAL(23),
    GENERAL(24), GENERAL(25), GENERAL(26), GENERAL(27), GENERAL(28), GENERAL(29), GENERAL(30),
    {UC_ARM64_REG_SP, offsetof(state, general[SP]), 8, "sp"},
    {UC_ARM64_REG_NZCV, offsetof(state, flags), 4, "nzcv"},
    CONTROL(0, 8, TPIDR_EL0), CONTROL(1, 4, FPCR), CONTROL(2, 4, FPSR),
    VECTOR(0), VECTOR(1), VECTOR(2), VECTOR(3), VECTOR(4), VECTOR(5), VECTOR(6), VECTOR(7),
    VECTOR(8), VECTOR(9), VECTOR(10), VECTOR(11), VECTOR(12), VECTOR(13), VECTOR(14), VECTOR(15),
    VECTOR(16), VECTOR(17), VECTOR(18), VECTOR(19), VECTOR(20), VECTOR(21), VECTOR(22), VECTOR(23),
    VECTOR(24), VECTOR(25), VECTOR(26), VECTOR(27), VECTOR(28), VECTOR(29), VECTOR(30), VECTOR(31),
};

// Exceptions, waits, returns from exceptions, and clocks.
static bool halts(uint32_t word) {
    bool exception = (word & 0xff000000) == 0xd4000000, reserved = word >> 16 == 0;
    bool waits = (word & 0xffffff9f) == 0xd503201f && (word & 0x60) != 0 && word != 0xd503203f;
    bool returns = (word & 0xfffff3ff) == 0xd69f03e0, clock = (word & 0xffffff00) == 0xd53be000;
    return exception || reserved || waits || returns || clock;
}

static unsigned of_instruction(const uint8_t *code, size_t length) {
    if (length < ARM64_WORD) return HALTS;
    uint32_t word = arm64_word(code);
    bool calls = (word & 0xfc000000) == 0x94000000 || arm64_is_blr(word) || arm64_is_authenticated_blr(word);
    return (halts(word) ? HALTS : 0) | (calls ? CALLS : 0);
}

static void randomize(const space *space, uint64_t *random, state *out) {
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < 31; i++) out->general[i] = random_word(space, random);
    out->general[SP] = space->arena + ZONE_START + (next_random(random) % ZONE_SIZE & ~15ull);
    out->flags = next_random(random) & 0xf0000000;
    out->control[0] = space->arena + ZONE_START + (next_random(random) % ZONE_SIZE & ~15ull);
    for (size_t i = 0; i < 32 * 2; i++) {
        uint64_t word = random_word(space, random);
        memcpy(&out->vectors[i / 2][i % 2 * 8], &word, 8);
    }
}

// x16 and x17 belong to whoever jumps (AAPCS64 section 6.1.1), unless the code has put something there.
static void forget(const state *began, const state *left, state *right) {
    for (size_t i = 16; i <= 17; i++) {
        if (left->general[i] == began->general[i]) right->general[i] = left->general[i];
    }
}

static void branches(
    const uint8_t *code, size_t length, uint64_t address, void (*with)(void *, uint64_t, uint64_t), void *context
) {
    for (size_t at = 0; at + ARM64_WORD <= length; at += ARM64_WORD) {
        uint32_t word = arm64_word(code + at);
        arm64_kind kind = hp_arm64_kind(word);
        switch (kind) {
        case ARM64_JUMP: case ARM64_CALL: case ARM64_CONDITION: case ARM64_ZERO: case ARM64_BIT: case ARM64_COMPARE:
            with(context, address + at, hp_arm64_target(word, kind, address + at));
            break;
        default: break;
        }
    }
}

// paciasp, pacibsp; autiasp, autibsp. Unicorn's processor has no keys switched on, nor a way to.
static int signs(const uint8_t *code) {
    uint32_t word = arm64_word(code);
    if (arm64_signs(word)) return 1;
    return arm64_signs(word & ~(uint32_t)ARM64_PAIRED_AUTHENTICATION) ? -1 : 0;
}

const traits arm64_traits = {
    UC_ARCH_ARM64, UC_MODE_ARM, UC_CPU_ARM64_MAX, UC_ARM64_REG_PC, registers, sizeof registers / sizeof *registers,
    of_instruction, randomize, forget, branches, signs, (1ull << 27) - (1 << 20),
};
