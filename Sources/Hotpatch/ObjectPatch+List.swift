import HotpatchEngine
import HotpatchLocalTarget

extension ObjectPatch {
    /// What became of objects that were linked into this process: ``Patch/objects`` lists it.
    public struct Status: Sendable, Hashable, Identifiable {
        /// What `swift-hotpatch list` shows, too.
        public let id: UInt32
        /// Full paths of the objects.
        public let objects: [String]
        /// Whether the patch is in force. A newer one may have replaced all that it changed.
        public let isInForce: Bool
        /// What is taken of the process's memory, in bytes: whole pages. Constants and data stay when code is freed.
        public let codeSize: Int
        /// Likewise.
        public let constantsSize: Int
        /// Likewise.
        public let dataSize: Int
        /// What becomes of the code.
        public let code: Code
    }

    /// What becomes of the code of linked objects.
    public enum Code: Sendable, Hashable {
        /// It runs, or whoever goes back to it has it run.
        case entered
        /// Newer code runs, and this is kept to be gone back to.
        case kept
        /// It stays for good; why.
        case stays(String)
        /// It is freed once nothing leads into it; what does.
        case waits(String)
        /// Nothing leads into it: one of the next patches, or a revert, frees it.
        case free
        /// It was freed.
        case freed

        init(_ fate: CodeFate) {
            self =
                switch fate {
                case .entered: .entered
                case .kept: .kept
                case .stays(let why): .stays(why)
                case .waits(let why): .waits(why)
                case .free: .free
                case .freed: .freed
                }
        }
    }
}

extension Patch {
    /// The objects that were linked into this process, by whomever, oldest first: those in force, and those that were reverted, as far as
    /// they are remembered. As `swift-hotpatch list --all` shows them.
    ///
    /// Where code waits to be freed, the process's memory is searched for what leads into it, for half a second at most; no thread is held.
    /// - Throws: `PatchError` (`ledger`) where the record of the process's patches is damaged.
    public static var objects: [ObjectPatch.Status] {
        get throws(PatchError) {
            try LocalPatcher.with { (patcher) throws(PatchError) in
                let ledger = try patcher.engine().state()
                let target = patcher.target
                let fates = CodeFates(ledger, of: target.pid, longest: target.longestSearch) {
                    try target.search($0, until: $1)
                }
                return ledger.patches.map(\.record).filter { !$0.objects.isEmpty }.map { patch in
                    let sizes = LinkedSizes(ledger, of: patch.id)
                    return ObjectPatch.Status(
                        id: patch.id, objects: patch.objects, isInForce: patch.state == .applied,
                        codeSize: sizes.code, constantsSize: sizes.constants, dataSize: sizes.data,
                        code: .init(fates.fate(of: patch.id)))
                }
            }
        }
    }
}
