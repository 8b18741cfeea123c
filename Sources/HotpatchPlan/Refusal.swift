import CPatchCore
import HotpatchMemory

/// Why a function cannot be patched, and the instruction that is to blame.
package struct Refusal: Error, Hashable, Sendable {
    package enum Reason: UInt32, Hashable, Sendable, CaseIterable {
        /// This release has no encoder for the architecture.
        case unsupportedArchitecture = 1
        /// Fewer bytes were given than the detour needs.
        case unreadableEntry
        /// An instruction of the prologue is unknown to the decoder.
        case undecodable
        /// The function and its padding end inside the detour.
        case tooShort
        /// The body, or one of its jump tables, jumps into the overwritten bytes.
        case branchIntoPrologue
        /// The body jumps back to the entry: its loop would go on in the replacement.
        case branchToEntry
        /// A call inside the prologue returns into the overwritten bytes.
        case returnIntoPrologue
        /// A PC-relative operand does not reach from the stub.
        case outOfReach
        /// The instruction has a PC-relative form that cannot be rewritten.
        case unmovable
        /// A PC-relative operand points into the overwritten bytes.
        case addressIntoPrologue
        /// The entry jumps to itself.
        case selfLoop
        /// The moved prologue does not fit a stub.
        case stubOverflow
        /// The stub or its slot is too far away.
        case detourOutOfReach
        /// Another patcher's detour, or a breakpoint, stands at the entry.
        case alreadyPatched
        /// Code outside the function jumps into the overwritten bytes, or calls them.
        case foreignBranch
        /// A part of the function that lies elsewhere jumps back to the entry.
        case partToEntry
        /// Code takes the address of one of the overwritten bytes.
        case foreignAddress
        /// A symbol names one of the overwritten bytes.
        case nameInside
        /// The function's size is not known, and other than padding follows its first end.
        case noSize

        /// One sentence, without its full stop.
        package var text: String { String(cString: hp_reason_text(hp_reason(rawValue: rawValue))) }

        /// What can be done about it; nil where nothing simple can.
        package var advice: String? {
            switch self {
            case .tooShort, .undecodable, .branchIntoPrologue, .branchToEntry, .returnIntoPrologue, .unmovable,
                .addressIntoPrologue, .stubOverflow, .foreignBranch, .partToEntry:
                "build it with -fpatchable-function-entry=5, or patch its callers"
            case .foreignAddress, .nameInside: "patch its callers"
            case .noSize: "give it a size (`.size` in assembly), or patch its callers"
            case .unreadableEntry: "check the symbol's address and size"
            case .outOfReach, .detourOutOfReach: "place the stub nearer to the function"
            case .alreadyPatched: "revert the other patch, or remove the breakpoint, first"
            case .selfLoop, .unsupportedArchitecture: nil
            }
        }
    }

    package var reason: Reason
    /// The address of the instruction, or of the entry where no instruction is to blame.
    package var address: Address
    /// What the instruction refers to; nil if nothing.
    package var operand: Address?
    /// The instruction's; empty where none is to blame.
    package var bytes: [UInt8]
    /// As the decoder prints it, "jne 0x401136"; empty if it is undecodable.
    package var instruction: String
    /// Where that is, and where it leads, by name: "mempcpy+0x6", "memmove+0x3". Nil where it is in the function itself.
    package var place: (source: String, target: String)? {
        get { source.isEmpty ? nil : (source, target) }
        set { (source, target) = newValue ?? ("", "") }
    }
    private var source = ""
    private var target = ""

    package init(
        reason: Reason, address: Address, operand: Address? = nil, bytes: [UInt8] = [], instruction: String = ""
    ) {
        self.reason = reason
        self.address = address
        self.operand = operand
        self.bytes = bytes
        self.instruction = instruction
    }

    init(_ refusal: hp_refusal) {
        reason = Reason(rawValue: refusal.reason.rawValue) ?? .unmovable
        address = Address(refusal.address)
        operand = refusal.operand == 0 ? nil : Address(refusal.operand)
        bytes = withUnsafeBytes(of: refusal.bytes) { Array($0.prefix(Int(refusal.length))) }
        instruction = withUnsafeBytes(of: refusal.instruction) { text in
            String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

extension Refusal: CustomStringConvertible {
    /// What stands behind "cannot patch price: ", without a full stop.
    package var description: String {
        var text = culprit.map { "\($0): " } ?? ""
        text += reason.text
        if let advice = reason.advice { text += "; \(advice)" }
        return text
    }

    /// What is to blame, and where; nil where that is the entry itself.
    private var culprit: String? {
        if reason == .nameInside { return source.isEmpty ? nil : "\(source) at \(address)" }
        if bytes.isEmpty, instruction.isEmpty { return nil }
        var text =
            instruction.isEmpty ? "the bytes \(bytes.hexadecimal())" : "`\(instruction)` (\(bytes.hexadecimal()))"
        text += " at \(address)"
        if let place { return text + " (\(place.source)), which refers to \(place.target)" }
        // A branch's text names its operand; that of `[rip + 0x10]` does not.
        if let operand, !instruction.contains("\(operand)") { text += ", which refers to \(operand)" }
        return text
    }
}
