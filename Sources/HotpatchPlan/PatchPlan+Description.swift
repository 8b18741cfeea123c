import HotpatchMemory

/// What `--dry-run` prints: every byte that would change, with its assembly before and after.
extension PatchPlan: CustomStringConvertible {
    package var description: String {
        let rare = [
            (thunks.count, "thunk"), (segments.count, "segment"), (callsBefore.count + callsAfter.count, "call"),
        ]
        let parts = [(writes.count, "write"), (stubs.count, "stub")] + rare.filter { $0.0 > 0 }
        var lines = ["plan for \(architecture): \(parts.map(count).joined(separator: ", "))"]
        for segment in segments { lines += text(of: segment) }
        for call in callsBefore { lines += text(of: call, "before") }
        for stub in stubs { lines += text(of: stub) }
        for thunk in thunks { lines += text(of: thunk) }
        for copy in copies { lines += text(of: copy) }
        for write in writes { lines += text(of: write) }
        for move in moves { lines.append("move \(move.from) -> \(move.to)") }
        for hazard in hazards { lines.append("keep clear \(hazard.lowerBound)..<\(hazard.upperBound)") }
        for call in callsAfter { lines += text(of: call, "after") }
        return lines.joined(separator: "\n")
    }

    private func text(of segment: Segment) -> [String] {
        let head = "segment \(segment.address), \(count(segment.size, "byte")), \(segment.kind)"
        guard segment.kind == .text else { return [head] + rows(segment.contents, at: segment.address) }
        let code = architecture.disassemble(segment.contents, at: segment.address)
        let read = code.reduce(0) { $0 + $1.bytes.count }
        return [head] + code.map(line) + rows(Array(segment.contents.dropFirst(read)), at: segment.address + read)
    }

    private func text(of call: Call, _ moment: String) -> [String] {
        let arguments = call.arguments.map { Address($0).description }.joined(separator: ", ")
        var lines = ["call \(moment): \(call.name) at \(call.function), with (\(arguments))"]
        switch call.answer {
        case .ignored: break
        case .zero: lines.append("    must return 0")
        case .stored(let place): lines.append("    its result is stored at \(place)")
        }
        switch call.undo {
        case .nothing: break
        case .call(let undo): lines.append("    undone by \(undo.name) at \(undo.function)")
        case .impossible: lines.append("    cannot be undone")
        }
        return lines
    }

    private func text(of copy: Copy) -> [String] {
        ["\(copy.purpose.rawValue) \(copy.address), \(count(copy.bytes.count, "byte"))"]
            + rows(copy.bytes, at: copy.address)
    }

    private func rows(_ bytes: [UInt8], at address: Address) -> [String] {
        stride(from: 0, to: bytes.count, by: 16).map {
            "    \(address + $0)  \(bytes[$0..<min($0 + 16, bytes.count)].hexadecimal())"
        }
    }

    private func text(of stub: StubLayout) -> [String] {
        let offset = min(max(0, stub.originalAddress - stub.address), stub.bytes.count)
        let parts = [Array(stub.bytes[..<offset]), Array(stub.bytes[offset...])]
        let instructions =
            architecture.disassemble(parts[0], at: stub.address)
            + architecture.disassemble(parts[1], at: stub.originalAddress)
        let head =
            "stub \(stub.address), \(count(stub.bytes.count, "byte")), slot \(stub.slot), original \(stub.originalAddress)"
        return [head] + instructions.map(line)
    }

    private func text(of thunk: AsyncThunk) -> [String] {
        let head =
            "async thunk \(thunk.address), \(count(thunk.bytes.count, "byte")), allocates a context of \(thunk.contextSize) bytes, "
            + "enters \(thunk.replacement)"
        return [head] + architecture.disassemble(thunk.code, at: thunk.address).map(line)
    }

    private func line(_ instruction: Instruction) -> String {
        "    \(instruction.address)  \(padded(instruction.bytes.hexadecimal(), 30))  \(instruction.text)"
    }

    private func text(of write: Write) -> [String] {
        let head = "\(write.kind) \(write.address), \(count(write.bytes.count, "byte"))"
        let old = write.expected.map { "    - \(line($0, of: write))" } ?? "    - not compared"
        return [head, old, "    + \(line(write.bytes, of: write))"]
    }

    private func line(_ bytes: [UInt8], of write: Write) -> String {
        switch write.kind {
        case .text: "\(padded(bytes.hexadecimal(), 30))  \(architecture.text(bytes, at: write.address))"
        case .data where bytes.count == 8, .constant where bytes.count == 8:
            "\(padded(bytes.hexadecimal(), 30))  \(Address(bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }))"
        case .data, .constant: bytes.hexadecimal()
        }
    }

    private func count(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.utf8.count))
    }
}
