import HotpatchPlan

/// Compares the pieces of two objects that were compiled from one source file before and after an edit.
///
/// What is equal does the same: the same code, with references to things of the same name, or where they have no name, of equal contents.
struct GraphComparison {
    let old: ObjectGraph
    let new: ObjectGraph
    /// The name that something of the new object has in the process; where it is another than its own.
    private var renamed: (String) -> String = { $0 }
    /// What is compared of a name.
    private var masked: (String) -> String = { $0 }
    private var isMasking = false
    private var depth = 0
    private static let deepest = 500
    private var known: [Pair: Bool] = [:]

    private struct Pair: Hashable {
        var old: Int
        var new: Int
    }

    init(_ old: ObjectGraph, _ new: ObjectGraph) {
        self.old = old
        self.new = new
    }

    /// Takes other names from now on.
    mutating func rename(_ names: @escaping (String) -> String) {
        (renamed, masked, isMasking, known) = (names, { $0 }, false, [:])
    }

    /// Compares only what a function leaves of each name, from now on.
    mutating func mask(_ names: @escaping (String) -> String) {
        if isMasking { return }
        (masked, isMasking, known) = (names, true, [:])
    }

    /// Whether two pieces are the same but for where they lie.
    mutating func areEqual(_ before: Int, _ after: Int) -> Bool {
        let pair = Pair(old: before, new: after)
        if let result = known[pair] { return result }
        // No compiler nests constants so deeply.
        guard depth < Self.deepest else { return false }
        depth += 1
        defer { depth -= 1 }
        // What refers to itself is equal where the rest is.
        known[pair] = true
        let result = compare(before, after)
        known[pair] = result
        return result
    }

    private mutating func compare(_ before: Int, _ after: Int) -> Bool {
        haveEqualReferences(before, after)
            && (old.bytes(of: before) == new.bytes(of: after) || linkless(old, before) == linkless(new, after))
    }

    /// Whether two pieces refer to the same, at the same places.
    mutating func haveEqualReferences(_ before: Int, _ after: Int) -> Bool {
        let (left, right) = (old.pieces[before], new.pieces[after])
        let (leftSection, rightSection) = (old.object.sections[left.section], new.object.sections[right.section])
        guard left.range.count == right.range.count, left.references.count == right.references.count,
            leftSection.isExecutable == rightSection.isExecutable, leftSection.isWritable == rightSection.isWritable
        else { return false }
        for (first, second) in zip(left.references, right.references) {
            guard first.offset == second.offset, first.row == second.row, first.addend == second.addend,
                areEqual(first.target, second.target)
            else { return false }
        }
        return true
    }

    private mutating func areEqual(_ before: ObjectGraph.Target, _ after: ObjectGraph.Target) -> Bool {
        if case .piece(let left, let leftOffset) = before, case .piece(let right, let rightOffset) = after {
            guard leftOffset == rightOffset else { return false }
            let kinds = (old.pieces[left].kind, new.pieces[right].kind)
            if kinds.0.isAnonymous, kinds.1.isAnonymous { return areEqual(left, right) }
            let (own, name) = (masked(old.pieces[left].name), masked(renamed(new.pieces[right].name)))
            // What the compiler numbers is not told apart by its number.
            if kinds.0.isUnstable, kinds.1.isUnstable, SymbolKind.hasNumber(own) || SymbolKind.hasNumber(name) {
                return SymbolKind.withoutNumber(own) == SymbolKind.withoutNumber(name) && areEqual(left, right)
            }
            return own == name
        }
        return masked(name(old, before)) == masked(renamed(name(new, after)))
    }

    private func name(_ graph: ObjectGraph, _ target: ObjectGraph.Target) -> String {
        switch target {
        case .symbol(let index): graph.object.symbols[index].name
        case .piece(let index, let offset): offset == 0 ? graph.pieces[index].name : ""
        }
    }

    /// The bytes without what a linker will write there.
    private func linkless(_ graph: ObjectGraph, _ piece: Int) -> [UInt8] {
        var bytes = Array(graph.bytes(of: piece))
        for reference in graph.pieces[piece].references where reference.row.byteCount > 0 {
            try? reference.row.write(0, into: &bytes, at: reference.offset)
        }
        return bytes
    }
}
