import CPatchCore

/// What hp_relocate said, as values a test can compare.
struct Relocation {
    var raw: hp_relocation
    var refusal: hp_refusal
    var succeeded: Bool

    static let entry: UInt64 = 0x401000
    static let stub: UInt64 = 0x500000
    static let slot: UInt64 = 0x600000

    /// - Parameter functionLength: 0 is unknown; nil is all of `code`.
    init(
        _ code: [UInt8], functionLength: Int? = nil, arch: hp_arch = HP_ARCH_X86_64, entry: UInt64 = entry,
        stub: UInt64 = stub, slot: UInt64 = slot
    ) {
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
            return hp_relocate(arch, &request, &raw, &refusal)
        }
        self.raw = raw
        self.refusal = refusal
    }

    var stubBytes: [UInt8] { withUnsafeBytes(of: raw.stub) { Array($0.prefix(Int(raw.stub_length))) } }
    var detourBytes: [UInt8] { withUnsafeBytes(of: raw.detour) { Array($0.prefix(Int(raw.detour_length))) } }
    var expectedBytes: [UInt8] { withUnsafeBytes(of: raw.expected) { Array($0.prefix(Int(raw.detour_length))) } }
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

    /// The moved instructions as the decoder prints them, one after the other.
    var text: String { disassemble(moved, at: Self.stub + UInt64(raw.original_offset)) }
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
