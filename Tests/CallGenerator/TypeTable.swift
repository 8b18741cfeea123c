/// The types of one batch, each spelling once.
final class TypeTable {
    /// Whether there is the standard library of Swift 6.2: before, there was no InlineArray, and `any P<T>` had no name that the
    /// runtime could tell.
    let isNewest: Bool
    private(set) var types: [ValueType] = []
    private var bySpelling: [String: ValueType] = [:]
    /// Structs, enums and classes that all signatures of the batch share.
    private(set) var nominals: [ValueType] = []

    init(isNewest: Bool) { self.isNewest = isNewest }

    /// The type, made where it is new.
    func type(
        _ spelling: String, form: ValueType.Form = .plain, make: String, describe: String, parts: [ValueType] = [],
        isTakable: Bool = true, vectorSize: Int = 0, declaration: String? = nil
    ) -> ValueType {
        if let known = bySpelling[spelling] { return known }
        let type = ValueType(
            id: types.count, spelling, form: form, make: make, describe: describe, parts: parts, isTakable: isTakable,
            vectorSize: vectorSize, declaration: declaration)
        types.append(type)
        bySpelling[spelling] = type
        return type
    }

    func share(_ type: ValueType) { nominals.append(type) }

    var count: Int { types.count }

    /// The source of these types and of what they are made of.
    func source(of wanted: [ValueType]) -> String {
        var isNeeded = [Bool](repeating: false, count: types.count)
        var waiting = wanted
        while let type = waiting.popLast() {
            if isNeeded[type.id] { continue }
            isNeeded[type.id] = true
            waiting += type.parts
        }
        return types.filter { isNeeded[$0.id] }.map { type in
            (type.declaration.map { $0 + "}\n" } ?? "") + type.source
        }.joined()
    }
}
