extension PatchError {
    /// What is the matter. Others may be added.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// Its name, which stays the same from version to version.
        public let rawValue: String

        /// Makes the code that has a name.
        /// - Parameter rawValue: the name.
        public init(rawValue: String) { self.rawValue = rawValue }
    }
}

extension PatchError.Code: CustomStringConvertible {
    /// Its name.
    public var description: String { rawValue }
}

// MARK: What was asked for

extension PatchError.Code {
    /// No function has the name, or none begins at the address.
    public static let functionNotFound = Self(rawValue: "functionNotFound")
    /// Several functions have the name: `candidates` lists them.
    public static let functionAmbiguous = Self(rawValue: "functionAmbiguous")
    /// An indirect function, whose implementation nothing in the process tells.
    public static let unresolvedFunction = Self(rawValue: "unresolvedFunction")
    /// A value is of no type of function that can replace one or be called; or an option is out of its range.
    public static let type = Self(rawValue: "type")
    /// The closure's type is not the function's. The message shows both, and where they differ.
    public static let closureType = Self(rawValue: "closureType")
    /// No closure can stand for the function, or none of this type for any.
    public static let closure = Self(rawValue: "closure")
    /// A function would replace itself.
    public static let itself = Self(rawValue: "itself")
    /// One transaction names a function twice.
    public static let twice = Self(rawValue: "twice")
    /// Several functions have one code, and each another replacement.
    public static let sameCode = Self(rawValue: "sameCode")
    /// The process has no such patch.
    public static let noSuchPatch = Self(rawValue: "noSuchPatch")
    /// The patch was reverted before.
    public static let notInForce = Self(rawValue: "notInForce")
}

// MARK: What stands in the way of it

extension PatchError.Code {
    /// The function's entry cannot be overwritten.
    public static let refused = Self(rawValue: "refused")
    /// The function belongs to the engine, which runs while it patches.
    public static let ownFunction = Self(rawValue: "ownFunction")
    /// The entry holds neither the function nor the jump of a patch: somebody else has written there.
    public static let entryChanged = Self(rawValue: "entryChanged")
    /// Callers of an async function allocate too small a context for the replacement, or only one of the two is async.
    public static let asyncContext = Self(rawValue: "asyncContext")
    /// The entry holds a call, and the process has a shadow stack.
    public static let shadowStack = Self(rawValue: "shadowStack")
    /// No free addresses for a stub within reach of the entry.
    public static let noSpace = Self(rawValue: "noSpace")
    /// A file of the process cannot be read, or is not what it claims to be.
    public static let unreadableFile = Self(rawValue: "unreadableFile")
    /// A file is no longer the one that the process has mapped.
    public static let replacedFile = Self(rawValue: "replacedFile")
    /// The record that the process has of its patches is damaged, or of a version that is not known.
    public static let ledger = Self(rawValue: "ledger")
    /// An object cannot be linked into the process: it is none, or not of what runs there, or needs what the process does not have.
    public static let object = Self(rawValue: "object")
    /// An edit changes what cannot be changed while the process runs, such as the layout of a type. The message names all of it.
    public static let restartNeeded = Self(rawValue: "restartNeeded")
    /// Memory of the process could not be read.
    public static let memory = Self(rawValue: "memory")
    /// The process does not exist, or has ended.
    public static let noProcess = Self(rawValue: "noProcess")
    /// The system does not allow what patching takes.
    public static let system = Self(rawValue: "system")
    /// Something else, which the message tells.
    public static let other = Self(rawValue: "other")
}

// MARK: What may be otherwise at another time

extension PatchError.Code {
    /// The time was over before all threads were held.
    public static let deadline = Self(rawValue: "deadline")
    /// The time was over before the symbols had been read.
    public static let readingTimeout = Self(rawValue: "readingTimeout")
    /// A thread stays inside the entry, interrupted by a signal handler.
    public static let busy = Self(rawValue: "busy")
    /// A thread of the process is committing a patch itself.
    public static let underway = Self(rawValue: "underway")
    /// Another patch was made meanwhile.
    public static let overtaken = Self(rawValue: "overtaken")
    /// Something was mapped meanwhile where a stub was to lie.
    public static let addressTaken = Self(rawValue: "addressTaken")
    /// The process was patched, or changed its mappings, all the time.
    public static let restless = Self(rawValue: "restless")
}

// MARK: What went wrong on the way

extension PatchError.Code {
    /// What the process was asked to do itself is still at work there, or it has ended over it.
    public static let unfinished = Self(rawValue: "unfinished")
    /// A write failed; all before it were undone.
    public static let rolledBack = Self(rawValue: "rolledBack")
    /// A write failed, and so did undoing.
    public static let inconsistent = Self(rawValue: "inconsistent")
}
