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
