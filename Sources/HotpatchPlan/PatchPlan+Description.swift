import HotpatchMemory

/// What `--dry-run` prints: every byte that would change, with its assembly before and after.
extension PatchPlan: CustomStringConvertible {
    public var description: String {
        let parts =
            [(writes.count, "write"), (stubs.count, "stub")] + (thunks.isEmpty ? [] : [(thunks.count, "thunk")])
        var lines = ["plan for \(architecture): \(parts.map(count).joined(separator: ", "))"]
        for stub in stubs { lines += text(of: stub) }
        for thunk in thunks { lines += text(of: thunk) }
        for write in writes { lines += text(of: write) }
        for move in moves { lines.append("move \(move.from) -> \(move.to)") }
        for hazard in hazards { lines.append("keep clear \(hazard.lowerBound)..<\(hazard.upperBound)") }
        return lines.joined(separator: "\n")
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
        "    \(instruction.address)  \(padded(hex(instruction.bytes), 30))  \(instruction.text)"
    }

    private func text(of write: Write) -> [String] {
        let head = "\(write.kind) \(write.address), \(count(write.bytes.count, "byte"))"
        let old = write.expected.map { "    - \(line($0, of: write))" } ?? "    - not compared"
        return [head, old, "    + \(line(write.bytes, of: write))"]
    }

    private func line(_ bytes: [UInt8], of write: Write) -> String {
        switch write.kind {
        case .text: "\(padded(hex(bytes), 30))  \(architecture.text(bytes, at: write.address))"
        case .data where bytes.count == 8:
            "\(padded(hex(bytes), 30))  \(Address(bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }))"
        case .data: hex(bytes)
        }
    }

    private func count(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.utf8.count))
    }
}
