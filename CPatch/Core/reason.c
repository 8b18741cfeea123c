#include "arch.h"

#include <string.h>

const char *hp_reason_text(hp_reason reason) {
    switch (reason) {
    case HP_OK: return "it can be patched";
    case HP_UNSUPPORTED_ARCHITECTURE: return "this release cannot move code of this architecture";
    case HP_UNREADABLE_ENTRY: return "fewer bytes of the function could be read than the jump would overwrite";
    case HP_UNDECODABLE: return "the decoder does not know an instruction at the entry";
    case HP_TOO_SHORT: return "the function is shorter than the jump that would replace its entry";
    case HP_BRANCH_INTO_PROLOGUE: return "a jump leads into the bytes that would be overwritten";
    case HP_BRANCH_TO_ENTRY: return "a jump leads back to the entry, so that a loop of the original would go on in the replacement";
    case HP_RETURN_INTO_PROLOGUE: return "a call would return into the bytes that would be overwritten";
    case HP_OUT_OF_REACH: return "the address it refers to is out of reach from the place it would be moved to";
    case HP_UNMOVABLE: return "the instruction depends on its own address in a way that cannot be rewritten";
    case HP_ADDRESS_INTO_PROLOGUE: return "the instruction refers to the bytes that would be overwritten";
    case HP_SELF_LOOP: return "the entry jumps to itself, so a thread inside never leaves it";
    case HP_STUB_OVERFLOW: return "the moved instructions do not fit a stub";
    case HP_DETOUR_OUT_OF_REACH: return "the stub, or its slot, is out of the jump's reach";
    case HP_ALREADY_PATCHED: return "another patcher's jump, or a breakpoint, stands at the entry";
    case HP_FOREIGN_BRANCH: return "code outside the function jumps into the bytes that would be overwritten";
    case HP_PART_TO_ENTRY: return "a part of the function that lies elsewhere jumps back to the entry, so that the replacement would run once more";
    case HP_FOREIGN_ADDRESS: return "the address of a byte that would be overwritten is taken, as that of a label which a PC is compared with";
    case HP_NAME_INSIDE: return "a symbol names a byte that would be overwritten";
    case HP_NO_SIZE: return "the function has no size, and what follows its first end is more than padding";
    }
    return "unknown reason";
}

bool hp_refuse(
    hp_arch arch, hp_refusal *refusal, hp_reason reason, const hp_relocation_request *request, size_t offset,
    size_t length, uint64_t operand
) {
    memset(refusal, 0, sizeof *refusal);
    refusal->reason = reason;
    refusal->address = request->entry + offset;
    refusal->operand = operand;
    size_t available = offset < request->code_length ? request->code_length - offset : 0;
    if (length > available) length = available;
    if (length > sizeof refusal->bytes) length = sizeof refusal->bytes;
    refusal->length = (uint8_t)length;
    if (length == 0) return false;
    memcpy(refusal->bytes, request->code + offset, length);
    hp_disassemble(
        arch, refusal->bytes, length, refusal->address, refusal->instruction, sizeof refusal->instruction);
    return false;
}
