import CPatchCall
import Glibc
import Synchronization

/// Makes a function value callable as a symbol of the same type is called, and the other way round.
///
/// What it makes is called by any number of threads at once. An adapter's plan is computed once for a type and a shape.
public struct Adapter<F>: Sendable {
    private let programs: Programs

    /// - Parameter shape: what the symbol decides: whether the first parameter is self, and whether parameters are handed over.
    /// - Throws: where no adapter can be made for the type.
    public init(_ type: F.Type = F.self, shape: CallShape = .function) throws(CallRefusal) {
        programs = try Programs.of(TypeMetadata(type), shape: shape)
    }

    package var plan: CallPlan { programs.plan }

    /// Code that callers of the symbol may jump to, and which calls `function`. The function value is kept for good, as is the code.
    package func replacement(_ function: F) throws(CallRefusal) -> UnsafeRawPointer {
        guard let thunk = hp_call_make_thunk(adapter(function, programs.replacement)) else { throw .noMemory(errno) }
        return thunk
    }

    /// The same without code of its own: what a dispatcher may lead a call to. It lives as long as it is held.
    /// - Parameter observer: is told of each call.
    package func replacementAdapter(_ function: F, observer: (any CallObserver)? = nil) -> CallAdapter {
        guard let observer else { return CallAdapter(adapter(function, programs.replacement)) }
        let adapter = adapter(function, programs.observed)
        hp_call_adapter_set_observer(adapter, Observation(observer, plan: plan).retained())
        return CallAdapter(adapter)
    }

    private func adapter(_ function: F, _ program: EncodedProgram) -> UnsafeMutablePointer<hp_call_adapter> {
        withUnsafeBytes(of: function) { value in
            hp_call_make_closure_adapter(
                program.pointer, value.load(as: UnsafeRawPointer.self),
                value.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self), HP_CALL_RETAINS)
        }
    }

    /// A function value that calls the code at an address. It may be called as long as that code is there.
    /// - Throws: `CallRefusal.asyncRecord` for an async function, of which more than the address must be known.
    package func original(at code: UnsafeRawPointer) throws(CallRefusal) -> F {
        guard !plan.isAsync else { throw .asyncRecord("\(F.self)") }
        return function(calling: code, asyncContextSize: 0)
    }

    /// The same for an async function, whose context has this size: the second word of its async record, the symbol that ends
    /// with `Tu`.
    package func original(at code: UnsafeRawPointer, asyncContextSize: Int) throws(CallRefusal) -> F {
        guard plan.isAsync, asyncContextSize > 0 else { throw .asyncRecord("\(F.self)") }
        return function(calling: code, asyncContextSize: asyncContextSize)
    }

    /// A function value that calls the code whose address is written to `code` before the first call. That word stays allocated.
    package func unboundOriginal(
        asyncContextSize: Int
    ) throws(CallRefusal) -> (function: F, code: UnsafeMutablePointer<UnsafeRawPointer?>) {
        guard plan.isAsync == (asyncContextSize > 0) else { throw .asyncRecord("\(F.self)") }
        let program = programs.original
        let nowhere = UnsafeRawPointer(bitPattern: -1)!
        let adapter = hp_call_make_adapter(program.pointer, nowhere, nil, nil, UInt64(asyncContextSize))
        _ = Unmanaged<AnyObject>.fromOpaque(adapter).retain()
        let code = UnsafeMutableRawPointer(adapter) + Int(HP_CALL_ADAPTER_TARGET)
        return (value(adapter), code.assumingMemoryBound(to: UnsafeRawPointer?.self))
    }

    private func function(calling code: UnsafeRawPointer, asyncContextSize: Int) -> F {
        value(hp_call_make_adapter(programs.original.pointer, code, nil, nil, UInt64(asyncContextSize)))
    }

    private func value(_ adapter: UnsafeMutablePointer<hp_call_adapter>) -> F {
        withUnsafeTemporaryAllocation(of: F.self, capacity: 1) { buffer in
            // A function value is its code and its context, which it owns.
            let words = UnsafeMutableRawBufferPointer(buffer)
            words.storeBytes(of: hp_call_adapter_function(adapter), as: UnsafeRawPointer.self)
            words.storeBytes(of: UnsafeMutableRawPointer(adapter), toByteOffset: 8, as: UnsafeMutableRawPointer.self)
            return buffer.moveElement(from: 0)
        }
    }
}

/// A plan and its programs, computed when they are first needed.
private final class Programs: Sendable {
    let plan: CallPlan
    private let encoded = Mutex<[CallProgram.Direction: EncodedProgram]>([:])

    private struct Key: Hashable {
        let type: TypeMetadata
        let shape: CallShape
    }

    private static let known = Mutex<[Key: Programs]>([:])

    private init(_ plan: CallPlan) { self.plan = plan }

    static func of(_ type: TypeMetadata, shape: CallShape) throws(CallRefusal) -> Programs {
        let key = Key(type: type, shape: shape)
        if let programs = known.withLock({ $0[key] }) { return programs }
        let made = Programs(try CallPlan(type, shape: shape, architecture: .current))
        return known.withLock { known in
            if let programs = known[key] { return programs }
            known[key] = made
            return made
        }
    }

    var replacement: EncodedProgram { program(.replacement) }
    var observed: EncodedProgram { program(.observedReplacement) }
    var original: EncodedProgram { program(.original) }

    private func program(_ direction: CallProgram.Direction) -> EncodedProgram {
        encoded.withLock { encoded in
            if let program = encoded[direction] { return program }
            let program = EncodedProgram(plan, direction)
            encoded[direction] = program
            return program
        }
    }
}
