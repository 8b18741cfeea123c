/// The moves that lead from one convention to the other: what C runs (CPatch/Call/include/hp_call.h). Offsets are from the start
/// of the adapter's frame.
struct CallProgram {
    /// What a closure made of another does with that one's context.
    enum ClosureOwnership: UInt64 {
        /// It does not escape: its context need not even be an object.
        case borrows
        case retains
        case consumes
    }

    enum Move {
        case copy(from: Int, to: Int, count: Int)
        case copyBit(from: Int, to: Int)
        /// From where the pointer at `pointer` leads, plus `offset`, into a register: its other bytes become 0.
        case loadRegister(pointer: Int, offset: Int, to: Int, count: Int)
        case load(pointer: Int, offset: Int, to: Int, count: Int)
        case store(from: Int, pointer: Int, offset: Int, count: Int)
        case storeBit(from: Int, pointer: Int, offset: Int)
        /// The address of what lies at an offset.
        case address(of: Int, to: Int)
        case advance(pointer: Int, by: Int, to: Int)
        case metadata(TypeMetadata, to: Int)
        /// A copy of the value that the pointer leads to.
        case copyValue(TypeMetadata, pointer: Int, to: Int)
        /// The end of the value that the pointer leads to.
        case destroy(TypeMetadata, pointer: Int)
        /// An existential with a copy of the value that the pointer leads to; the type and the witness table lie at offsets.
        case close(pointer: Int, type: Int, witnesses: Int, to: Int)
        /// The address of the value in the existential that the pointer leads to; its type and its witness table too.
        case open(pointer: Int, type: Int, witnesses: Int, to: Int)
        /// The type of the object that lies where the pointer leads.
        case objectType(pointer: Int, to: Int)
        /// Converts the closure at an offset, in place.
        case convert(at: Int, CallPlan, Direction, ClosureOwnership)
        case observe(ObservedEvent)
        /// Releases the object that the pointer is.
        case release(at: Int)
    }

    enum Direction: Hashable {
        /// Called as the symbol is, calls a closure.
        case replacement
        /// The same, and tells an observer.
        case observedReplacement
        /// Called as a closure is, calls the symbol.
        case original
    }

    /// Before the call.
    var prepare: [Move] = []
    /// After it.
    var cleanup: [Move] = []
    /// After that, unless an error was thrown.
    var results: [Move] = []
    /// Whether an observer is told of the end first of all.
    private var isObserved = false
    /// Bytes below the frame.
    var scratch = 0
    var flags: Flags = []
    /// The bytes of an async function's arguments on the caller's stack, and on the target's.
    private(set) var stackIn = 0
    private(set) var stackOut = 0

    struct Flags: OptionSet {
        let rawValue: UInt32
    }

    init(_ plan: CallPlan, _ direction: Direction) {
        switch direction {
        case .replacement: buildReplacement(plan)
        case .observedReplacement:
            buildReplacement(plan)
            prepare.append(.observe(.call))
            isObserved = true
        case .original: buildOriginal(plan)
        }
    }

    /// All that is to be done after the call.
    var success: [Move] { (isObserved ? [.observe(.returned)] : []) + cleanup + results }
    var failure: [Move] { (isObserved ? [.observe(.threw)] : []) + cleanup }

    /// Where things lie in the frame. An async function's stack does not last: there is room for what the caller left on it.
    mutating func makeLayout(of plan: CallPlan, stackIn size: Int) -> FrameLayout {
        var layout = FrameLayout(plan.architecture)
        if plan.isAsync, size > 0 {
            stackIn = size
            layout.copiedStack = reserve(size)
            flags.insert(.asyncStack)
        }
        return layout
    }

    /// Reserves scratch space for the target's arguments on the stack, which lie lowest. Nothing is reserved after this.
    mutating func reserve(forStack size: Int, of plan: CallPlan) {
        scratch += size.roundedUp(to: 16)
        if plan.isAsync, size > 0 {
            stackOut = size
            flags.insert(.asyncStack)
        }
    }

    /// Reserves scratch space for a value. It lies below the frame, so its offset is negative.
    mutating func reserve(_ size: Int) -> Int {
        scratch += max(size, 8).roundedUp(to: 16)
        return -scratch
    }
}

extension CallPlan {
    var usesVectorArguments: Bool {
        arguments.contains { argument in
            argument.leaves.contains { leaf in
                guard case .direct(let components) = leaf.passing else { return false }
                return components.contains { if case .vector = $0.place { true } else { false } }
            }
        }
    }

    var usesVectorResults: Bool {
        guard case .registers(let components) = result.form else { return false }
        return components.contains { if case .vector = $0.place { true } else { false } }
    }
}
