/// Where something lies in the frame of an adapter (CPatch/Call/include/hp_call.h): bytes from its start.
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
