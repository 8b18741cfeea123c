import CPatchCall

/// Is told of the calls of an adapter, on the threads that make them. A call's arguments and its result lie at the addresses given,
/// as values of the function type's parameters and of its result, while it is told of them.
package protocol CallObserver: AnyObject, Sendable {
    /// - Returns: what the call will be known by.
    func callBegan(_ arguments: [UnsafeRawPointer]) -> Int
    func call(_ call: Int, returned result: UnsafeRawPointer)
    func call(_ call: Int, threw error: any Error)
}

enum ObservedEvent: Int32 {
    case call, returned, threw
}

/// An observer, and where the frame of an adapter has what it is told. An adapter holds it.
final class Observation: Sendable {
    private let observer: any CallObserver
    /// Where pointers lie, from the start of the frame.
    private let arguments: [Int]
    private let result: Int

    init(_ observer: any CallObserver, plan: CallPlan) {
        self.observer = observer
        let layout = FrameLayout(plan.architecture)
        let scratch = CallProgram(plan, .observedReplacement).scratch
        arguments = plan.arguments.map { layout.outgoing($0.abstract, scratch: scratch) }
        result = layout.outgoing(plan.result.abstract, scratch: scratch)
    }

    /// For an adapter to take over.
    func retained() -> UnsafeMutableRawPointer { Unmanaged.passRetained(self).toOpaque() }

    /// An hp_call_observe.
    static var function: UnsafeRawPointer {
        let function: @convention(c) (UnsafeMutablePointer<UInt8>, Int32) -> Void = { frame, event in
            let frame = UnsafeMutableRawPointer(frame)
            let layout = FrameLayout(.current)
            let adapter = frame.load(fromByteOffset: layout.adapter, as: UnsafePointer<hp_call_adapter>.self)
            guard let observer = adapter.pointee.observer, let event = ObservedEvent(rawValue: event) else { return }
            Unmanaged<Observation>.fromOpaque(observer)._withUnsafeGuaranteedRef { $0.tell(event, frame, layout) }
        }
        return unsafeBitCast(function, to: UnsafeRawPointer.self)
    }

    private func tell(_ event: ObservedEvent, _ frame: UnsafeMutableRawPointer, _ layout: FrameLayout) {
        func pointer(_ offset: Int) -> UnsafeRawPointer {
            frame.load(fromByteOffset: offset, as: UnsafeRawPointer.self)
        }
        let call = frame + layout.call
        switch event {
        case .call: call.storeBytes(of: observer.callBegan(arguments.map(pointer)), as: Int.self)
        case .returned: observer.call(call.load(as: Int.self), returned: pointer(result))
        case .threw:
            let error = (frame + layout.error).assumingMemoryBound(to: (any Error).self)
            observer.call(call.load(as: Int.self), threw: error.pointee)
        }
    }
}

/// An adapter to a closure, without code of its own.
package struct CallAdapter: @unchecked Sendable {
    /// What a call runs.
    package let destination: hp_call_destination
    private let object: AnyObject

    /// - Parameter adapter: its owner's reference is taken over.
    init(_ adapter: UnsafeMutablePointer<hp_call_adapter>) {
        destination = hp_call_adapter_destination(adapter)
        object = Unmanaged<AnyObject>.fromOpaque(adapter).takeRetainedValue()
    }
}
