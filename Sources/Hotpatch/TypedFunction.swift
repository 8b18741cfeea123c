import HotpatchEngine
import HotpatchMemory
import HotpatchSwiftCall
import HotpatchSymbols

/// A Swift function of this process, and a function type that has been found to be its own.
package struct TypedFunction<F>: Sendable {
    package let function: FunctionSymbol
    package let adapter: Adapter<F>
    /// Bytes of the context that callers of an async function make for it.
    private let asyncContextSize: Int?
    /// What could not be verified.
    package let note: String?
    /// Why the function itself cannot be called, while a closure can replace it.
    private let originalRefusal: SymbolRefusal?

    /// - Parameter selfUse: the caller's word, where DWARF does not say.
    /// - Throws: `PatchError` (`closureType`, `closure`) where no value of the type can stand for the function.
    init(
        _ function: FunctionSymbol, as type: F.Type, selfUse: FunctionFacts.SelfUse?, index: SymbolIndex
    ) throws(PatchError) {
        self.function = function
        asyncContextSize = index.asyncContextSize(of: function)
        do {
            let signature = try SwiftSignature(mangled: function.name)
            let facts = FunctionFacts(
                function, debug: index.debugFacts(of: function), selfUse: selfUse, isAsync: asyncContextSize != nil)
            let match = try signature.match(type: type, facts)
            adapter = try Adapter(shape: CallShape(match))
            try Self.refuseOpaqueProperties(adapter.plan.structLayouts, index)
            originalRefusal = match.originalRefusal
            note = match.mayTakeHiddenActor ? Self.hiddenActor(function.demangledName) : nil
        } catch let error as SymbolRefusal {
            throw .closure(SignatureError.refused(error))
        } catch let error as SignatureError {
            throw .closure(error, isMismatch: error.isMismatch)
        } catch {
            throw .closure(error)
        }
    }

    /// The function of that name, of whichever image it is.
    package init(symbol: String, in image: String?, selfUse: FunctionFacts.SelfUse?) throws(PatchError) {
        self = try LocalPatcher.with { (patcher) throws(PatchError) in
            try TypedFunction(
                patcher.function(symbol, in: image), as: F.self, selfUse: selfUse, index: patcher.index())
        }
    }

    /// Only the getter of a property tells that its type is opaque.
    private static func refuseOpaqueProperties(
        _ layouts: Set<StructLayout>, _ index: SymbolIndex
    ) throws(CallRefusal) {
        for layout in layouts {
            for property in layout.properties {
                for getter in index.functions(named: "\(layout.name).\(property).getter") {
                    do throws(SymbolRefusal) { _ = try SwiftSignature(mangled: getter.name) } catch {
                        if error.reason == .opaqueResult { throw .opaqueProperty(layout.name, property) }
                    }
                }
            }
        }
    }

    private static func hiddenActor(_ function: String) -> String {
        "\(function) is async: in a module built with NonisolatedNonsendingByDefault, and where it is declared "
            + "nonisolated(nonsending), it takes an actor that no symbol shows. Then it must not be replaced by a closure"
    }

    /// Code to which callers of the function can be led. It keeps `closure` for good: a call may be under way at any time.
    package func replacement(_ closure: F) throws(PatchError) -> Address {
        do { return Address(try adapter.replacement(closure)) } catch { throw .closure(error) }
    }

    /// A value that calls the function's code, whose address is written to `code` before the first call.
    package func unboundOriginal() throws(PatchError) -> (function: F, code: Patch.OriginalPointer) {
        if let originalRefusal { throw .closure(SignatureError.refused(originalRefusal)) }
        do { return try adapter.unboundOriginal(asyncContextSize: asyncContextSize ?? 0) } catch {
            throw .closure(error)
        }
    }

    /// A value that calls the function's code at an address.
    package func original(at address: Address) throws(PatchError) -> F {
        if let originalRefusal { throw .closure(SignatureError.refused(originalRefusal)) }
        do {
            guard adapter.plan.isAsync else { return try adapter.original(at: address.pointer!) }
            return try adapter.original(at: address.pointer!, asyncContextSize: asyncContextSize ?? 0)
        } catch {
            throw .closure(error)
        }
    }
}

extension SignatureError {
    /// Whether a closure of another type could stand for the function.
    fileprivate var isMismatch: Bool { if case .mismatch = self { true } else { false } }
}

extension FunctionFacts {
    init(_ function: FunctionSymbol, debug: DebugFacts?, selfUse: SelfUse?, isAsync: Bool) {
        let described: SelfUse? =
            switch debug?.selfUse {
            case .borrowed: .borrowed
            case .mutated: .mutated
            case .consumed: .consumed
            case nil: nil
            }
        self.init(
            selfUse: described ?? selfUse, throwsError: debug?.throwsError, isAsync: isAsync,
            isOptimised: debug?.isOptimised,
            isFileLocal: function.binding == .local && function.visibility == .default)
    }
}

extension CallShape {
    /// What a symbol says about a call, and its type does not.
    init(_ match: SignatureMatch) {
        let convention: SelfConvention =
            switch match.selfParameter {
            case .none, .leftOut: .none
            case .metatype: .metatype
            case .existential: .opened
            case .value, .object:
                switch match.ownership.first {
                case .inout: .inout
                case .owned: .consuming
                case .borrowed, nil: .borrowed
                }
            }
        let owned = match.ownership.enumerated().reduce(into: UInt32(0)) { bits, parameter in
            if parameter.element == .owned { bits |= 1 << UInt32(parameter.offset) }
        }
        self.init(self: convention, ownedParameters: owned)
    }
}
