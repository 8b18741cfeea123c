import CHotpatchElf
import HotpatchSymbols

/// Which static variables of C functions, functions inside functions, and lambdas of C++ are which of the baseline's.
///
/// gcc numbers them through the whole file (`calls.0`), clang those of one name in one function (`work.calls.1`): one that comes or goes
/// gives its number to another. Who uses it tells them apart: the function that it is of. Where a function has several of one name, their
/// order does, as long as none comes or goes.
struct NumberedNames: Sendable {
    /// Maps a name of the new object to its name in the process, where they differ or it is new.
    private(set) var names: [String: String]
    /// Lambdas of the baseline that none of the new object is, as people read them.
    let unmatchedLambdas: [String]

    /// - Parameter isAbsent: whether the process does not have what the baseline has under a name.
    /// - Throws: `LinkError` where nothing tells them apart.
    init(
        _ comparison: inout GraphComparison, _ interfaces: InterfaceComparison, isAbsent: (String) -> Bool
    ) throws {
        let lambdas = LambdaMatch(&comparison, interfaces, isAbsent: isAbsent)
        (names, unmatchedLambdas) = (lambdas.names, lambdas.unmatchedOld)
        try matchStatics(comparison.old, comparison.new, isAbsent)
    }

    private mutating func matchStatics(_ old: ObjectGraph, _ new: ObjectGraph, _ isAbsent: (String) -> Bool) throws {
        let before = Self.items(old).filter { !isAbsent($0.name) }
        let after = Self.items(new)
        guard !after.isEmpty else { return }
        var partners: [Int: Int] = [:]
        func pair(_ left: [Int], _ right: [Int]) throws {
            guard left.count == right.count else {
                throw Self.refused(before[left[0]].base, left.count, right.count, new.object.path)
            }
            for (left, right) in zip(left, right) { partners[right] = left }
        }
        func groups(_ items: [Item]) -> [Item.Key: [Int]] {
            Dictionary(grouping: items.indices) { Item.Key(base: items[$0].base, owners: items[$0].owners) }
        }
        let same = (groups(before), groups(after))
        for (key, right) in same.1 {
            if let left = same.0[key] { try pair(left, right) }
        }
        // Where an edit has given one another function that uses it, too.
        let taken = Set(partners.values)
        let (free, rest) = (
            before.indices.filter { !taken.contains($0) }, after.indices.filter { partners[$0] == nil }
        )
        for right in rest {
            func isAlike(_ left: Int, _ right: Int) -> Bool {
                before[left].base == after[right].base && !before[left].owners.isDisjoint(with: after[right].owners)
            }
            let left = free.filter { isAlike($0, right) }
            guard let first = left.first else { continue }
            try pair(left, rest.filter { isAlike(first, $0) })
        }
        for (index, item) in after.enumerated() {
            let name = partners[index].map { before[$0].name } ?? item.name + ClosureMatch.unmatchedMark
            guard name != item.name else { continue }
            if item.isThreadLocal {
                // Each thread has its own: the process has it under its number.
                if partners[index] == nil, !before.contains(where: { $0.name == item.name }) { continue }
                throw LinkError.unsupported(
                    path: new.object.path,
                    what:
                        "the edit gives another number to the thread-local variable \(item.base) of a function, which it is found by",
                    remedy: "Give the static variable that comes or goes another place, or restart.")
            }
            names[item.name] = name
        }
    }

    func renamed(_ name: String) -> String { names.isEmpty ? name : names[name] ?? name }

    private struct Item {
        var name: String
        /// Without the number.
        var base: String
        var number: Int
        /// The functions that use it.
        var owners: Set<String>
        var isThreadLocal: Bool

        struct Key: Hashable {
            var base: String
            var owners: Set<String>
        }
    }

    /// Ascending by number.
    private static func items(_ graph: ObjectGraph) -> [Item] {
        let candidates = graph.pieces.map { isNumbered($0, in: graph) }
        guard candidates.contains(true) else { return [] }
        var owners: [Int: Set<String>] = [:]
        for (index, piece) in graph.pieces.enumerated() where piece.isFunction && !piece.name.isEmpty {
            for case .piece(let target, _) in piece.references.lazy.map(\.target) where candidates[target] {
                if target != index { owners[target, default: []].insert(SymbolKind.withoutNumber(piece.name)) }
            }
        }
        return candidates.indices.filter { candidates[$0] }.map { index in
            let name = graph.pieces[index].name
            let base = SymbolKind.withoutNumber(name)
            return Item(
                name: name, base: base, number: Int(name.dropFirst(base.utf8.count + 1)) ?? 0,
                owners: owners[index] ?? [],
                isThreadLocal: graph.object.sections[graph.pieces[index].section].isThreadLocal)
        }.sorted { ($0.number, $0.name) < ($1.number, $1.name) }
    }

    /// Not constants, whose contents count, nothing that others can name, and not what initialises globals.
    private static func isNumbered(_ piece: ObjectGraph.Piece, in graph: ObjectGraph) -> Bool {
        guard !piece.name.isEmpty, !piece.kind.isAnonymous, !piece.kind.isUnstable, !piece.name.hasPrefix("$"),
            !piece.name.hasPrefix("__"), piece.symbols.allSatisfy({ graph.object.symbols[$0].binding == .local })
        else { return false }
        let hasNumber = SymbolKind.hasNumber(piece.name)
        return piece.isFunction ? hasNumber : hasNumber || piece.name.utf8.contains(UInt8(ascii: "."))
    }

    private static func refused(_ name: String, _ before: Int, _ after: Int, _ path: String) -> LinkError {
        .unsupported(
            path: path,
            what: "it had \(before) static variables called \(name) that the same functions use, and has \(after) now, "
                + "which only their order tells apart", remedy: "Give them different names, or restart.")
    }
}
