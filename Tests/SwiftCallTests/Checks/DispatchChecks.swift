import CPatchCall
import CHotpatchVictims
import HotpatchTestSupport

// A call whose destination is looked up arrives with all that its caller put into registers.
public let dispatchChecks: [CallCheck] = ([16, 32, 64] as [Int32]).map { bytes in
    CallCheck(description: "a dispatched call with vectors of \(bytes) bytes") {
        guard let function = victim_takes_vectors(bytes) else {
            // This machine has no such registers.
            guard bytes > 16 else { throw TestFailure("no function takes vectors of 16 bytes") }
            return
        }
        try equal("\(victim_call_with_vectors(bytes, function))", "0", "lost by the function itself")
        let dispatcher = UnsafeMutablePointer<hp_call_dispatcher>.allocate(capacity: 1)
        dispatcher.initialize(
            to: hp_call_dispatcher(
                look_up: { _ in
                    victim_forget_vectors()
                    return hp_call_destination(code: nil, adapter: nil)
                }, original: function))
        guard let thunk = hp_call_make_dispatch_thunk(dispatcher) else { throw TestFailure("no thunk") }
        for _ in 0..<3 { try equal("\(victim_call_with_vectors(bytes, thunk))", "0", "lost by the dispatcher") }
    }
}
