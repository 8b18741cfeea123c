// Where a detour of five bytes overwrites too much (others jump to the third byte, say), one of two bytes may not: a short jump to
// padding near by, the hop, from which a near jump goes on to the stub. Padding that nothing names, reaches or runs on into is
// nobody's; once written, a hop stays, like a stub.
#include "relocator.h"

size_t hp_x86_64_free_padding(const uint8_t *code, size_t length, size_t piece) {
    x86_instruction last = {0};
    size_t at = 0;
    if (piece > length) return 0;
    while (at < piece) {
        if (hp_x86_parse(code + at, piece - at, &last) != X86_PARSED) return 0;
        at += last.length;
    }
    // ud2 ends it too, but whoever catches its signal may go on behind it.
    if (at == 0 || !hp_x86_ends_flow(&last) || last.map != 0) return 0;
    while (at < length) {
        x86_instruction filler;
        if (hp_x86_parse(code + at, length - at, &filler) != X86_PARSED || !hp_x86_is_padding(&filler)) break;
        at += filler.length;
    }
    return at - piece;
}

size_t hp_x86_64_hop_length(void) { return X86_DETOUR_LENGTH; }

uint64_t hp_x86_64_hop_of(const uint8_t *detour, size_t length, uint64_t address) {
    if (length != X86_SHORT_DETOUR_LENGTH || detour[0] != 0xeb) return 0;
    return address + X86_SHORT_DETOUR_LENGTH + (uint64_t)(int64_t)(int8_t)detour[1];
}
