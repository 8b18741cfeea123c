import CHotpatchElf
import HotpatchELF
import HotpatchSymbols

/// A global or static variable whose initial value an edit has changed, or how it comes to it.
package enum ConstantChange: Hashable, Sendable {
    /// A constant that lies in the program as it is, without references: these bytes in the living process make it new.
    case store(name: String, old: [UInt8], new: [UInt8])
    /// Likewise a constant of C or C++ with references: tables of texts, of functions.
    case relink(name: String)
    /// A constant that only its file can name is larger or smaller: who uses it gets another one.
    case resized(name: String)
    /// It keeps the value that it has in the process.
    case kept(name: String, reason: String)
    /// What initialises it at its first use has changed. Only a `let` may be given the new value; nil where that is not known.
    case lazy(name: String, initialiser: String, isLet: Bool?)
    /// New code cannot use what the process has.
    case impossible(name: String, reason: String)

    /// - Parameters:
    ///   - constants: the `let`s of both objects, as DWARF tells; nil where nothing is known of them.
    ///   - renamed: the name that something of the new object has in the old one.
    package static func all(
        old: ObjectGraph, new: ObjectGraph, constants: Set<String>?,
        renamed: @escaping (String) -> String = { $0 }
    ) -> [ConstantChange] {
        var reader = ConstantReader(old, new, constants, renamed)
        return reader.changes()
    }
}

private struct ConstantReader {
    let old: ObjectGraph
    let new: ObjectGraph
    let constants: Set<String>?
    private var comparison: GraphComparison

    init(
        _ old: ObjectGraph, _ new: ObjectGraph, _ constants: Set<String>?, _ renamed: @escaping (String) -> String
    ) {
        self.old = old
        self.new = new
        self.constants = constants
        comparison = GraphComparison(old, new)
        comparison.rename(renamed)
    }

    mutating func changes() -> [ConstantChange] {
        let (before, after) = (Self.variables(old), Self.variables(new))
        let (lazyBefore, lazyAfter) = (Self.initialisers(old), Self.initialisers(new))
        var result: [ConstantChange] = []
        for (name, piece) in after.sorted(by: { $0.value < $1.value }) {
            guard let former = before[name] else { continue }
            switch (lazyBefore[name], lazyAfter[name]) {
            case (let left?, let right?):
                guard !areEqual(left, right) else { continue }
                result.append(
                    .lazy(
                        name: name, initialiser: new.pieces[right].name, isLet: constants.map { $0.contains(name) }))
            case (nil, _?):
                result.append(
                    .impossible(
                        name: name, reason: "it is initialised at its first use now, and was there from the start"))
            case (_?, nil):
                result.append(
                    .impossible(
                        name: name, reason: "it was initialised at its first use, and is there from the start now"))
            case (nil, nil):
                if let change = compare(name, former, piece) { result.append(change) }
            }
        }
        return result
    }

    private func compare(_ name: String, _ before: Int, _ after: Int) -> ConstantChange? {
        let sections = (old.object.sections[old.pieces[before].section], new.object.sections[new.pieces[after].section])
        if !sections.0.isWritable, sections.1.isWritable {
            return .impossible(
                name: name, reason: "it was a constant, which lies where nothing can be written, and is a variable now")
        }
        // Without what lies between it and the next.
        let bytes = (Self.contents(of: before, in: old), Self.contents(of: after, in: new))
        let references = (old.pieces[before].references, new.pieces[after].references)
        let isConstant = sections.0.isConstant && sections.1.isConstant
        if bytes.0.count != bytes.1.count, old.isOwnConstant(before), new.isOwnConstant(after) {
            return .resized(name: name)
        }
        if references.0.isEmpty, references.1.isEmpty {
            if bytes.0 == bytes.1 { return nil }
            if sections.0.isWritable || sections.1.isWritable { return .kept(name: name, reason: "it is a variable") }
            if bytes.0.count != bytes.1.count { return .kept(name: name, reason: "its size has changed") }
            return .store(name: name, old: bytes.0, new: bytes.1)
        }
        var comparison = comparison
        if comparison.areEqual(before, after) { return nil }
        let isTable = isConstant && !name.hasPrefix("$") && bytes.0.count == bytes.1.count
        let isSimple = new.pieces[after].references.allSatisfy {
            $0.row.subject == .symbol && $0.row.expression == .absolute && $0.row.byteCount == GotSlot.size
        }
        return isTable && isSimple ? .relink(name: name) : .kept(name: name, reason: "it holds references")
    }

    private static func contents(of piece: Int, in graph: ObjectGraph) -> [UInt8] {
        let size = graph.size(of: piece)
        return Array(graph.bytes(of: piece).prefix(size > 0 ? size : Int.max))
    }

    /// Variables by their symbols, and the pieces that they are.
    private static func variables(_ graph: ObjectGraph) -> [String: Int] {
        var result: [String: Int] = [:]
        for (index, symbol) in graph.object.symbols.enumerated() where Int32(symbol.type) == STT_OBJECT {
            let name = symbol.name
            let isSwift = name.hasPrefix("$s") || name.hasPrefix("$S")
            guard isSwift ? name.hasSuffix("vp") || name.hasSuffix("vpZ") : isOfC(name),
                let piece = graph.pieceOfSymbol[index],
                result[name] == nil
            else { continue }
            result[name] = piece
        }
        return result
    }

    /// Not what compilers make: tables of classes, strings, numbered statics, which another may have the number of.
    private static func isOfC(_ name: String) -> Bool {
        !SymbolKind(name, inSwift: false).isAnonymous && !name.hasPrefix("_ZT") && !name.hasPrefix("_ZGV")
            && !name.hasPrefix("__")
            && !name.hasPrefix("l_") && !SymbolKind.hasNumber(name) && !name.contains(" ")
    }

    /// The functions that initialise variables at their first use: a variable's addressor (`vau`) asks for its function with a token
    /// (`Wz`).
    private static func initialisers(_ graph: ObjectGraph) -> [String: Int] {
        var result: [String: Int] = [:]
        for piece in graph.pieces where piece.isFunction && piece.name.hasSuffix("vau") {
            var (isLazy, function, variable): (Bool, Int?, String?) = (false, nil, nil)
            for reference in piece.references {
                guard case .piece(let target, _) = reference.target else { continue }
                let name = graph.pieces[target].name
                if name.hasSuffix("Wz") { isLazy = true }
                if name.hasSuffix("WZ") { function = target }
                if name.hasSuffix("vp") || name.hasSuffix("vpZ") { variable = name }
            }
            if isLazy, let function, let variable { result[variable] = function }
        }
        return result
    }

    /// Whether two initialisers do the same, with the closures that they call.
    private mutating func areEqual(_ before: Int, _ after: Int) -> Bool {
        guard comparison.areEqual(before, after) else { return false }
        let closures = (Self.closures(old, before), Self.closures(new, after))
        guard closures.0.count == closures.1.count else { return false }
        return zip(closures.0, closures.1).allSatisfy { comparison.areEqual($0, $1) }
    }

    /// What a function calls of its own closures, and these of theirs.
    private static func closures(_ graph: ObjectGraph, _ function: Int) -> [Int] {
        var (result, next) = ([Int](), [function])
        var seen: Set<Int> = [function]
        while let piece = next.popLast() {
            for reference in graph.pieces[piece].references {
                guard case .piece(let target, _) = reference.target, graph.pieces[target].isFunction,
                    graph.pieces[target].name.contains("U"),
                    graph.pieces[target].name.hasSuffix("_") || graph.pieces[target].name.hasSuffix("TA"),
                    seen.insert(target).inserted
                else { continue }
                result.append(target)
                next.append(target)
            }
        }
        return result
    }
}

extension ObjectFile.Section {
    /// What the loader writes into and nobody after it is a constant, too.
    var isConstant: Bool { !isThreadLocal && (!isWritable || name.hasPrefix(".data.rel.ro")) }
}

extension ObjectGraph {
    /// Whether a piece is a constant of C or C++ that no other file can name.
    func isOwnConstant(_ piece: Int) -> Bool {
        !pieces[piece].isFunction && object.sections[pieces[piece].section].isConstant
            && pieces[piece].symbols.allSatisfy {
                object.symbols[$0].binding == .local && !object.symbols[$0].name.hasPrefix("$")
            }
    }
}
