import CPatchCore

/// What hp_relocate said, as values a test can compare.
struct Relocation {
    var raw: hp_relocation
    var refusal: hp_refusal
    var succeeded: Bool

    static let entry: UInt64 = 0x401000
    static let stub: UInt64 = 0x500000
    static let slot: UInt64 = 0x600000
    var arch: hp_arch
    var stub: UInt64

    /// - Parameter functionLength: 0 is unknown; nil is all of `code`.
    init(
        _ code: [UInt8], functionLength: Int? = nil, arch: hp_arch = HP_ARCH_X86_64, entry: UInt64 = entry,
        stub: UInt64 = stub, slot: UInt64 = slot
    ) {
        self.arch = arch
        self.stub = stub
        var raw = hp_relocation()
        var refusal = hp_refusal()
        var request = hp_relocation_request()
        request.code_length = code.count
        request.function_length = functionLength ?? code.count
        request.entry = entry
        request.stub = stub
        request.slot = slot
        succeeded = code.withUnsafeBufferPointer { buffer in
            request.code = buffer.baseAddress
            return hp_relocate(arch, &request, 0, &raw, &refusal)
        }
        self.raw = raw
        self.refusal = refusal
    }

    /// arm64 code, with the slot within reach of the island.
    init(arm64 code: [UInt8], functionLength: Int? = nil, stub: UInt64 = stub) {
        self.init(code, functionLength: functionLength, arch: HP_ARCH_ARM64, stub: stub, slot: stub + 0x1_0000)
    }

    var stubBytes: [UInt8] { withUnsafeBytes(of: raw.stub) { Array($0.prefix(Int(raw.stub_length))) } }
    var detourBytes: [UInt8] { withUnsafeBytes(of: raw.detour) { Array($0.prefix(Int(raw.detour_length))) } }
    var expectedBytes: [UInt8] { withUnsafeBytes(of: raw.expected) { Array($0.prefix(Int(raw.detour_length))) } }
    var island: [UInt8] { Array(stubBytes.prefix(Int(raw.original_offset))) }
    var moved: [UInt8] { Array(stubBytes.dropFirst(Int(raw.original_offset))) }
    var pairs: [[UInt32]] {
        withUnsafeBytes(of: raw.pc_map) { bytes in
            let pairs = bytes.bindMemory(to: hp_pc_pair.self).prefix(Int(raw.pc_count))
            return pairs.map { [$0.entry_offset, $0.stub_offset] }
        }
    }
    var tables: [UInt64] {
        withUnsafeBytes(of: raw.tables) { bytes in
            bytes.bindMemory(to: hp_table_candidate.self).prefix(Int(raw.table_count)).map(\.table)
        }
    }

    /// Entries that the code's own checks leave of each table, 0 where that is not known.
    var tableCounts: [UInt32] {
        withUnsafeBytes(of: raw.tables) { bytes in
            bytes.bindMemory(to: hp_table_candidate.self).prefix(Int(raw.table_count)).map(\.count)
        }
    }

    /// The moved instructions as the decoder prints them, one after the other.
    var text: String { disassemble(moved, at: stub + UInt64(raw.original_offset), arch: arch) }
}

extension Relocation {
    func arm64Text(as expected: String) -> String {
        CPatchCoreTests.arm64Text(moved, at: stub + UInt64(raw.original_offset), as: expected)
    }
}

/// arm64 code as text; but a word that is expected as one is shown as one, for decoders of different years differ in what they
/// know. They also differ in how they name what is spelled here: Capstone 4 says `movz` and `hint #0x22` for what 5 calls `mov`
/// and `bti c`.
func arm64Text(_ code: [UInt8], at address: UInt64, as expected: String) -> String {
    let hints = [
        0x19: "paciasp", 0x1b: "pacibsp", 0x1d: "autiasp", 0x1f: "autibsp", 0x20: "bti", 0x22: "bti c", 0x24: "bti j",
        0x26: "bti jc", 0x27: "pacm",
    ]
    let pieces = expected.split(separator: "; ")
    return stride(from: 0, to: code.count - 3, by: 4).map { at in
        let word = (0..<4).reduce(0) { $0 | Int(code[at + $1]) << ($1 * 8) }
        if at / 4 < pieces.count, pieces[at / 4].hasPrefix(".word") {
            let digits = String(word, radix: 16)
            return ".word 0x" + String(repeating: "0", count: 8 - digits.count) + digits
        }
        if word & 0xffff_f01f == 0xd503_201f, let name = hints[word >> 5 & 0x7f] { return name }
        let text = disassembleOne(Array(code[at...]), at: address + UInt64(at), arch: HP_ARCH_ARM64).0
        return text.hasPrefix("movz ") ? "mov " + text.dropFirst(5) : text
    }.joined(separator: "; ")
}

func disassemble(_ code: [UInt8], at address: UInt64, arch: hp_arch = HP_ARCH_X86_64) -> String {
    var lines: [String] = []
    var at = 0
    while at < code.count {
        let (line, length) = disassembleOne(Array(code[at...]), at: address + UInt64(at), arch: arch)
        guard length > 0 else { return (lines + ["(bad)"]).joined(separator: "; ") }
        lines.append(line)
        at += length
    }
    return lines.joined(separator: "; ")
}

/// arm64 code of words, "14000004 d65f03c0", as an assembler lists it.
func words(_ text: String) -> [UInt8] {
    text.split(separator: " ").flatMap { word in
        withUnsafeBytes(of: UInt32(word, radix: 16)!.littleEndian) { Array($0) }
    }
}

func disassembleOne(_ code: [UInt8], at address: UInt64, arch: hp_arch = HP_ARCH_X86_64) -> (String, Int) {
    var text = [CChar](repeating: 0, count: 96)
    let length = hp_disassemble(arch, code, code.count, address, &text, text.count)
    return (String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self), length)
}

/// "55 48 89 e5" → bytes.
func hex(_ text: String) -> [UInt8] { text.split(separator: " ").map { UInt8($0, radix: 16)! } }

func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
}
