extension TypeTable {
    /// Any type of a value that is stored or passed; not a closure.
    /// - Parameters:
    ///   - depth: how many more levels there may be.
    ///   - vectorSize: the largest vector that may be in it, in bytes.
    func value(_ dice: inout Dice, depth: Int, vectorSize: Int) -> ValueType {
        for _ in 0..<20 {
            let type = value(&dice, depth: depth)
            if type.vectorSize <= vectorSize { return type }
        }
        return int
    }

    /// What may be the payload of an enum. The compiler (6.3, -Onone) copies those with vectors of 16 bytes from places that are not
    /// aligned for that.
    func payload(_ dice: inout Dice, depth: Int) -> ValueType { value(&dice, depth: depth, vectorSize: 8) }

    func value(_ dice: inout Dice, depth: Int) -> ValueType {
        guard depth > 0 else {
            return !nominals.isEmpty && dice.percent(25) ? dice.pick(nominals) : leaf(&dice)
        }
        switch dice.weighted([(10, 0), (8, 1), (5, 2), (5, 3), (3, 4), (3, 5), (1, 6)]) {
        case 0: return leaf(&dice)
        case 1: return nominals.isEmpty ? leaf(&dice) : dice.pick(nominals)
        case 2: return optional(payload(&dice, depth: depth - 1))
        case 3: return tuple(&dice, depth: depth - 1)
        case 4: return collection(&dice, depth: depth - 1)
        case 5: return generic(&dice, depth: depth - 1)
        default: return array(of: closure(&dice, depth: depth - 1))
        }
    }

    func optional(_ wrapped: ValueType) -> ValueType {
        var spelling = wrapped.spelling
        if wrapped.closure != nil || spelling.hasPrefix("any ") { spelling = "(\(spelling))" }
        return type(
            spelling + "?", form: .optional(wrapped),
            make: "choose(n &+ 5, 3) == 0 ? nil : .some(\(wrapped.made("n")))",
            describe: "x.map { \(wrapped.described("$0")) + \"?\" } ?? \"nil\"", parts: [wrapped],
            isTakable: wrapped.isTakable)
    }

    func tuple(of elements: [ValueType], isLabelled: Bool = false) -> ValueType {
        // If there are several, one has no label.
        let spellings = elements.enumerated().map { isLabelled && $0 != 1 ? "p\($0): \($1.spelling)" : $1.spelling }
        return type(
            "(" + spellings.joined(separator: ", ") + ")", form: .tuple(elements),
            make: "(" + elements.enumerated().map { $1.made("n &+ \($0 * 7)") }.joined(separator: ", ") + ")",
            describe: "join(" + elements.enumerated().map { $1.described("x.\($0)") }.joined(separator: ", ") + ")",
            parts: elements, isTakable: elements.allSatisfy(\.isTakable))
    }

    private func tuple(_ dice: inout Dice, depth: Int) -> ValueType {
        let count = dice.weighted([(5, 2), (3, 3), (1, 5)])
        return tuple(of: (0..<count).map { _ in takable(&dice, depth: depth) }, isLabelled: dice.percent(25))
    }

    /// A type that may be in a tuple.
    private func takable(_ dice: inout Dice, depth: Int) -> ValueType {
        let type = value(&dice, depth: depth)
        return type.isTakable ? type : int
    }

    func array(of element: ValueType) -> ValueType {
        type(
            "[\(element.spelling)]", make: "(0..<choose(n, 3)).map { i in \(element.made("n &+ i")) }",
            describe: "\"[\" + x.map { \(element.described("$0")) }.joined(separator: \",\") + \"]\"", parts: [element])
    }

    private func collection(_ dice: inout Dice, depth: Int) -> ValueType {
        let element = value(&dice, depth: depth)
        switch dice.below(5) {
        case 0:
            return type(
                "[String: \(element.spelling)]", make: "[makeString(n): \(element.made("n"))]",
                describe: "join(x.first!.key, \(element.described("x.first!.value")))", parts: [element])
        case 1:
            return type(
                "Set<String>", make: "[makeString(n), makeString(n &+ 1)]",
                describe: "x.sorted().joined(separator: \",\")")
        case 2:
            return type(
                "ArraySlice<\(element.spelling)>", make: "[\(element.made("n")), \(element.made("n &+ 1"))][1...]",
                describe: element.described("x[x.startIndex]"), parts: [element])
        default: return array(of: element)
        }
    }

    private func generic(_ dice: inout Dice, depth: Int) -> ValueType {
        let first = value(&dice, depth: depth)
        let a = first.spelling
        switch dice.below(7) {
        case 0, 1:
            return type(
                "Box<\(a)>", make: "Box(\(first.made("n")))", describe: "\"box \" + " + first.described("x.value"),
                parts: [first], isTakable: first.isTakable)
        case 2:
            return type(
                "Cell<\(a)>", make: "Cell(\(first.made("n")), n)",
                describe: "join(\(first.described("x.value")), x.token.text)", parts: [first])
        case 3 where isNewest:
            return type(
                "InlineArray<3, \(a)>", make: "[\(first.made("n")), \(first.made("n &+ 1")), \(first.made("n &+ 2"))]",
                describe: "join(\((0..<3).map { first.described("x[\($0)]") }.joined(separator: ", ")))",
                parts: [first], isTakable: first.isTakable)
        case 4:
            let second = value(&dice, depth: depth)
            let name = "Outer<\(a)>.Inner<\(second.spelling)>"
            return type(
                name, make: "\(name)(\(first.made("n")), \(second.made("n &+ 1")))",
                describe: "join(\(first.described("x.outer")), \(second.described("x.inner")))",
                parts: [first, second], isTakable: first.isTakable && second.isTakable)
        default: break
        }
        let isPair = first.vectorSize > 8 || dice.percent(50)
        let second = isPair ? value(&dice, depth: depth) : payload(&dice, depth: depth)
        let b = second.spelling
        let isTakable = first.isTakable && second.isTakable
        if isPair {
            return type(
                "Pair<\(a), \(b)>", make: "Pair(\(first.made("n")), \(second.made("n &+ 1")))",
                describe: "join(\(first.described("x.first")), \(second.described("x.second")))",
                parts: [first, second], isTakable: isTakable)
        }
        return type(
            "Either<\(a), \(b)>",
            make: """
                switch choose(n, 3) { case 0: return .first(\(first.made("n"))); \
                case 1: return .second(\(second.made("n"))); default: return .neither }
                """,
            describe: """
                switch x { case .first(let y): return "first " + \(first.described("y")); \
                case .second(let y): return "second " + \(second.described("y")); case .neither: return "neither" }
                """, parts: [first, second], isTakable: isTakable)
    }

    // MARK: Closures

    func closure(_ dice: inout Dice, depth: Int, isAsync: Bool = false) -> ValueType {
        let count = dice.weighted([(2, 0), (5, 1), (4, 2), (2, 3), (1, 7)])
        let parameters = (0..<count).map { _ in
            Closure.Parameter(type: value(&dice, depth: max(0, depth - 1)), isInout: dice.percent(15))
        }
        let result = dice.percent(15) ? void : value(&dice, depth: max(0, depth - 1))
        return closure(
            Closure(parameters: parameters, result: result, isThrowing: dice.percent(30), isAsync: isAsync))
    }

    func closure(_ closure: Closure) -> ValueType {
        type(
            closure.spelling, form: .closure(closure), make: "return " + closure.literal("n"),
            describe: closure.description,
            parts: closure.parts)
    }

    var void: ValueType { type("Void", form: .tuple([]), make: "()", describe: "\"void\"") }
}
