import Engine
import Memory
import Symbols

public typealias PatchError = Engine.PatchError
public typealias FunctionSymbol = Symbols.FunctionSymbol
public typealias UnreachedCopies = Symbols.UnreachedCopies

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

    init(receipt: Receipt, member: Int, function: FunctionSymbol, replacement: Address) {
        id = receipt.id
        self.function = function
        replacementAddress = replacement
        originalAddress = receipt.sites[member].originalAddress
        notes = receipt.notes
    }

    /// The original, as a C function.
    /// - Parameter type: a `@convention(c)` function type: the signature of the function, which is not checked.
    /// - Throws: `PatchError.type` for any other type.
    public func original<F>(as type: F.Type = F.self) throws(PatchError) -> F {
        try cFunction(at: originalAddress, as: type)
    }

    /// Whether the patch is in force. Another, newer one of the same function may be running instead.
    public var isInForce: Bool {
        get throws(PatchError) {
            try LocalPatcher.with { (patcher) throws(PatchError) in
                try patcher.engine().state().patch(id)?.state == .applied
            }
        }
    }

    /// Takes the patch out of force. All functions of one transaction are one patch, and are reverted together.
    /// - Throws: `PatchError.notInForce` where it was reverted before.
    public func revert() throws(PatchError) {
        try LocalPatcher.with { (patcher) throws(PatchError) in _ = try patcher.engine().revert([id]) }
    }

    /// Copies of the function that the patch does not reach: inlined into other functions, or specialised by the compiler.
    /// Read from DWARF and symbols when asked; this can take a while in a large program.
    public var unreached: UnreachedCopies {
        get throws(PatchError) {
            try LocalPatcher.with { (patcher) throws(PatchError) in try patcher.index().unreachedCopies(of: function) }
        }
    }
}

/// The C function at an address.
func cFunction<F>(at address: Address, as type: F.Type) throws(PatchError) -> F {
    try requireC(type)
    return unsafeBitCast(UInt(address.rawValue), to: type)
}

/// Refuses every type but C functions: the one-word function pointers.
///
/// Function type metadata is its kind, 0x302, then flags, whose bits 16–23 are the convention; 3 is C
/// (Swift ABI, TypeMetadata.rst, "Function Metadata").
func requireC<F>(_ type: F.Type) throws(PatchError) {
    let metadata = unsafeBitCast(type as Any.Type, to: UnsafePointer<UInt>.self)
    let isC = metadata[0] == 0x302 && metadata[1] >> 16 & 0xff == 3
    guard isC else {
        throw .type(
            "\(type) is not a C function type. Only C functions, code addresses and other symbols can replace a function here. "
                + "Write it as a @convention(c) closure, or use withSymbol:.")
    }
}
