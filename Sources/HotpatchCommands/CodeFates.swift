import HotpatchEngine
import HotpatchMemory
import HotpatchReload
import HotpatchRemoteTarget

/// What patches have taken of the process's memory, in bytes: whole pages.
struct LinkedMemory: CustomStringConvertible {
    var (code, constants, data) = (0, 0, 0)
    /// Where it lies.
    private var segments: [(kind: String, address: Address, size: Int)] = []

    init(_ ledger: LedgerState, of patch: UInt32) { add(ledger, of: patch) }

    private init() {}

    /// What became of all of these together.
    init(_ ledger: LedgerState, of patches: [UInt32]) {
        self.init()
        for patch in patches { add(ledger, of: patch) }
    }

    private mutating func add(_ ledger: LedgerState, of patch: UInt32) {
        let sizes = LinkedSizes(ledger, of: patch)
        code &+= sizes.code
        constants &+= sizes.constants
        data &+= sizes.data
        let isGone = sizes.code == 0
        for segment in ledger.segments(of: patch) {
            let sizes = (code: isGone ? 0 : segment.codeSize, constants: segment.constantsSize, data: segment.dataSize)
            let constants = segment.address + segment.codeSize
            segments += [
                ("code", segment.address, sizes.code), ("constants", constants, sizes.constants),
                ("data", constants + sizes.constants, sizes.data),
            ].filter { $0.2 > 0 }
        }
    }

    /// "8 KiB of code, 4 KiB of constants, no data"
    var description: String {
        [(code, "code"), (constants, "constants"), (data, "data")].map { size, what in
            size == 0 ? "no \(what)" : "\(size >> 10) KiB of \(what)"
        }.joined(separator: ", ")
    }

    var json: JSON {
        .object(["code": .number(code), "constants": .number(constants), "data": .number(data)])
    }

    var segmentsJSON: JSON {
        .array(
            segments.map { segment in
                .object([
                    "kind": .string(segment.kind), "address": .string(segment.address.description),
                    "size": .number(segment.size),
                ])
            })
    }
}

extension CodeFate {
    /// Nil for what goes without saying.
    var text: String? {
        switch self {
        case .entered: nil
        case .kept: "its code is kept, to be gone back to"
        case .stays(let why): "its code stays: \(why)"
        case .waits(let why): "its code waits: \(why)"
        case .free: "its code waits for a revert, or one of the next patches, to free it"
        case .freed: "its code was freed"
        }
    }

    var json: JSON {
        let (state, why): (String, String) =
            switch self {
            case .entered: ("entered", "")
            case .kept: ("kept", "")
            case .stays(let why): ("stays", why)
            case .waits(let why): ("waits", why)
            case .free: ("free", "")
            case .freed: ("freed", "")
            }
        return .object(["state": .string(state), "reason": .string(why)])
    }
}

extension CodeFates {
    /// - Parameter longest: nanoseconds for which threads may be held to search for it.
    init(_ inspection: Inspection, longest: UInt64 = HoldBudget.firstHold) {
        self.init(inspection.ledger, of: inspection.pid, longest: longest, hint: " (--max-pause)")
    }

    /// What is left of objects that were reverted, or superseded for good, and that the ledger has forgotten.
    func earlier(in ledger: LedgerState) -> (text: String?, json: JSON) {
        let owners = ledger.linkedOwners.filter { ledger.patch($0) == nil }
        let memory = LinkedMemory(ledger, of: owners)
        var text: String?
        if memory.code > 0 {
            text = "earlier objects have left \(memory.code >> 10) KiB of code:"
            for owner in owners {
                if let told = fate(of: owner).text { text! += "\n  of patch \(owner), \(told)" }
            }
        }
        return (text, memory.json)
    }
}
