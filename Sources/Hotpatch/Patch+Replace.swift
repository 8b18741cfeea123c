import Engine
import Memory
import Symbols

extension Patch {
    /// Replaces a function by a C function.
    ///
    ///     let patch = try Patch.replace(
    ///         symbol: "getpid", with: { 42 } as @convention(c) () -> Int32)
    ///
    /// - Parameters:
    ///   - symbol: a mangled name (`getpid`, `memcpy@GLIBC_2.2.5`), or a demangled Swift or C++ name
    ///     (`Shop.price(of: Swift.String) -> Swift.Int`), whose result and argument types may be left out where that is unique.
    ///   - image: the file name or path of the executable or library that defines it, where several do.
    ///   - function: a value of `@convention(c)` type. Its signature must be the function's; this is not checked.
    /// - Throws: `PatchError`. Unless it is `.inconsistent`, nothing has changed.
    @discardableResult
    public static func replace<F>(
        symbol: String, in image: String? = nil, with function: F
    ) throws(PatchError) -> Patch {
        try requireC(F.self)
        let address = Address(UInt64(unsafeBitCast(function, to: UInt.self)))
        return try replace(symbol: symbol, in: image, with: address)
    }

    /// Replaces a function by the code at an address.
    @discardableResult
    public static func replace(
        symbol: String, in image: String? = nil, with code: UnsafeRawPointer
    ) throws(PatchError) -> Patch {
        try replace(symbol: symbol, in: image, with: Address(code))
    }

    /// Replaces a function by another of this process, found by name. Both have the same signature, which is not checked.
    @discardableResult
    public static func replace(
        symbol: String, in image: String? = nil, withSymbol replacement: String, in replacementImage: String? = nil
    ) throws(PatchError) -> Patch {
        try transaction { (transaction) throws(PatchError) in
            try transaction.replace(symbol: symbol, in: image, withSymbol: replacement, in: replacementImage)
        }[0]
    }

    private static func replace(symbol: String, in image: String?, with address: Address) throws(PatchError) -> Patch {
        try transaction { (transaction) throws(PatchError) in
            try transaction.replace(symbol: symbol, in: image, with: address)
        }[0]
    }

    /// Replaces several functions at once: all, with the threads held once, or none.
    ///
    ///     try Patch.transaction {
    ///         try $0.replace(symbol: "open_session", withSymbol: "open_session_fixed")
    ///         try $0.replace(symbol: "close_session", withSymbol: "close_session_fixed")
    ///     }
    ///
    /// - Returns: a handle for each, in order. They are one patch: reverting one reverts all.
    @discardableResult
    public static func transaction(
        _ body: (inout Transaction) throws(PatchError) -> Void
    ) throws(PatchError) -> [Patch] {
        var transaction = Transaction()
        try body(&transaction)
        let wanted = transaction.wanted
        if wanted.isEmpty { return [] }
        return try LocalPatcher.with { (patcher) throws(PatchError) in
            let receipt = try patcher.apply(wanted)
            return wanted.enumerated().map {
                Patch(receipt: receipt, member: $0.offset, function: $0.element.function, replacement: $0.element.address)
            }
        }
    }

    /// What is to be replaced together.
    public struct Transaction {
        fileprivate var wanted: [(function: FunctionSymbol, address: Address, name: String)] = []

        fileprivate init() {}

        public mutating func replace<F>(
            symbol: String, in image: String? = nil, with function: F
        ) throws(PatchError) {
            try requireC(F.self)
            try replace(symbol: symbol, in: image, with: Address(UInt64(unsafeBitCast(function, to: UInt.self))))
        }

        public mutating func replace(
            symbol: String, in image: String? = nil, with code: UnsafeRawPointer
        ) throws(PatchError) {
            try replace(symbol: symbol, in: image, with: Address(code))
        }

        public mutating func replace(
            symbol: String, in image: String? = nil, withSymbol replacement: String, in replacementImage: String? = nil
        ) throws(PatchError) {
            wanted.append(
                try LocalPatcher.with { (patcher) throws(PatchError) in
                    let function = try patcher.function(symbol, in: image)
                    let other = try patcher.function(replacement, in: replacementImage)
                    return (function, other.address, other.name)
                })
        }

        fileprivate mutating func replace(symbol: String, in image: String?, with address: Address) throws(PatchError) {
            wanted.append(
                try LocalPatcher.with { (patcher) throws(PatchError) in
                    let function = try patcher.function(symbol, in: image)
                    let name = try patcher.index().function(containing: address).map {
                        $0.offset == 0 ? $0.symbol.name : "\($0.symbol.name)+\($0.offset)"
                    }
                    return (function, address, name ?? address.description)
                })
        }
    }
}
