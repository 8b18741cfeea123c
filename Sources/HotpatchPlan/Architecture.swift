import CPatchCore
import HotpatchMemory

/// A machine whose code this engine knows.
package enum Architecture: UInt8, Hashable, Sendable, CaseIterable {
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case x86_64 = 1  // the name everyone knows it by
    case arm64 = 2

    /// The one this code was built for.
    package static var current: Architecture {
        #if arch(x86_64)
            .x86_64
        #elseif arch(arm64)
            .arm64
        #else
            #error("swift-hotpatch knows x86_64 and arm64")
        #endif
    }

    /// The architecture of an ELF file, by its header's `e_machine` (elf(5)); nil for all others.
    package init?(elfMachine: UInt16) {
        switch elfMachine {
        case 62: self = .x86_64
        case 183: self = .arm64
        default: return nil
        }
    }

    /// `EM_X86_64` or `EM_AARCH64`.
    package var elfMachine: UInt16 {
        switch self {
        case .x86_64: 62
        case .arm64: 183
        }
    }

    /// How far the shortest detour's jump reaches, in bytes, either way from its own address.
    package var detourReach: UInt64 { hp_detour_reach(core) }

    /// How far the longest detour reaches: `detourReach` where there is only one.
    package var farDetourReach: UInt64 { hp_far_detour_reach(core) }

    /// The jump from an entry straight to its replacement, past the island; nil where it does not reach, and on arm64, where an
    /// island may have to undo what the entry did before.
    package func jump(from: Address, to: Address) -> [UInt8]? {
        guard hp_may_skip_island(core) else { return nil }
        let bytes = encodedJump(from: from, to: to)
        return bytes.isEmpty ? nil : bytes
    }

    /// The shortest detour's jump; empty out of reach.
    func encodedJump(from: Address, to: Address) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Int(HP_DETOUR_CAPACITY)) { buffer, count in
            buffer.initialize(repeating: 0)
            count = hp_encode_jump(core, from.rawValue, to.rawValue, buffer.baseAddress)
        }
    }

    /// The bytes at an entry that make a replacement run: a jump straight to it where it is within reach, else the one to the island, from
    /// where the slot leads on.
    /// - Parameter detour: the jump to the island.
    package func jump(from: Address, to: Address, insteadOf detour: [UInt8]) -> [UInt8] {
        guard let jump = jump(from: from, to: to), jump.count == detour.count else { return detour }
        return jump
    }

    /// Where threads go that are found inside a jump which is to be overwritten: back to its start, which is then the start of
    /// what replaces it. Nothing for a jump of one instruction; a longer one has only changed a register that is dead there.
    /// - Parameter jump: a detour's bytes, at `address`.
    package func restarts(of jump: [UInt8], at address: Address) -> [PCMove] {
        var moves: [PCMove] = []
        var offset = 0
        while offset < jump.count {
            let rest = Array(jump[offset...])
            let length = hp_instruction_length(core, rest, rest.count)
            if offset > 0 { moves.append(PCMove(from: address + offset, to: address)) }
            guard length > 0 else { break }
            offset += length
        }
        return moves
    }

    /// Whether a word of a stack is a PC that the kernel has saved in a signal frame.
    /// - Parameter neighbours: `HP_NEIGHBOURS` words, of which this one is number `HP_NEIGHBOURS_BELOW`.
    package func isSavedPC(between neighbours: UnsafePointer<UInt64>) -> Bool { hp_is_saved_pc(core, neighbours) }

    package var name: String {
        switch self {
        case .x86_64: "x86_64"
        case .arm64: "arm64"
        }
    }

    package var core: hp_arch {
        switch self {
        case .x86_64: HP_ARCH_X86_64
        case .arm64: HP_ARCH_ARM64
        }
    }
}

extension Architecture: CustomStringConvertible {
    package var description: String { name }
}
