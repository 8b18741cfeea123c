import HotpatchSymbols

/// Tells the functions of this engine, which must not be patched while they patch.
package struct OwnCode: Sendable {
    /// What the Swift modules' symbols begin with, and the C ones'.
    private static let prefixes = [
        "$s8Hotpatch", "$s19HotpatchLocalTarget", "$s14HotpatchEngine", "$s12HotpatchPlan", "$s15HotpatchSymbols",
        "$s11HotpatchELF", "$s14HotpatchProcFS", "$s14HotpatchMemory", "$s15HotpatchHotLink", "$s15HotpatchObjects",
        "$s16HotpatchDemangle", "$s17HotpatchSwiftCall", "hp_",
    ]

    /// Mostly one, whose path is the very text that its functions' image has.
    private let images: [String]

    /// An image holds the engine where it defines `hp_commit`: a program may have modules of the same names.
    package init(index: SymbolIndex) {
        // By its very name: no others are demangled to find that there is none.
        images = index.images.filter { !index.linkableSymbols(named: "hp_commit", in: $0).isEmpty }.map(\.path)
    }

    package func contains(_ function: FunctionSymbol) -> Bool {
        images.contains(function.image.path) && Self.prefixes.contains { function.name.hasPrefix($0) }
    }
}
