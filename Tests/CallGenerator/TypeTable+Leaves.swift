extension TypeTable {
    /// A type that is not made of others.
    func leaf(_ dice: inout Dice) -> ValueType {
        switch dice.weighted([
            (12, 0), (4, 1), (8, 2), (5, 3), (6, 4), (4, 5), (6, 6), (2, 7), (4, 8), (2, 9), (1, 10),
        ]) {
        case 0: integer(&dice)
        case 1: bool
        case 2: float(&dice)
        case 3: string
        case 4: token
        case 5: vector(&dice)
        case 6: existential(&dice)
        case 7: resilient(&dice)
        case 8: library(&dice)
        case 9: metatype(&dice)
        default: dice.percent(50) ? void : type("Nothing", make: "Nothing()", describe: "\"nothing\"")
        }
    }

    var int: ValueType { integer("Int") }
    var bool: ValueType { type("Bool", make: "choose(n, 2) == 0", describe: "\"\\(x)\"") }
    var string: ValueType { type("String", make: "makeString(n)", describe: "x") }
    var token: ValueType { type("Token", make: "choose(n, 4) == 0 ? SubToken(n) : Token(n)", describe: "x.text") }

    var anyP: ValueType {
        type(
            "any P",
            make: "switch choose(n, 3) { case 0: return Token(n); case 1: return Word(n); default: return Wide(n) }",
            describe: "x.text")
    }
    /// A protocol of objects alone.
    var anyCP: ValueType { type("any CP", make: "Token(n)", describe: "x.text") }
    var vault: ValueType { type("Vault", make: "Vault(n)", describe: "x.text") }

    private func integer(_ name: String) -> ValueType {
        type(name, make: "\(name)(truncatingIfNeeded: mix(n))", describe: "\"\\(x)\"")
    }

    private func integer(_ dice: inout Dice) -> ValueType {
        integer(dice.pick(["Int", "Int8", "Int16", "Int32", "Int64", "UInt", "UInt8", "UInt16", "UInt32", "UInt64"]))
    }

    private func float(_ dice: inout Dice) -> ValueType {
        let name = dice.weighted([(4, "Float"), (5, "Double"), (1, "Float16")])
        return type(name, make: "\(name)(makeDouble(n))", describe: "\"\\(x)\"")
    }

    private func vector(_ dice: inout Dice) -> ValueType {
        let (element, counts) = dice.pick([
            ("Float", [2, 3, 4, 8, 16]), ("Double", [2, 3, 4, 8]), ("Int32", [2, 3, 4, 8]),
            ("Int8", [2, 4, 8, 16, 32]),
            ("UInt16", [2, 4, 8, 16]), ("Int64", [2, 4]),
        ])
        let count = dice.pick(counts)
        let make = element.contains("Int") ? "(truncatingIfNeeded: mix(n &+ i))" : "(makeDouble(n &+ i))"
        return type(
            "SIMD\(count)<\(element)>",
            make: "var v = SIMD\(count)<\(element)>(); for i in 0..<\(count) { v[i] = \(element)\(make) }; return v",
            describe: "\"\\(x)\"",
            vectorSize: (count == 3 ? 4 : count) * (["Int8": 1, "UInt16": 2, "Float": 4, "Int32": 4][element] ?? 8))
    }

    func existential(_ dice: inout Dice) -> ValueType {
        switch dice.below(10) {
        case 0, 1: type("Any", make: "makeAny(n)", describe: "describe(x)")
        case 2: type("AnyObject", make: "Token(n)", describe: "(x as! Token).text")
        case 3, 4:
            anyP
        case 5:
            type(
                "any P & Q", make: "if choose(n, 2) == 0 { return Word(n) }; return Wide(n)",
                describe: "(x as any P).text")
        case 6: anyCP
        case 7: type("any Token & Q", make: "SubToken(n)", describe: "(x as Token).text")
        case 8 where isNewest:
            type(
                "any Holder<Int>", make: "if choose(n, 2) == 0 { return Word(n) }; return Wide(n)", describe: "x.text")
        default: type("any Error", make: "makeError(n)", describe: "describe(x)")
        }
    }

    private func resilient(_ dice: inout Dice) -> ValueType {
        dice.pick([
            type("TaskPriority", make: "TaskPriority(rawValue: UInt8(choose(n, 40)))", describe: "\"\\(x.rawValue)\""),
            type(
                "FloatingPointRoundingRule", make: "choose(n, 2) == 0 ? .up : .towardZero", describe: "\"\\(x)\""),
            type("CancellationError", make: "CancellationError()", describe: "\"\\(x)\""),
            type("AsyncStream<Int>", make: "AsyncStream { $0.finish() }", describe: "\"stream\""),
            type(
                "Unicode.Scalar.Properties", make: "Unicode.Scalar(UInt8(choose(n, 100))).properties",
                describe: "\"\\(x.generalCategory)\""),
        ])
    }

    private func library(_ dice: inout Dice) -> ValueType {
        dice.pick([
            type("Character", make: "choose(n, 2) == 0 ? \"é\" : \"👩‍👩‍👧\"", describe: "String(x)"),
            type("Unicode.Scalar", make: "Unicode.Scalar(UInt8(choose(n, 100)))", describe: "\"\\(x.value)\""),
            type("Range<Int>", make: "n..<(n &+ choose(n, 9))", describe: "\"\\(x)\""),
            type(
                "ClosedRange<UInt8>", make: "UInt8(choose(n, 9))...UInt8(choose(n, 9) + 10)", describe: "\"\\(x)\""),
            type("Substring", make: "makeString(n).dropFirst(2)", describe: "String(x)"),
            type(
                "Duration", make: "Duration(secondsComponent: Int64(n), attosecondsComponent: Int64(choose(n, 999)))",
                describe: "\"\\(x.components)\""),
            type("AnyHashable", make: "AnyHashable(makeString(n))", describe: "\"\\(x)\""),
            type("UnsafeRawPointer?", make: "UnsafeRawPointer(bitPattern: choose(n, 3))", describe: "\"\\(x as Any)\""),
            type("StaticString", make: "choose(n, 2) == 0 ? \"static\" : \"other\"", describe: "\"\\(x)\""),
            type("KeyPath<Word, Int>", make: "\\Word.item", describe: "\"\\(Word(3)[keyPath: x])\""),
            type(
                "Result<Token, any Error>",
                make: "choose(n, 2) == 0 ? .success(Token(n)) : .failure(makeError(n))",
                describe: "switch x { case .success(let y): y.text; case .failure(let y): describe(y) }"),
            type("Zip2Sequence<[Int], String>", make: "zip([n, 1], makeString(n))", describe: "\"\\(Array(x))\""),
            type("ReversedCollection<String>", make: "makeString(n).reversed()", describe: "String(x)"),
            type("PartialRangeFrom<Int>", make: "n...", describe: "\"\\(x.lowerBound)\""),
            type("AnySequence<Int>", make: "AnySequence([n])", describe: "\"\\(Array(x))\""),
            type(
                "UnsafeBufferPointer<Int>",
                make: "UnsafeBufferPointer(start: UnsafePointer(bitPattern: 8), count: choose(n, 9))",
                describe: "\"\\(x.count)\""),
            type(
                "ObjectIdentifier", make: "ObjectIdentifier(Token.self)",
                describe: "\"\\(x == ObjectIdentifier(Token.self))\""),
        ])
    }

    private func metatype(_ dice: inout Dice) -> ValueType {
        dice.pick([
            type("Token.Type", make: "choose(n, 2) == 0 ? Token.self : SubToken.self", describe: "\"\\(x)\""),
            type("Any.Type", make: "choose(n, 2) == 0 ? Int.self : Token.self", describe: "\"\\(x)\""),
            type("any P.Type", make: "choose(n, 2) == 0 ? Word.self : Token.self", describe: "\"\\(x)\""),
            type("any CP.Type", make: "choose(n, 2) == 0 ? SubToken.self : Token.self", describe: "\"\\(x)\""),
            type("AnyObject.Type", make: "choose(n, 2) == 0 ? SubToken.self : Token.self", describe: "\"\\(x)\""),
        ])
    }

    func thinMetatype(_ dice: inout Dice) -> ValueType {
        let name = dice.pick(["Int", "String", "Word", "Box<Int>", "(Int, Token)", "Int?"])
        let spelling = name.hasPrefix("(") ? "(\(name)).Type" : "\(name).Type"
        return type(
            spelling, form: .thinMetatype, make: "return \(name.hasSuffix("?") ? "Optional<Int>" : name).self",
            describe: "\"\\(x)\"")
    }
}
