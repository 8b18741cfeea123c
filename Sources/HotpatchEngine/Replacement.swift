import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// One function to be replaced.
public struct Replacement: Sendable {
    package var function: FunctionSymbol
    /// Bytes of the function, and bytes up to the next one: `SymbolIndex.extent(of:)`.
    package var extent: (length: Int, available: Int)
    /// Where calls of the function lead from now on.
    package var address: Address
    /// For `list`: the replacement's symbol, or where it comes from.
    package var name: String
    /// A variable of 8 bytes in the target that receives the address of the original, or nil.
    package var originalPointer: Address?
    /// The context of an async function that needs a larger one than callers allocate; else nil.
    package var context: AsyncContext.Larger?

    /// Makes the request.
    /// - Parameters:
    ///   - function: what is replaced.
    ///   - extent: of the function, as `SymbolIndex.extent(of:)` tells it: in bytes.
    ///   - address: where its callers are led, in the target.
    ///   - name: of what is there.
    ///   - originalPointer: a word of the target that receives the address at which the original can be called; nil for none.
    ///   - context: of an async function whose callers allocate too little; else nil.
    public init(
        function: FunctionSymbol, extent: (length: Int, available: Int), address: Address, name: String,
        originalPointer: Address? = nil, context: AsyncContext.Larger? = nil
    ) {
        self.function = function
        self.extent = extent
        self.address = address
        self.name = name
        self.originalPointer = originalPointer
        self.context = context
    }
}
