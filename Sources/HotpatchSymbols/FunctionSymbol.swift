import HotpatchELF
import HotpatchMemory

/// A function of a process.
public struct FunctionSymbol: Sendable, Hashable {
    /// Mangled, without a version.
    public var name: String
    /// The symbol's version, `GLIBC_2.2.5`; nil where it has none.
    public var version: String?
    /// Where the code is in the process. For an indirect function, the implementation its resolver chose.
    public var address: Address
    /// Where the symbol is: for an indirect function, its resolver.
    public var symbolAddress: Address
    /// The size of the code at `address`, in bytes; 0 where no symbol says.
    public var size: Int
    /// The executable or library that defines it.
    public var image: LoadedImage
    /// Whether other files see the symbol (STB_LOCAL, STB_GLOBAL, STB_WEAK).
    public var binding: SymbolBinding
    /// Whether other images do (STV_DEFAULT and the others).
    public var visibility: SymbolVisibility
    /// STT_GNU_IFUNC.
    public var isIndirect: Bool
    /// In `.dynsym`: other images can bind to it.
    public var isExported: Bool
    /// It follows a variant of the procedure call standard, whose callers rely on more registers than the base keeps: vector and
    /// SVE functions of arm64 (AAELF64, STO_AARCH64_VARIANT_PCS).
    public var isVariantCall: Bool

    /// Readable; the name itself where it is not mangled. Computed at each use.
    public var demangledName: String { Demangling.demangle(name) ?? name }
}

extension FunctionSymbol: CustomStringConvertible {
    /// `Shop.price(of: Swift.String) -> Swift.Int at 0x5641d96e4f40 in /srv/Shop`.
    public var description: String { "\(demangledName) at \(address) in \(image.path)" }
}

/// A variable, or another thing that is not code, of a process.
package struct DataSymbol: Sendable, Hashable {
    package var name: String
    package var version: String?
    package var address: Address
    /// In bytes; 0 where the file does not say.
    package var size: Int
    package var image: LoadedImage
    package var binding: SymbolBinding
    package var isExported: Bool
}
