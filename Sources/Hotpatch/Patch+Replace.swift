import HotpatchEngine
import HotpatchMemory
import HotpatchSymbols

extension Patch {
    /// Replaces a function by a closure or another function value.
    ///
    ///     let patch = try Patch.replace(
    ///         symbol: "Shop.price(of:)", with: { (item: String) -> Int in 42 })
    ///     let pid = try Patch.replace(symbol: "getpid", with: { 42 } as @convention(c) () -> Int32)
    ///
    /// The type of a Swift closure must be the function's, and is checked: `self` comes first (`inout` for a mutating method,
    /// `Self.Type` for a static one or an initialiser), then the parameters; of a setter the new value, then the indices. What the
    /// closure captures is kept for good: a call may be under way at any time.
    ///
    /// - Parameters:
    ///   - symbol: a mangled name (`getpid`, `memcpy@GLIBC_2.2.5`), or a demangled Swift or C++ name
    ///     (`Shop.price(of: Swift.String) -> Swift.Int`), whose result and argument types may be left out where that is unique.
    ///   - image: the file name or path of the executable or library that defines it, where several do.
    ///   - function: a value of Swift function type; or, of a C function, of `@convention(c)` type, which must be the function's:
    ///     that is not checked.
    ///   - original: a variable that receives the address of the original before the replacement can first run: what a
    ///     replacement that any thread may enter at once (`malloc`) calls. Must stay allocated.
    ///   - selfUse: what a method of a struct or enum, or a consuming one of a class, does with `self`, where the program has no
    ///     DWARF to tell.
    /// - Returns: a handle. It may be let go.
    /// - Throws: `PatchError`. Unless its outcome is `inconsistent`, nothing has changed.
    @discardableResult
    public static func replace<F>(
        symbol: String, in image: String? = nil, with function: F, original: OriginalPointer? = nil,
        selfUse: SelfUse? = nil
    ) throws(PatchError) -> Patch {
        try single { (transaction) throws(PatchError) in
            try transaction.replace(
                symbol: symbol, in: image, with: function, original: original, selfUse: selfUse)
        }
    }

    /// Replaces a Swift function by a closure that is made with the original, which it may call.
    ///
    ///     try Patch.replace(symbol: "Shop.price(of:)", wrapping: { (original: @escaping (String) -> Int) in
    ///         { item in original(item) + 1 }
    ///     })
    ///
    /// - Parameters:
    ///   - symbol: as ``replace(symbol:in:with:original:selfUse:)`` takes it.
    ///   - image: likewise.
    ///   - wrap: called once, before the patch is made. The original must not be called before the closure is.
    ///   - selfUse: as ``replace(symbol:in:with:original:selfUse:)`` takes it.
    /// - Returns: a handle. It may be let go.
    /// - Throws: `PatchError`. Unless its outcome is `inconsistent`, nothing has changed.
    @discardableResult
    public static func replace<F>(
        symbol: String, in image: String? = nil, wrapping wrap: (F) -> F, selfUse: SelfUse? = nil
    ) throws(PatchError) -> Patch {
        try single { (transaction) throws(PatchError) in
            try transaction.replace(symbol: symbol, in: image, wrapping: wrap, selfUse: selfUse)
        }
    }

    /// Replaces the Swift function that a function value comes from: `Patch.replace(Shop.price, with: { … })`.
    ///
    /// - Parameters:
    ///   - function: a free function. Of a method, initialiser or operator the value does not tell; it is refused.
    ///   - replacement: what runs instead.
    /// - Returns: a handle. It may be let go.
    /// - Throws: `PatchError`; its code is `type` where the function cannot be told, and the message says why. Unless its outcome is
    ///   `inconsistent`, nothing has changed.
    @discardableResult
    public static func replace<F>(_ function: F, with replacement: F) throws(PatchError) -> Patch {
        try single { (transaction) throws(PatchError) in try transaction.replace(function, with: replacement) }
    }

    /// Replaces a function by the code at an address.
    ///
    /// - Parameters:
    ///   - symbol: as ``replace(symbol:in:with:original:selfUse:)`` takes it.
    ///   - image: likewise.
    ///   - code: the first instruction of a function with the same signature, which is not checked. Must stay mapped.
    ///   - original: a variable that receives the address of the original before the replacement can first run. Must stay allocated.
    /// - Returns: a handle. It may be let go.
    /// - Throws: `PatchError`. Unless its outcome is `inconsistent`, nothing has changed.
    @discardableResult
    public static func replace(
        symbol: String, in image: String? = nil, with code: UnsafeRawPointer, original: OriginalPointer? = nil
    ) throws(PatchError) -> Patch {
        try single { (transaction) throws(PatchError) in
            try transaction.replace(symbol: symbol, in: image, with: code, original: original)
        }
    }

    /// Replaces a function that has been looked up by the code at an address.
    /// - Parameter name: of the replacement; its symbol, or its address, where it is nil.
    package static func replace(
        _ function: FunctionSymbol, with code: UnsafeRawPointer, name: String? = nil, original: OriginalPointer? = nil
    ) throws(PatchError) -> Patch {
        try single { (transaction) throws(PatchError) in
            try transaction.replace(function, with: Address(code), name: name, original: original)
        }
    }

    /// Replaces a function by another of this process, found by name. Both have the same signature, which is not checked.
    ///
    /// - Parameters:
    ///   - symbol: as ``replace(symbol:in:with:original:selfUse:)`` takes it.
    ///   - image: likewise.
    ///   - replacement: the name of the other function, of the same forms.
    ///   - replacementImage: the executable or library that defines the other, where several do.
    ///   - original: a variable that receives the address of the original before the replacement can first run. Must stay allocated.
    /// - Returns: a handle. It may be let go.
    /// - Throws: `PatchError`. Unless its outcome is `inconsistent`, nothing has changed.
    @discardableResult
    public static func replace(
        symbol: String, in image: String? = nil, withSymbol replacement: String, in replacementImage: String? = nil,
        original: OriginalPointer? = nil
    ) throws(PatchError) -> Patch {
        try single { (transaction) throws(PatchError) in
            try transaction.replace(
                symbol: symbol, in: image, withSymbol: replacement, in: replacementImage, original: original)
        }
    }

    /// A variable of one word, such as a C function pointer, that receives the address of an original.
    public typealias OriginalPointer = UnsafeMutablePointer<UnsafeRawPointer?>

    /// Replaces several functions at once: all, with the threads held once, or none.
    ///
    ///     try Patch.transaction {
    ///         try $0.replace(symbol: "open_session", withSymbol: "open_session_fixed")
    ///         try $0.replace(symbol: "close_session", withSymbol: "close_session_fixed")
    ///     }
    ///
    /// - Parameter body: says what to replace. Nothing is changed before it has returned.
    /// - Returns: a handle for each, in order. They are one patch: reverting one reverts all.
    /// - Throws: what `body` throws, and then nothing was changed; or `PatchError`.
    @discardableResult
    public static func transaction(_ body: (inout Transaction) throws -> Void) throws -> [Patch] {
        var transaction = Transaction()
        try body(&transaction)
        return try commit(transaction).map { try $0.get() }
    }

    /// Replaces as many of several functions as can be, at once: as ``transaction(_:)``, but for those that cannot be patched, which are left
    /// out instead of being the end of all.
    ///
    ///     let results = try Patch.partialTransaction { transaction in
    ///         for symbol in symbols { try transaction.replace(symbol: symbol, withSymbol: symbol + "_traced") }
    ///     }
    ///     for case .failure(let error) in results { print(error.message) }
    ///
    /// A variable that was to receive the original of a function that is left out receives the function's own address, so that other
    /// replacements may call it. A name that is unknown or ambiguous is not left out: ``Transaction/replace(symbol:in:with:original:selfUse:)``
    /// throws it inside `body`, which may catch it and go on.
    ///
    /// - Parameter body: says what to replace. Nothing is changed before it has returned.
    /// - Returns: for each replacement, in order, a handle, or why its function was left out. The handles are one patch: reverting one
    ///   reverts all.
    /// - Throws: what `body` throws, and then nothing was changed; or `PatchError`, where none can be patched that of the first.
    @discardableResult
    public static func partialTransaction(
        _ body: (inout Transaction) throws -> Void
    ) throws -> [Result<Patch, PatchError>] {
        var transaction = Transaction()
        try body(&transaction)
        return try commit(transaction, leavesOutRefused: true)
    }

    private static func single(
        _ body: (inout Transaction) throws(PatchError) -> Void
    ) throws(PatchError) -> Patch {
        var transaction = Transaction()
        try body(&transaction)
        return try commit(transaction)[0].get()
    }

    private static func commit(
        _ transaction: Transaction, leavesOutRefused: Bool = false
    ) throws(PatchError) -> [Result<Patch, PatchError>] {
        let wanted = transaction.wanted
        if wanted.isEmpty { return [] }
        return try LocalPatcher.with { (patcher) throws(PatchError) in
            let receipt = try patcher.apply(wanted, leavesOutRefused: leavesOutRefused)
            // Both are in the order of the request.
            var (sites, refused) = (receipt.sites[...], receipt.refused[...])
            return wanted.enumerated().map { place, wanted in
                if let first = refused.first, first.index == place { return .failure(refused.removeFirst().error) }
                return .success(Patch(receipt: receipt, site: sites.removeFirst(), of: wanted))
            }
        }
    }

    /// What is to be replaced together: ``Patch/transaction(_:)`` hands it out.
    public struct Transaction {
        fileprivate var wanted: [LocalPatcher.ResolvedReplacement] = []

        fileprivate init() {}

        /// Replaces a function by a closure or another function value: see ``Patch/replace(symbol:in:with:original:selfUse:)``.
        public mutating func replace<F>(
            symbol: String, in image: String? = nil, with function: F, original: OriginalPointer? = nil,
            selfUse: SelfUse? = nil
        ) throws(PatchError) {
            guard FunctionConvention(F.self) == .swift else {
                try requireC(F.self)
                let address = Address(UInt64(unsafeBitCast(function, to: UInt.self)))
                return try replace(symbol: symbol, in: image, with: address, original: original)
            }
            try replace(selfUse) { (patcher) throws(PatchError) in
                try patcher.function(symbol, in: image)
            } with: { (_: TypedFunction<F>) in
                (function, original)
            }
        }

        /// Replaces a Swift function by a closure that is made with the original: see ``Patch/replace(symbol:in:wrapping:selfUse:)``.
        public mutating func replace<F>(
            symbol: String, in image: String? = nil, wrapping wrap: (F) -> F, selfUse: SelfUse? = nil
        ) throws(PatchError) {
            try replace(selfUse) { (patcher) throws(PatchError) in
                try patcher.function(symbol, in: image)
            } with: { (typed: TypedFunction<F>) throws(PatchError) in
                let original = try typed.unboundOriginal()
                return (wrap(original.function), original.code)
            }
        }

        /// Replaces the Swift function that a function value comes from: see ``Patch/replace(_:with:)``.
        public mutating func replace<F>(_ function: F, with replacement: F) throws(PatchError) {
            let symbol = try LocalPatcher.with { (patcher) throws(PatchError) in try patcher.function(of: function) }
            try replace(nil) { (_) throws(PatchError) in
                symbol
            } with: { (_: TypedFunction<F>) in
                (replacement, nil)
            }
        }

        private mutating func replace<F>(
            _ selfUse: SelfUse?, _ find: (inout LocalPatcher) throws(PatchError) -> FunctionSymbol,
            with make: (TypedFunction<F>) throws(PatchError) -> (closure: F, original: OriginalPointer?)
        ) throws(PatchError) {
            let typed = try LocalPatcher.with { (patcher) throws(PatchError) in
                try TypedFunction(find(&patcher), as: F.self, selfUse: selfUse, index: patcher.index())
            }
            let (closure, original) = try make(typed)
            wanted.append(
                .init(
                    function: typed.function, address: try typed.replacement(closure), name: "closure \(F.self)",
                    original: original.map { Address(UnsafeRawPointer($0)) }, selfUse: selfUse, note: typed.note))
        }

        /// Replaces a function by the code at an address: see ``Patch/replace(symbol:in:with:original:)``.
        public mutating func replace(
            symbol: String, in image: String? = nil, with code: UnsafeRawPointer, original: OriginalPointer? = nil
        ) throws(PatchError) {
            try replace(symbol: symbol, in: image, with: Address(code), original: original)
        }

        /// Replaces a function by another of this process: see ``Patch/replace(symbol:in:withSymbol:in:original:)``.
        public mutating func replace(
            symbol: String, in image: String? = nil, withSymbol replacement: String, in replacementImage: String? = nil,
            original: OriginalPointer? = nil
        ) throws(PatchError) {
            let original = original.map { Address(UnsafeRawPointer($0)) }
            wanted.append(
                try LocalPatcher.with { (patcher) throws(PatchError) in
                    let function = try patcher.function(symbol, in: image)
                    let other = try patcher.function(replacement, in: replacementImage)
                    let context = try patcher.context(of: other, for: function)
                    return .init(
                        function: function, address: other.address, name: other.name, original: original,
                        context: context)
                })
        }

        private mutating func replace(
            symbol: String, in image: String?, with address: Address, original: OriginalPointer?
        ) throws(PatchError) {
            try replace(with: address, name: nil, original: original) { (patcher) throws(PatchError) in
                try patcher.function(symbol, in: image)
            }
        }

        fileprivate mutating func replace(
            _ function: FunctionSymbol, with address: Address, name: String?, original: OriginalPointer?
        ) throws(PatchError) {
            try replace(with: address, name: name, original: original) { _ in function }
        }

        private mutating func replace(
            with address: Address, name: String?, original: OriginalPointer?,
            _ find: (inout LocalPatcher) throws(PatchError) -> FunctionSymbol
        ) throws(PatchError) {
            let original = original.map { Address(UnsafeRawPointer($0)) }
            wanted.append(
                try LocalPatcher.with { (patcher) throws(PatchError) in
                    let function = try find(&patcher)
                    let found = try patcher.index().function(containing: address)
                    let symbol = found.map { $0.offset == 0 ? $0.symbol.name : "\($0.symbol.name)+\($0.offset)" }
                    // Code that no symbol names was made by somebody who knows what its callers do.
                    let context = try found.flatMap { (found) throws(PatchError) in
                        try patcher.context(of: found.symbol, for: function)
                    }
                    return .init(
                        function: function, address: address, name: name ?? symbol ?? address.description,
                        original: original, context: context)
                })
        }
    }
}
