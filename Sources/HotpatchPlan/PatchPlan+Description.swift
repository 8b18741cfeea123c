import HotpatchMemory

/// What `--dry-run` prints: every byte that would change, with its assembly before and after, and all memory that is taken or released.
extension PatchPlan: CustomStringConvertible {
    package var description: String {
        let rare = [
            (thunks.count, "thunk"), (segments.count, "segment"), (callsBefore.count + callsAfter.count, "call"),
            (releases.count, "release"),
        ]
        let parts = [(writes.count, "write"), (stubs.count, "stub")] + rare.filter { $0.0 > 0 }
        var lines = ["plan for \(architecture): \(parts.map(count).joined(separator: ", "))"]
        for segment in segments { lines += text(of: segment) }
        for call in callsBefore { lines += text(of: call, "before") }
        if let ledger { lines.append(text(of: ledger)) }
        for stub in stubs { lines += text(of: stub) }
        for thunk in thunks { lines += text(of: thunk) }
        for copy in copies { lines += text(of: copy) }
        for phase in Phase.allCases { for write in self[phase] { lines += text(of: write, phase) } }
        for move in moves { lines.append("move \(move.from) -> \(move.to)") }
        for hazard in hazards { lines.append("keep clear \(hazard.lowerBound)..<\(hazard.upperBound)") }
        for call in callsAfter { lines += text(of: call, "after") }
        for release in releases { lines += text(of: release) }
        return lines.joined(separator: "\n")
    }

    private func text(of segment: Segment) -> [String] {
        let head = "segment \(segment.address), \(count(segment.size, "byte")), \(segment.kind)"
        let contents = segment.contents
        return [head]
            + (segment.kind == .text ? code(contents, at: segment.address) : rows(contents, at: segment.address))
    }

    private func text(of ledger: LedgerMapping) -> String {
        "ledger mapping \(ledger.range.lowerBound), \(count(ledger.range.upperBound - ledger.range.lowerBound, "byte"))"
            + (ledger.isShared ? ", stays" : "")
    }

    private func text(of release: Release) -> [String] {
        let size = release.range.upperBound - release.range.lowerBound
        var lines = ["release \(release.range.lowerBound), \(count(size, "byte"))"]
        switch release.effect {
        case .unmapped: lines[0] += ", unmapped"
        case .emptied(let word):
            lines[0] += ", emptied but for its first page"
            lines += rows(littleEndian(word), at: release.range.lowerBound)
        }
        if let call = release.call { lines.append("    if \(callsAfter[call].name) could be called") }
        return lines
    }

    /// Instructions, and the bytes behind them that are none.
    private func code(_ bytes: [UInt8], at address: Address) -> [String] {
        let instructions = architecture.disassemble(bytes, at: address)
        let read = instructions.reduce(0) { $0 + $1.bytes.count }
        return instructions.map(line) + rows(Array(bytes.dropFirst(read)), at: address + read)
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
        let head =
            "stub \(stub.address), \(count(stub.bytes.count, "byte")), slot \(stub.slot), original \(stub.originalAddress)"
        return [head] + code(Array(stub.bytes[..<offset]), at: stub.address)
            + code(Array(stub.bytes[offset...]), at: stub.address + offset)
    }

    private func text(of thunk: AsyncThunk) -> [String] {
        let head =
            "async thunk \(thunk.address), \(count(thunk.bytes.count, "byte")), allocates a context of \(thunk.contextSize) bytes, "
            + "enters \(thunk.replacement)"
        let code = code(thunk.code, at: thunk.address)
        return [head] + code
            + rows(Array(thunk.bytes.dropFirst(thunk.code.count)), at: thunk.address + thunk.code.count)
    }

    private func line(_ instruction: Instruction) -> String {
        "    \(instruction.address)  \(padded(instruction.bytes.hexadecimal(), 30))  \(instruction.text)"
    }

    private func text(of write: Write, _ phase: Phase) -> [String] {
        let head = "\(write.kind) \(write.address), \(count(write.bytes.count, "byte")), \(phase.noun)"
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

extension PatchPlan.Phase {
    /// What one write is of.
    fileprivate var noun: String {
        switch self {
        case .generation: "generation"
        case .committer: "committer"
        case .publication: "publication"
        case .pointers: "pointer"
        case .slots: "slot"
        case .data: "data"
        case .hops: "hop"
        case .entries: "entry"
        case .restored: "restored"
        case .states: "state"
        }
    }
}
