// A client that sees only the members of modules that it imports (MemberImportVisibility) sees those of the types below. One name is enough to
// show a module: the one that a client is least likely to have.
@_exported import struct HotpatchEngine.PatchError
import HotpatchEngine
@_exported import class HotpatchLocalTarget.LocalTarget
@_exported import struct HotpatchMemory.LoadBias
import HotpatchMemory
@_exported import struct HotpatchSwiftCall.FunctionFacts
import HotpatchSwiftCall
@_exported import struct HotpatchSymbols.FunctionSymbol
import HotpatchSymbols

/// Why a patch could not be made or undone: `code` says it to a program, `message` to people (`what. why. try this.`), and `outcome` tells
/// whether the process is as it was (`refused`), was put back (`rolledBack`), or may be in between (`inconsistent`).
public typealias PatchError = HotpatchEngine.PatchError
/// A function of a process: its mangled and demangled name, its address, and the image that defines it.
public typealias FunctionSymbol = HotpatchSymbols.FunctionSymbol
/// Copies of a function that a patch of it does not reach, and whether they could be told.
public typealias UnreachedCopies = HotpatchSymbols.UnreachedCopies
/// One such copy: inlined into another function, or specialised. `description` tells where.
public typealias UnreachedCopy = HotpatchSymbols.UnreachedCopy

/// A function of this process that another one runs for.
///
/// A patch overwrites the function's entry with a jump, while every other thread is held. The original stays callable, patched
/// or not, by any number of threads at once; a call that the original makes to itself runs the replacement.
///
/// Replacing a function again puts the new replacement on top: it runs. Handles may be reverted in any order; what runs is always
/// the newest patch still in force, and the original once there is none. A thread that is in the original when it is reverted
/// finishes there.
///
/// A handle does not own the patch: letting go of it reverts nothing.
public struct Patch: Sendable, Identifiable {
    /// Unique in this process; what `swift-hotpatch list` shows.
    public let id: UInt32
    /// The function that is replaced.
    public let function: FunctionSymbol
    /// Where calls of it lead.
    public let replacementAddress: Address
    /// What calling the original runs: valid as long as the process lives, reverted or not.
    public let originalAddress: Address
    /// What could not be verified, in words; usually empty.
    public let notes: [String]
    private let selfUse: SelfUse?

    init(receipt: Receipt, site: SiteRecord, of wanted: LocalPatcher.ResolvedReplacement) {
        id = receipt.id
        function = wanted.function
        selfUse = wanted.selfUse
        replacementAddress = wanted.address
        originalAddress = site.originalAddress
        notes = receipt.notes + (wanted.note.map { [$0] } ?? [])
    }

    /// What a method of a struct, an enum or a protocol extension does with `self`.
    public typealias SelfUse = HotpatchSwiftCall.FunctionFacts.SelfUse

    /// A place in a process's memory.
    public typealias Address = HotpatchMemory.Address

    /// The original, as a function value.
    ///
    ///     let price = try patch.original(as: ((String) -> Int).self)
    ///
    /// - Parameter type: of a Swift function, the type that `replace(symbol:with:)` takes: checked. Of a C function, a
    ///   `@convention(c)` type: not checked.
    /// - Throws: `PatchError` where the function is of another type (`closureType`), and where `F` is no function type (`type`).
    public func original<F>(as type: F.Type = F.self) throws(PatchError) -> F {
        guard FunctionConvention(type) == .swift else { return try cFunction(at: originalAddress, as: type) }
        return try LocalPatcher.with { (patcher) throws(PatchError) in
            try TypedFunction(function, as: type, selfUse: selfUse, index: patcher.index())
        }.original(at: originalAddress)
    }

    /// Whether the patch is in force. Another, newer one of the same function may be running instead.
    /// - Throws: `PatchError` (`ledger`) where the record of the process's patches is damaged.
    public var isInForce: Bool {
        get throws(PatchError) { try LocalPatcher.isInForce(id) }
    }

    /// Takes the patch out of force. All functions of one transaction are one patch, and are reverted together.
    /// - Throws: `PatchError`; its code is `notInForce` where it was reverted before, and as `replace` has it where threads cannot be held.
    ///   Unless its outcome is `inconsistent`, nothing has changed.
    public func revert() throws(PatchError) { try LocalPatcher.revert(id) }

    /// Copies of the function that the patch does not reach: inlined into other functions, or specialised by the compiler.
    /// Read from DWARF and symbols when asked; this can take a while in a large program.
    /// - Throws: `PatchError` (`readingTimeout`) where `Options.readingTimeout` has passed.
    public var unreached: UnreachedCopies {
        get throws(PatchError) { try Self.unreachedCopies(of: function) }
    }

    package static func unreachedCopies(of function: FunctionSymbol) throws(PatchError) -> UnreachedCopies {
        // To read DWARF takes a while, and the index may be read by anybody.
        let index = try LocalPatcher.with { (patcher) throws(PatchError) in try patcher.index() }
        let copies = index.unreachedCopies(of: function)
        // Another thread's operation may have run out of time meanwhile.
        do { try index.time.check() } catch { throw .symbol(SymbolError(error)) }
        return copies
    }
}
