/// Declares structs, enums and classes of random content.
extension TypeTable {
    enum NominalKind { case structure, enumeration, object }

    func nominal(_ dice: inout Dice, named name: String, kind: NominalKind? = nil) -> ValueType {
        let kind = kind ?? dice.weighted([(6, .structure), (5, .enumeration), (2, .object)])
        return switch kind {
        case .structure: structure(&dice, name)
        case .enumeration: enumeration(&dice, name)
        case .object: object(&dice, name)
        }
    }

    private func field(_ dice: inout Dice) -> ValueType {
        dice.percent(6) ? closure(&dice, depth: 0) : value(&dice, depth: dice.percent(35) ? 1 : 0)
    }

    private func payloadField(_ dice: inout Dice) -> ValueType {
        dice.percent(6) ? closure(&dice, depth: 0) : payload(&dice, depth: dice.percent(35) ? 1 : 0)
    }

    private func declared(
        _ name: String, _ head: String, body: String, parts: [ValueType], isTakable: Bool
    ) -> ValueType {
        type(
            name, make: "\(name)(make: n)", describe: "x.text", parts: parts, isTakable: isTakable,
            declaration: "\(head) {\n\(body)")
    }

    // MARK: Structs and classes

    private struct Fields {
        var declarations = ""
        var makes = ""
        var texts: [String] = []
        var parts: [ValueType] = []
        var isTakable = true

        mutating func add(_ type: ValueType, _ index: Int) {
            declarations += "    public var a\(index): \(type.spelling)\n"
            makes += "a\(index) = \(type.made("n &+ \(index * 3)")); "
            texts.append(type.described("a\(index)"))
            parts.append(type)
            if !type.isTakable { isTakable = false }
        }

        mutating func addReference(_ kind: String, _ index: Int) {
            declarations += "    public \(kind) var a\(index): Token\(kind == "weak" ? "?" : "")\n"
            makes += "a\(index) = kept(n &+ \(index)); "
            texts.append(kind == "weak" ? "a\(index)?.text ?? \"gone\"" : "a\(index).text")
            if kind == "weak" { isTakable = false }
        }

        var text: String {
            """
            \(declarations)    public init(make n: Int) { \(makes)}
                public var text: String { join(\(texts.joined(separator: ", "))) }

            """
        }
    }

    private func fields(_ dice: inout Dice, counts: [(Int, Int)]) -> Fields {
        var fields = Fields()
        let count = dice.weighted(counts)
        let reference: String? = dice.weighted([(84, nil), (7, "weak"), (5, "unowned"), (4, "unowned(unsafe)")])
        let place = dice.below(count + 1)
        for index in 0...count {
            if index == place {
                if let reference { fields.addReference(reference, index) }
            } else {
                fields.add(field(&dice), index)
            }
        }
        return fields
    }

    private func structure(_ dice: inout Dice, _ name: String) -> ValueType {
        let fields = fields(&dice, counts: [(1, 0), (6, 1), (8, 2), (6, 3), (4, 4), (2, 5), (1, 8)])
        return declared(
            name, "public struct \(name): P", body: fields.text, parts: fields.parts, isTakable: fields.isTakable)
    }

    private func object(_ dice: inout Dice, _ name: String) -> ValueType {
        var fields = fields(&dice, counts: [(2, 0), (3, 1), (2, 3)])
        fields.add(token, 20)
        return declared(
            name, "public \(dice.percent(50) ? "final " : "")class \(name): P", body: fields.text, parts: fields.parts,
            isTakable: true)
    }

    // MARK: Enums

    private func enumeration(_ dice: inout Dice, _ name: String) -> ValueType {
        // Cases with payloads, and without.
        let (payloads, empties) = dice.weighted([
            (2, (0, dice.pick([1, 2, 3, 5, 8]))), (1, (0, 300)), (2, (1, 0)), (4, (1, dice.pick([1, 2, 5, 300]))),
            (5, (2, dice.pick([0, 0, 1, 3]))), (2, (4, dice.pick([0, 1, 2]))),
        ])
        let isIndirect = payloads > 0 && dice.percent(20)
        var cases = ""
        var makes = ""
        var texts = ""
        var parts: [ValueType] = []
        var firstValues = ""
        for index in 0..<payloads {
            let types = (0..<dice.weighted([(5, 1), (3, 2), (1, 3)])).map { _ in payloadField(&dice) }
            let isOneIndirect = !isIndirect && dice.percent(8)
            let spellings = types.map(\.spelling).joined(separator: ", ")
            let names = types.indices.map { "let y\($0)" }.joined(separator: ", ")
            let values = types.enumerated().map { $1.made("n &+ \($0)") }.joined(separator: ", ")
            let said = types.enumerated().map { $1.described("y\($0)") }.joined(separator: ", ")
            cases += "    \(isOneIndirect ? "indirect " : "")case c\(index)(\(spellings))\n"
            makes += "case \(index): self = .c\(index)(\(values)); "
            texts += "case .c\(index)(\(names)): return \"c\(index)\" + join(\(said)); "
            parts += types
            if index == 0 { firstValues = values }
        }
        for index in 0..<empties { cases += "    case e\(index)\n" }
        if isIndirect {
            cases += "    case deeper(\(name), \(name))\n"
            texts += "case .deeper(let a, let b): return join(a.text, b.text); "
            makes += "case \(payloads): self = .deeper(.c0(\(firstValues)), .c0(\(firstValues))); "
        }
        let count = payloads + min(empties, 8)
        for index in 0..<min(empties, 8) {
            // The first ones, and the last one.
            let name = index == 7 ? empties - 1 : index
            makes += "case \(payloads + (isIndirect ? 1 : 0) + index): self = .e\(name); "
        }
        if empties > 0 { texts += "default: return \"\\(self)\"" }
        let body = """
            \(cases)    public init(make n: Int) { switch choose(n, \(count + (isIndirect ? 1 : 0))) { \(makes)default: fatalError() } }
                public var text: String { switch self { \(texts)} }

            """
        return declared(
            name, "public \(isIndirect ? "indirect " : "")enum \(name): P", body: body, parts: parts,
            isTakable: isIndirect || parts.allSatisfy(\.isTakable))
    }
}
