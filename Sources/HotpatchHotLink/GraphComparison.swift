import HotpatchPlan

/// Compares the pieces of two objects that were compiled from one source file before and after an edit.
///
/// What is equal does the same: the same code, with references to things of the same name, or where they have no name, of equal contents.
struct GraphComparison {
    let old: ObjectGraph
    let new: ObjectGraph
    /// The name that something of the new object has in the process; where it is another than its own.
    var renamed: (String) -> String = { $0 }
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
        renamed = names
        known = [:]
    }

    /// Whether two pieces are the same but for where they lie.
    mutating func areEqual(_ before: Int, _ after: Int) -> Bool {
        let pair = Pair(old: before, new: after)
        if let result = known[pair] { return result }
        // What refers to itself is equal where the rest is.
        known[pair] = true
        let result = compare(before, after)
        known[pair] = result
        return result
    }

    private mutating func compare(_ before: Int, _ after: Int) -> Bool {
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
        return masked(old, before) == masked(new, after)
    }

    private mutating func areEqual(_ before: ObjectGraph.Target, _ after: ObjectGraph.Target) -> Bool {
        if case .piece(let left, let leftOffset) = before, case .piece(let right, let rightOffset) = after {
            let names = (old.pieces[left].name, new.pieces[right].name)
            if SymbolKind(names.0).isAnonymous, SymbolKind(names.1).isAnonymous {
                return leftOffset == rightOffset && areEqual(left, right)
            }
            guard leftOffset == rightOffset else { return false }
            let (kinds, name) = ((SymbolKind(names.0), SymbolKind(names.1)), renamed(names.1))
            // Of what the compiler numbers, the number says nothing.
            if kinds.0.isUnstable, kinds.1.isUnstable,
                SymbolKind.withoutNumber(names.0) != names.0 || SymbolKind.withoutNumber(name) != name
            {
                return SymbolKind.withoutNumber(names.0) == SymbolKind.withoutNumber(name) && areEqual(left, right)
            }
            return names.0 == name
        }
        return name(old, before) == renamed(name(new, after))
    }

    private func name(_ graph: ObjectGraph, _ target: ObjectGraph.Target) -> String {
        switch target {
        case .symbol(let index): graph.object.symbols[index].name
        case .piece(let index, let offset): offset == 0 ? graph.pieces[index].name : ""
        }
    }

    private func masked(_ graph: ObjectGraph, _ piece: Int) -> [UInt8] {
        var bytes = Array(graph.bytes(of: piece))
        for reference in graph.pieces[piece].references where reference.row.byteCount > 0 {
            // What a linker will write there.
            try? reference.row.write(0, into: &bytes, at: reference.offset)
        }
        return bytes
    }
}
