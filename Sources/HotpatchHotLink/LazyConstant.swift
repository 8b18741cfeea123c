import HotpatchSymbols

/// A constant that is initialised at its first use, and whose initialiser an edit has changed.
///
/// All who read it ask its addressor (`vau`), which initialises it once, by a token of its own (`Wz`). So the constant of the new object
/// becomes another one than the process has: variable and token are placed anew, and the addressor, which is replaced with the other
/// functions of the edit, leads to it. Each reader has the new value from then on. It is made at the next use, by who uses it, and what
/// an earlier one was told stays true for as long as he looks at it.
///
/// That is done for values alone, and where making one again changes nothing else. An object would lose what it has become; who reads a
/// file, or asks for the time, would have another answer than the one that the program began with.
struct LazyConstant {
    let variable: String
    let initialiser: Int
    private let addressor: Int
    let token: String
    private let old: ObjectGraph
    private let new: ObjectGraph
    private let constants: Set<String>

    /// - Parameter constants: the variables of both objects that are constant.
    /// - Returns: nil where the new object has no such variable.
    init?(_ variable: String, old: ObjectGraph, new: ObjectGraph, constants: Set<String>) {
        guard let parts = Self.parts(of: variable, in: new) else { return nil }
        (self.variable, self.old, self.new, self.constants) = (variable, old, new, constants)
        (addressor, initialiser, token) = (parts.addressor, parts.initialiser, parts.token)
    }

    private static func parts(
        of variable: String, in graph: ObjectGraph
    ) -> (addressor: Int, initialiser: Int, token: String)? {
        for (index, piece) in graph.pieces.enumerated() where piece.isFunction && piece.name.hasSuffix("vau") {
            var (function, token, isOfVariable): (Int?, String?, Bool) = (nil, nil, false)
            for case .piece(let target, _) in piece.references.lazy.map(\.target) {
                let name = graph.pieces[target].name
                if name.hasSuffix("WZ") { function = target }
                if name.hasSuffix("Wz") { token = name }
                if name == variable { isOfVariable = true }
            }
            if isOfVariable, let function, let token { return (index, function, token) }
        }
        return nil
    }

    /// The variables of an object that are initialised at their first use, each with the function that does it.
    static func all(in graph: ObjectGraph) -> [(variable: String, initialiser: Int)] {
        graph.pieces.filter { $0.isFunction && $0.name.hasSuffix("vau") }.compactMap { addressor in
            var (variable, initialiser): (String?, Int?)
            for case .piece(let target, _) in addressor.references.lazy.map(\.target) {
                let name = graph.pieces[target].name
                if name.hasSuffix("WZ") { initialiser = target }
                if name.hasSuffix("vp") || name.hasSuffix("vpZ") { variable = name }
            }
            guard let variable, let initialiser else { return nil }
            return (variable, initialiser)
        }
    }

    /// The first of some variables that code of an object uses, by itself or by what it calls in the object.
    static func use(of variables: Set<String>, from function: Int, in graph: ObjectGraph) -> String? {
        var (seen, next): (Set<Int>, [Int]) = ([function], [function])
        while let index = next.popLast() {
            for case .piece(let target, _) in graph.pieces[index].references.lazy.map(\.target) {
                let piece = graph.pieces[target]
                if variables.contains(piece.name) { return piece.name }
                if piece.isFunction || piece.kind.isAnonymous, seen.insert(target).inserted { next.append(target) }
            }
        }
        return nil
    }

    /// The name of the function that all readers ask.
    var addressorName: String { new.pieces[addressor].name }

    /// Why the process keeps the value that it has, or would have had; nil where it can be made anew.
    var obstacle: String? {
        guard constants.contains(variable) else { return "it is a variable" }
        guard isValue else { return "it may hold references" }
        guard Self.isReadByAddressor(variable, in: old), Self.isReadByAddressor(variable, in: new) else {
            return "it is not only read by its accessor"
        }
        return effect.map { "what initialises it uses \(Demangling.demangle($0) ?? $0)" }
    }

    private static func isReadByAddressor(_ variable: String, in graph: ObjectGraph) -> Bool {
        guard let parts = parts(of: variable, in: graph) else { return false }
        return graph.pieces.enumerated().allSatisfy { index, piece in
            index == parts.addressor || index == parts.initialiser
                || !piece.references.contains { reference in
                    guard case .piece(let target, _) = reference.target else { return false }
                    return [variable, parts.token].contains(graph.pieces[target].name)
                }
        }
    }

    // MARK: Effects

    /// The first thing that the initialiser uses and that may do, or say, something else than the last time.
    private var effect: String? {
        var (seen, next): (Set<Int>, [Int]) = ([initialiser], [initialiser])
        while let index = next.popLast() {
            for reference in new.pieces[index].references {
                switch reference.target {
                case .symbol(let symbol):
                    let name = new.object.symbols[symbol].name
                    if !Self.isPure(name) { return name }
                case .piece(let target, _):
                    guard seen.insert(target).inserted else { continue }
                    let piece = new.pieces[target]
                    if piece.isFunction {
                        // Who asks for another constant has it initialised, as ever.
                        if !isAddressorOfConstant(target) { next.append(target) }
                    } else if piece.kind.isAnonymous {
                        next.append(target)
                    } else if new.object.sections[piece.section].isWritable, !isOwnState(piece.name) {
                        return piece.name
                    }
                }
            }
        }
        return nil
    }

    private func isAddressorOfConstant(_ index: Int) -> Bool {
        new.pieces[index].name.hasSuffix("vau")
            && new.pieces[index].references.contains { reference in
                guard case .piece(let target, _) = reference.target else { return false }
                return constants.contains(new.pieces[target].name)
            }
    }

    /// The variable itself, and what the runtime keeps of types.
    private func isOwnState(_ name: String) -> Bool {
        name == variable || constants.contains(name)
            || ["WL", "MD", "ML", "N", "Mf", "WP", "Mc", "Mn", "WV"].contains {
                name.hasPrefix("$s") && name.hasSuffix($0)
            }
    }

    /// Whether a name belongs to the standard library, and not to what asks the world outside, chance or the clock.
    private static func isPure(_ name: String) -> Bool {
        name.withBytes { name in
            guard !runtime.contains(where: { name.starts(with: $0) }) else { return true }
            guard name.starts(with: "$ss") || name.starts(with: "$sS"), !name.starts(with: "$sSc") else { return false }
            return !worldly.contains { name.firstIndex(of: $0) != nil }
        }
    }

    private static let runtime: [StaticString] = [
        "swift_retain", "swift_release", "swift_begin", "swift_end", "swift_bridgeObject", "swift_once", "swift_get",
        "swift_check", "swift_alloc",
        "swift_dealloc", "swift_init", "swift_slow", "swift_conforms", "swift_dynamicCast", "swift_isUnique",
        "swift_unexpected",
        "__swift_", "memcpy", "memmove", "memset",
    ]

    private static let worldly: [StaticString] = [
        "andom", "print", "readLine", "ommandLine", "shuffle", "Clock", "Hasher", "dump", "nsafe",
    ]

    // MARK: Types

    /// Whether the constant holds no references but those of texts, which are values all the same.
    private var isValue: Bool {
        let text = SwiftLayoutNames.text(variable)
        guard let colon = SwiftLayoutNames.firstRange(of: " : ", in: text, outsideOfBrackets: true) else {
            return false
        }
        let layout = SwiftLayout(new)
        let own = Dictionary(
            layout.types.map { (SwiftLayoutNames.type($0), $0) }, uniquingKeysWith: { first, _ in first })
        var known: Set<String> = []

        func isValue(_ type: Substring, _ depth: Int) -> Bool {
            guard depth < 16 else { return false }
            if let base = own[String(type)] {
                guard let fields = layout.fields[base], let nominal = layout.nominals[base], nominal.isValue,
                    !nominal.isGeneric
                else { return false }
                guard known.insert(base).inserted else { return true }
                return fields.fields.allSatisfy { field in
                    if field.type.isEmpty { return fields.ofEnum }
                    return !field.isIndirect && (field.typeText.map { isValue($0[...], depth + 1) } ?? false)
                }
            }
            if Self.values.contains(String(type)) { return true }
            if type.hasSuffix("?") { return isValue(type.dropLast(), depth + 1) }
            if type.hasPrefix("("), type.hasSuffix(")") {
                return Self.elements(of: type.dropFirst().dropLast()).allSatisfy { isValue($0, depth + 1) }
            }
            for name in ["Optional<", "Range<", "ClosedRange<"] where type.hasPrefix(name) && type.hasSuffix(">") {
                return isValue(type.dropFirst(name.count).dropLast(), depth + 1)
            }
            return false
        }
        return isValue(text[text.index(colon, offsetBy: 3)...], 0)
    }

    /// The elements of a tuple, without their labels.
    private static func elements(of list: Substring) -> [Substring] {
        var (result, start, depth) = ([Substring](), list.startIndex, 0)
        for index in list.indices {
            switch list[index] {
            case "(", "<", "[": depth += 1
            case ")", ">", "]": depth -= 1
            case "," where depth == 0:
                result.append(list[start..<index])
                start = list.index(after: index)
            default: break
            }
        }
        if start < list.endIndex { result.append(list[start...]) }
        return result.map { element in
            let element = element.drop { $0 == " " }
            guard let colon = element.firstIndex(of: ":"), !element[..<colon].contains(where: { "(<[".contains($0) })
            else { return element }
            return element[element.index(after: colon)...].drop { $0 == " " }
        }
    }

    private static let values: Set<String> = [
        "Int", "Int8", "Int16", "Int32", "Int64", "Int128", "UInt", "UInt8", "UInt16", "UInt32", "UInt64", "UInt128",
        "Bool", "Double", "Float", "Float16", "Float80", "Duration", "String", "Character", "StaticString",
        "Unicode.Scalar",
    ]
}
