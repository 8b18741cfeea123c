import CPatchCore
import HotpatchMemory

/// One instruction as the decoder prints it.
package struct Instruction: Hashable, Sendable {
    package var address: Address
    package var bytes: [UInt8]
    /// "mov rax, rbx".
    package var text: String
}

extension Architecture {
    /// The instructions of `code`, which runs at `address`, up to the first that is unknown or cut off.
    package func disassemble(_ code: [UInt8], at address: Address) -> [Instruction] {
        var instructions: [Instruction] = []
        var offset = 0
        while offset < code.count {
            var text = [UInt8](repeating: 0, count: 128)
            let length = code.withUnsafeBufferPointer { code in
                text.withUnsafeMutableBytes { text in
                    hp_disassemble(
                        core, code.baseAddress! + offset, code.count - offset, (address + offset).rawValue,
                        text.baseAddress!.assumingMemoryBound(to: CChar.self), text.count)
                }
            }
            guard length > 0 else { break }
            instructions.append(
                Instruction(
                    address: address + offset, bytes: Array(code[offset..<offset + length]),
                    text: String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)))
            offset += length
        }
        return instructions
    }

    /// What a person reads of `code`: its instructions, and "…" where the last one is cut off.
    func text(_ code: [UInt8], at address: Address) -> String {
        let instructions = disassemble(code, at: address)
        let whole = instructions.reduce(0) { $0 + $1.bytes.count } == code.count
        return (instructions.map(\.text) + (whole ? [] : ["…"])).joined(separator: "; ")
    }
}
