import HotpatchEngine
import HotpatchObjects
import HotpatchSymbols

/// Objects of edited source files that were linked into this process: ``Patch/apply(object:base:)`` makes one.
///
/// The functions that the edit changed run from their next call on; whoever is inside one finishes what was there. Types, globals and
/// tasks are those that the process had. A handle does not own the patch: letting go of it reverts nothing.
public struct ObjectPatch: Sendable, Identifiable {
    /// Unique in this process; what `swift-hotpatch list` shows.
    public let id: UInt32
    /// The functions that run new code, by their readable names.
    public let functions: [String]
    /// What the edit does not change though it says so, and what could not be verified: a sentence each.
    public let notes: [String]

    init(_ linked: LinkedObjects, _ receipt: Receipt) {
        id = receipt.id
        functions = linked.functions.map { Demangling.demangle($0) ?? $0 }
        notes = receipt.notes
    }

    /// Whether the patch is in force. A newer one may have replaced all that it changed.
    /// - Throws: `PatchError` (`ledger`) where the record of the process's patches is damaged.
    public var isInForce: Bool { get throws(PatchError) { try LocalPatcher.isInForce(id) } }

    /// Takes the patch out of force: functions run what they ran before, or what a newer patch has made of them; constants have their
    /// former values. What the new code has done to variables stays.
    /// - Throws: `PatchError`; its code is `notInForce` where it was reverted before. Unless its outcome is `inconsistent`, nothing has
    ///   changed.
    public func revert() throws(PatchError) { try LocalPatcher.revert(id) }
}

extension Patch {
    /// Links the object of an edited source file into this process, and lets its functions replace those that the edit changed.
    ///
    ///     try Patch.apply(object: "build/Routes.new.o", base: "build/Routes.o")
    ///
    /// Both objects are of one file, compiled in the same way, without optimisation and with debugging information (`-Onone -g`, `-O0 -g`).
    /// They are compared, function by function, and the base with what runs; what differs in the new one is linked against what the process
    /// has. New types are registered with the Swift runtime by the calling thread, before any other is held. Where the process has no
    /// libdw (libdw1), and in one that is linked statically as a whole, objects are refused.
    ///
    /// - Parameters:
    ///   - object: the path of the new object.
    ///   - base: the path of the one that the program was linked from, or of a later edit the one that was applied last.
    /// - Returns: a handle, which may be let go; nil where the edit changes nothing.
    /// - Throws: `PatchError`. Its code is `restartNeeded` where the edit changes what cannot be changed in a process that runs (the layout
    ///   of a type, how a function is called), and `object` where the object cannot be linked. Unless its outcome is `inconsistent`,
    ///   nothing has changed.
    @discardableResult
    public static func apply(object: String, base: String) throws(PatchError) -> ObjectPatch? {
        try apply(objects: [(object, base)])
    }

    /// Links the objects of several edited source files into this process: all, with the threads held once, or none.
    ///
    /// - Parameter objects: of files of one executable or library, each once: see ``apply(object:base:)``.
    /// - Returns: a handle for all of them, which may be let go; nil where the edits change nothing.
    /// - Throws: `PatchError`, as ``apply(object:base:)`` does.
    @discardableResult
    public static func apply(objects: [(object: String, base: String)]) throws(PatchError) -> ObjectPatch? {
        let pairs = objects.map { ObjectPair(new: $0.object, base: $0.base) }
        return try LocalPatcher.with { (patcher) throws(PatchError) in
            let (linked, receipt) = try patcher.apply(pairs)
            return receipt.map { ObjectPatch(linked, $0) }
        }
    }
}
