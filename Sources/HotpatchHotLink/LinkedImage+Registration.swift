import HotpatchMemory
import HotpatchPlan

/// What the process is told of linked code.
extension LinkedImage {
    /// Makes the unwinder know the code.
    struct FrameRegistration {
        var call: Call
        /// Makes it forget the code.
        var undo: Call
    }

    /// - Returns: nil where the process has no unwinder, which needs no tables, or the object has none.
    func frameRegistration() throws -> FrameRegistration? {
        guard let frames = layout.frames, linker.live.address(ofUndefined: "__register_frame") != nil else {
            return nil
        }
        let start = address(.constant, frames.offset).rawValue
        let undo = Call(try function("__deregister_frame"), [start], name: "__deregister_frame")
        let call = Call(
            try function("__register_frame"), [start], name: "__register_frame", undo: .call(undo))
        return FrameRegistration(call: call, undo: undo)
    }

    private func function(_ name: String) throws -> Address {
        guard let found = linker.live.address(ofUndefined: name) else {
            throw LinkError.undefined(path: linker.edits[0].new.object.path, names: [name])
        }
        return found
    }

    /// What else the process is told of.
    func registrations() throws -> [Call] {
        var calls: [Call] = []
        let functions = [
            "swift5_type_metadata": "swift_registerTypeMetadataRecords",
            "swift5_protocol_conformances": "swift_registerProtocolConformances",
            "swift5_protocols": "swift_registerProtocols",
        ]
        // In the segments' order: what is done and undone is the same each time.
        for block in layout.blocks.values.sorted(by: { $0.words < $1.words }) {
            let words = address(.constant, block.words).rawValue
            let forget = layout.routines[.forget].map {
                Call(address(.text, $0), [words], name: "pthread_key_delete")
            }
            calls.append(
                Call(
                    try function("pthread_key_create"),
                    [address(.data, block.key).rawValue, try function("free").rawValue],
                    name: "pthread_key_create", answer: .zero, undo: forget.map { .call($0) } ?? .impossible))
        }
        // The runtime keeps them for good.
        for (section, offset) in layout.records {
            let start = address(.constant, offset)
            let end = start + linker.records[section]!.count * 4
            calls.append(
                Call(
                    try function(functions[section]!), [start.rawValue, end.rawValue], name: functions[section]!,
                    undo: .impossible))
        }
        return calls
    }
}
