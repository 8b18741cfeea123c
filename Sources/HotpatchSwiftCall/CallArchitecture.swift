/// The registers of Swift's calling convention on a machine, in the order in which they are used, and where the frame of an
/// adapter keeps them (CPatch/Call/include/hp_call.h). A plan for either can be computed on any.
public enum CallArchitecture: String, Sendable, CaseIterable {
    case x8664 = "x86_64"
    case arm64

    #if arch(x86_64)
        public static let current = x8664
    #else
        public static let current = arm64
    #endif

    /// General registers that hold arguments.
    var generals: [String] {
        switch self {
        case .x8664: ["rdi", "rsi", "rdx", "rcx", "r8", "r9"]
        case .arm64: ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"]
        }
    }

    /// General registers that hold results; those of async functions come as arguments.
    var resultGenerals: [String] {
        switch self {
        case .x8664: ["rax", "rdx", "rcx", "r8"]
        case .arm64: ["x0", "x1", "x2", "x3"]
        }
    }

    /// Vector registers are numbered from 0, for arguments and for results.
    var vector: String { self == .x8664 ? "xmm" : "v" }
    var context: String { self == .x8664 ? "r13" : "x20" }
    var indirectResult: String { self == .x8664 ? "rax" : "x8" }

    var generalCount: Int { self == .x8664 ? 6 : 8 }
    static let vectorCount = 8

    /// Bytes that an async function takes off the stack for so many bytes of arguments. On x86_64 they and the return address
    /// are a multiple of 16 (LLVM, X86TargetLowering::GetAlignedArgumentStackSize), on arm64 they are.
    func popped(_ stackSize: Int) -> Int {
        self == .x8664 ? (stackSize + 8).roundedUp(to: 16) - 8 : stackSize.roundedUp(to: 16)
    }
}

/// Where something lies in the frame of an adapter: bytes from its start.
struct FrameLayout {
    let generalCount: Int
    /// Where the caller's arguments on the stack were copied to, of an async function.
    var copiedStack: Int?

    init(_ architecture: CallArchitecture) { generalCount = architecture.generalCount }

    private func general(_ index: Int) -> Int { 8 * index }
    private var contextOffset: Int { 8 * generalCount }
    private var indirectOffset: Int { contextOffset + 8 }
    private func vector(_ index: Int) -> Int { indirectOffset + 8 + 16 * index }

    /// Registers, as the caller left them, and then as the target will find them.
    var registersSize: Int { vector(CallArchitecture.vectorCount) }
    /// Four general and four vector registers.
    var resultOffset: Int { 2 * registersSize }
    /// After the results, the adapter, an error, a word of an observer, and one that is spare.
    var size: Int { adapter + 32 }
    var adapter: Int { resultOffset + 4 * 8 + 4 * 16 }
    var error: Int { adapter + 8 }
    var call: Int { adapter + 16 }

    private func register(_ place: Place) -> Int? {
        switch place {
        case .general(let index): general(index)
        case .vector(let index): vector(index)
        case .context: contextOffset
        case .indirectResult: indirectOffset
        case .stack: nil
        }
    }

    /// What the caller passed. Its stack lies above the frame, behind the saved frame pointer and the return address.
    func incoming(_ place: Place) -> Int {
        if case .stack(let offset) = place { return (copiedStack ?? size + 16) + offset }
        return register(place) ?? 0
    }

    /// What the target will be passed: its stack is at the lower end of the scratch space below the frame.
    func outgoing(_ place: Place, scratch: Int) -> Int {
        if case .stack(let offset) = place { return offset - scratch }
        return registersSize + (register(place) ?? 0)
    }

    func result(_ place: Place) -> Int {
        switch place {
        case .vector(let index): resultOffset + 32 + 16 * index
        case .general(let index): resultOffset + 8 * index
        case .context, .indirectResult, .stack: resultOffset
        }
    }
}

/// Where a function finds one argument or leaves one result.
enum Place: Hashable, Sendable {
    case general(Int)
    case vector(Int)
    /// Bytes from where the arguments on the stack begin.
    case stack(Int)
    /// self, or the context of a closure.
    case context
    /// Where an indirect result goes.
    case indirectResult
}

/// Hands out places in the order of arguments (LLVM, CCState; the same for results).
struct PlaceAllocator {
    let architecture: CallArchitecture
    private var generals = 0
    private var vectors = 0
    private(set) var stackSize = 0
    private var hasVectorOnStack = false

    /// Whether an async function takes as much off the stack as its callers put there. On x86_64 callers round what has vectors in it
    /// up to 16 bytes first, and functions do not (LLVM, X86TargetLowering::LowerCall and LowerFormalArguments).
    var popsWhatIsPut: Bool {
        !hasVectorOnStack || architecture.popped(stackSize) == architecture.popped(stackSize.roundedUp(to: 16))
    }

    init(_ architecture: CallArchitecture) { self.architecture = architecture }

    mutating func place(_ kind: Lowering.Kind = .integer) -> Place {
        if kind.isVector {
            if vectors < CallArchitecture.vectorCount {
                vectors += 1
                return .vector(vectors - 1)
            }
        } else if generals < architecture.generalCount {
            generals += 1
            return .general(generals - 1)
        }
        let size = kind == .vector ? 16 : 8
        let offset = stackSize.roundedUp(to: size)
        stackSize = offset + size
        if kind == .vector { hasVectorOnStack = true }
        return .stack(offset)
    }
}
