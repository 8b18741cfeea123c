import HotpatchEngine
import HotpatchLocalTarget
import HotpatchMemory
import HotpatchSymbols

extension Patch {
    /// What runs instead of a function.
    public struct ActiveReplacement: Sendable, Hashable {
        /// The address of its first instruction.
        public let address: Address
        /// Its symbol, or its address in hexadecimal.
        public let name: String
        /// The address as it is: whoever has it may call what is there, which is not freed meanwhile.
        private let entry: UInt64

        init(address: Address, name: String) {
            self.address = address
            self.name = name
            entry = address.rawValue
        }
    }

    /// What runs instead of a function, or nil where the function itself does.
    /// - Parameters:
    ///   - symbol: as ``replace(symbol:in:with:original:selfUse:)`` takes it.
    ///   - image: the file name or path of the executable or library that defines it, where several do.
    /// - Throws: `PatchError` for a name that is unknown (`functionNotFound`) or ambiguous (`functionAmbiguous`).
    public static func replacement(
        for symbol: String, in image: String? = nil
    ) throws(PatchError) -> ActiveReplacement? {
        try replacement(for: function(symbol: symbol, in: image))
    }

    package static func replacement(for function: FunctionSymbol) throws(PatchError) -> ActiveReplacement? {
        try LocalPatcher.with { (patcher) throws(PatchError) in
            try patcher.engine().state().replacement(for: function.address).map {
                ActiveReplacement(address: $0.address, name: $0.name)
            }
        }
    }

    package static func function(symbol: String, in image: String?) throws(PatchError) -> FunctionSymbol {
        try LocalPatcher.with { (patcher) throws(PatchError) in try patcher.function(symbol, in: image) }
    }

    /// The original of a function, patched or not, as a function value.
    ///
    /// It looks the name up each time: in a hot path, or in a replacement of a function that this library itself uses
    /// (`malloc`, `read`, …), take it from the handle once.
    /// - Parameters:
    ///   - symbol: as ``replace(symbol:in:with:original:selfUse:)`` takes it.
    ///   - image: the file name or path of the executable or library that defines it, where several do.
    ///   - type: as ``original(as:)`` takes it.
    ///   - selfUse: as ``replace(symbol:in:with:original:selfUse:)`` takes it.
    /// - Throws: `PatchError` for a name that is unknown (`functionNotFound`) or ambiguous (`functionAmbiguous`),
    ///   where a Swift function is of another type (`closureType`), and where `F` is no function type (`type`).
    public static func original<F>(
        symbol: String, in image: String? = nil, as type: F.Type = F.self, selfUse: SelfUse? = nil
    ) throws(PatchError) -> F {
        let address = try originalAddress(symbol: symbol, in: image)
        guard FunctionConvention(type) == .swift else { return try cFunction(at: address, as: type) }
        return try LocalPatcher.with { (patcher) throws(PatchError) in
            let function = try patcher.function(symbol, in: image)
            return try TypedFunction(function, as: type, selfUse: selfUse, index: patcher.index())
        }.original(at: address)
    }

    /// The former name of ``original(symbol:in:as:selfUse:)``.
    @available(
        *, deprecated, renamed: "original(symbol:in:as:selfUse:)", message: "it returns the function, and calls nothing"
    )
    public static func callOriginal<F>(
        symbol: String, in image: String? = nil, as type: F.Type = F.self, selfUse: SelfUse? = nil
    ) throws(PatchError) -> F {
        try original(symbol: symbol, in: image, as: type, selfUse: selfUse)
    }

    /// Where the original of a function can be called, patched or not.
    /// - Parameters:
    ///   - symbol: as ``replace(symbol:in:with:original:selfUse:)`` takes it.
    ///   - image: the file name or path of the executable or library that defines it, where several do.
    /// - Throws: `PatchError` for a name that is unknown (`functionNotFound`) or ambiguous (`functionAmbiguous`).
    public static func originalAddress(symbol: String, in image: String? = nil) throws(PatchError) -> Address {
        try LocalPatcher.with { (patcher) throws(PatchError) in
            let function = try patcher.function(symbol, in: image)
            let state = try patcher.engine().state()
            guard state.replacement(for: function.address) != nil else { return function.address }
            return state.site(entry: function.address)?.originalAddress ?? function.address
        }
    }

    /// Reverts every patch of a function; nothing where it is not patched. Other functions of the same transactions are
    /// reverted with it.
    /// - Parameters:
    ///   - symbol: as ``replace(symbol:in:with:original:selfUse:)`` takes it.
    ///   - image: the file name or path of the executable or library that defines it, where several do.
    /// - Throws: `PatchError` for a name that is unknown (`functionNotFound`) or ambiguous (`functionAmbiguous`).
    ///   Unless its outcome is `inconsistent`, nothing has changed.
    public static func revert(symbol: String, in image: String? = nil) throws(PatchError) {
        try LocalPatcher.with { (patcher) throws(PatchError) in
            let function = try patcher.function(symbol, in: image)
            try patcher.revert { (patch, state) in
                let site = state.site(entry: function.address)
                return patch.members.contains { $0.site == site?.id }
            }
        }
    }

    /// Reverts everything that is patched in this process, by whomever.
    /// - Throws: `PatchError`. Unless its outcome is `inconsistent`, nothing has changed.
    public static func revertAll() throws(PatchError) {
        try LocalPatcher.with { (patcher) throws(PatchError) in
            try patcher.revert { (_, _) in true }
        }
    }

    /// Functions of this process whose mangled or demangled name matches.
    /// - Parameters:
    ///   - pattern: with `*` and `?`; without either, any part of the name.
    ///   - image: only functions of this executable or library, by file name or path.
    /// - Returns: the functions, ascending by address.
    /// - Throws: `PatchError` where the process's symbols could not be read, or not in `Options.readingTimeout` (`readingTimeout`).
    public static func functions(
        matching pattern: String, in image: String? = nil
    ) throws(PatchError) -> [FunctionSymbol] {
        try LocalPatcher.with { (patcher) throws(PatchError) in
            try patcher.index().functions(matching: pattern, in: image)
        }
    }
}

extension Patch {
    /// For how long this process may be patched, and its threads held. The defaults suit every process.
    public typealias Options = HotpatchLocalTarget.LocalTarget.Options

    /// Those in force: the defaults, or what ``configure(_:)`` was given last.
    public static var options: Options { LocalPatcher.options.value }

    /// Sets the options for all operations of this process that begin after it.
    /// - Parameter options: each time from a millisecond to an hour.
    /// - Throws: `PatchError` (`type`) where a value is out of its range. Then the options are as before.
    public static func configure(_ options: Options) throws(PatchError) {
        let times = [
            ("a timeout", options.timeout), ("a timeout for reading", options.readingTimeout),
            ("a pause", options.longestPause),
        ]
        for (what, time) in times where time < .milliseconds(1) || time > .seconds(3600) {
            throw .type("\(what) of \(time) is out of range. Use 1 millisecond to 1 hour.")
        }
        LocalPatcher.options.value = options
    }
}
