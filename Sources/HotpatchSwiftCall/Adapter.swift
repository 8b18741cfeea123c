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

    public var plan: CallPlan { programs.plan }

    /// Code that callers of the symbol may jump to, and which calls `function`. The function value is kept for good, as is the code.
    public func replacement(_ function: F) throws(CallRefusal) -> UnsafeRawPointer {
        guard let thunk = hp_call_make_thunk(box(function, programs.replacement)) else { throw .noMemory(errno) }
        return thunk
    }

    /// The same without code of its own: what a dispatcher may lead a call to. It lives as long as it is held.
    /// - Parameter observer: is told of each call.
    public func replacementBox(_ function: F, observer: (any CallObserver)? = nil) -> CallBox {
        guard let observer else { return CallBox(box(function, programs.replacement)) }
        let box = box(function, programs.observed)
        hp_call_box_set_observer(box, Observation(observer, plan: plan).retained())
        return CallBox(box)
    }

    private func box(_ function: F, _ program: FlatProgram) -> UnsafeMutablePointer<hp_call_box> {
        withUnsafeBytes(of: function) { value in
            hp_call_make_closure_box(
                program.pointer, value.load(as: UnsafeRawPointer.self),
                value.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self), HP_CALL_RETAINS)
        }
    }

    /// A function value that calls the code at an address. It may be called as long as that code is there.
    /// - Throws: `CallRefusal.asyncRecord` for an async function, of which more than the address must be known.
    public func original(at code: UnsafeRawPointer) throws(CallRefusal) -> F {
        guard !plan.isAsync else { throw .asyncRecord("\(F.self)") }
        return function(calling: code, asyncContextSize: 0)
    }

    /// The same for an async function, whose context has this size: the second word of its async record, the symbol that ends
    /// with `Tu`.
    public func original(at code: UnsafeRawPointer, asyncContextSize: Int) throws(CallRefusal) -> F {
        guard plan.isAsync, asyncContextSize > 0 else { throw .asyncRecord("\(F.self)") }
        return function(calling: code, asyncContextSize: asyncContextSize)
    }

    /// A function value that calls the code whose address is written to `code` before the first call. That word stays allocated.
    public func unboundOriginal(
        asyncContextSize: Int
    ) throws(CallRefusal) -> (function: F, code: UnsafeMutablePointer<UnsafeRawPointer?>) {
        guard plan.isAsync == (asyncContextSize > 0) else { throw .asyncRecord("\(F.self)") }
        let program = programs.original
        let nowhere = UnsafeRawPointer(bitPattern: -1)!
        let box = hp_call_make_box(program.pointer, nowhere, nil, nil, UInt64(asyncContextSize))
        _ = Unmanaged<AnyObject>.fromOpaque(box).retain()
        let code = UnsafeMutableRawPointer(box) + Int(HP_CALL_BOX_TARGET)
        return (value(box), code.assumingMemoryBound(to: UnsafeRawPointer?.self))
    }

    private func function(calling code: UnsafeRawPointer, asyncContextSize: Int) -> F {
        value(hp_call_make_box(programs.original.pointer, code, nil, nil, UInt64(asyncContextSize)))
    }

    private func value(_ box: UnsafeMutablePointer<hp_call_box>) -> F {
        withUnsafeTemporaryAllocation(of: F.self, capacity: 1) { buffer in
            // A function value is its code and its context, which it owns.
            let words = UnsafeMutableRawBufferPointer(buffer)
            words.storeBytes(of: hp_call_box_function(box), as: UnsafeRawPointer.self)
            words.storeBytes(of: UnsafeMutableRawPointer(box), toByteOffset: 8, as: UnsafeMutableRawPointer.self)
            return buffer.moveElement(from: 0)
        }
    }
}

/// A plan and its programs, computed when they are first needed.
private final class Programs: Sendable {
    let plan: CallPlan
    private let flat = Mutex<[CallProgram.Direction: FlatProgram]>([:])

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

    var replacement: FlatProgram { program(.replacement) }
    var observed: FlatProgram { program(.observedReplacement) }
    var original: FlatProgram { program(.original) }

    private func program(_ direction: CallProgram.Direction) -> FlatProgram {
        flat.withLock { flat in
            if let program = flat[direction] { return program }
            let program = FlatProgram(plan, direction)
            flat[direction] = program
            return program
        }
    }
}
