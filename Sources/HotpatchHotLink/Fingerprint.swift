import HotpatchELF
import HotpatchSymbols

/// How a function is called and what it is called with, as far as its mangled name leaves that out: two functions of one name that differ
/// in it cannot stand in for each other.
///
/// From the object's DWARF, which swiftc and clang write with -g.
package struct Fingerprint: Hashable, Sendable {
    /// What a method of a value does with `self`; nil where there is none, or the name tells.
    package var selfUse: DebugFacts.SelfUse?
    /// What gets, sets or changes a property in place. Where that is stored, and nobody observes it, the compiler writes these itself, and
    /// describes no `self`.
    var isAccessor = false
    package var isAsync: Bool
    /// Nil where it is not described.
    package var throwsError: Bool?
    /// The types of the arguments of a function of C, whose name has none of them; nil of any other.
    package var parameters: [String]?
    /// The type of the result where the name does not tell it: what an opaque result really is, and what a function of C returns.
    package var result: String?
    /// The arguments of a closure or a function inside another and, behind them, what it captures.
    package var captures: [Capture]?

    package struct Capture: Hashable, Sendable {
        /// Empty of an argument: the body gives it any name.
        package var name: String
        /// Mangled.
        package var type: String
        /// A `var`, which is held by its address.
        package var isByReference: Bool
    }

    /// By the functions' names; nil where the object has no DWARF, so that nothing is known of them.
    package static func all(of object: ElfImage) -> [String: Fingerprint]? {
        guard let descriptions = ObjectDescriptions(of: object) else { return nil }
        let known = DescribedFunctions(of: object, descriptions)
        return Dictionary(uniqueKeysWithValues: known.names.map { ($0, known.fingerprint(of: $0)!) })
    }

    fileprivate init(_ name: String, _ function: ObjectDescriptions.Function, isAsync: Bool) {
        self.isAsync = isAsync
        guard function.isSwift else {
            parameters = function.parameters.map(\.type)
            result = function.result ?? "void"
            return
        }
        throwsError = function.facts.throwsError
        if name.contains("Qr") || name.contains("QR") { result = function.result }
        let text = Demangling.demangle(name) ?? name
        guard text.hasPrefix("closure #") || text.hasPrefix("implicit closure #") || text.contains(" #") else {
            selfUse = function.facts.selfUse
            let accessor = SymbolKind.owner(of: name) ?? name
            isAccessor = ["vg", "vs", "vM", "vr", "ig", "is", "iM", "ir"].contains { accessor.hasSuffix($0) }
            return
        }
        let arguments = Self.arguments(in: text)
        var next = 0
        captures = function.parameters.map { parameter in
            var name = parameter.name
            // Arguments come first, those without a name (`_`) may be left out.
            if let place = arguments[next...].firstIndex(of: Demangling.demangle(parameter.type) ?? parameter.type) {
                next = place + 1
                name = ""
            }
            return Capture(name: name, type: parameter.type, isByReference: !parameter.isConstant)
        }
    }

    /// The types of the arguments in a function's text: what stands between its first brackets, `(A, B) -> C`.
    private static func arguments(in text: String) -> [String] {
        guard let open = text.firstIndex(of: "(") else { return [] }
        var (result, current, depth) = ([String](), "", 0)
        for character in text[text.index(after: open)...] {
            if depth == 0, character == ")" { break }
            if depth == 0, character == "," {
                result.append(current)
                current = ""
                continue
            }
            if "([<".contains(character) { depth += 1 }
            if ")]>".contains(character) { depth -= 1 }
            if !(current.isEmpty && character == " ") { current.append(character) }
        }
        if !current.isEmpty { result.append(current) }
        return result.map { argument in
            // A local function's has its label in front of it.
            guard let colon = SwiftLayoutNames.firstRange(of: ": ", in: argument, outsideOfBrackets: true) else {
                return argument
            }
            return String(argument[argument.index(colon, offsetBy: 2)...])
        }
    }

    /// The same for two functions that are called alike.
    var text: String {
        var words = ["\(isAsync) \(throwsError ?? false)", result ?? ""] + (parameters ?? [])
        if !isAccessor { words.append(selfUse.map { "\($0)" } ?? "") }
        return words.joined(separator: "\n")
    }

    /// In what way it is called otherwise than a former function of its name: "is now mutating"; nil where it is not.
    package func difference(from old: Fingerprint) -> String? {
        if isAsync != old.isAsync { return isAsync ? "has become async" : "is no longer async" }
        if (throwsError ?? false) != (old.throwsError ?? false) {
            return throwsError == true ? "now throws" : "no longer throws"
        }
        // A property that is observed from now on, or no longer, lies where it did: its accessors are called as they were.
        let isSynthesised = selfUse == nil || old.selfUse == nil
        let isObserved = isAccessor && isSynthesised && ![selfUse, old.selfUse].contains(.consumed)
        if selfUse != old.selfUse, !isObserved {
            switch (old.selfUse, selfUse) {
            case (_, .mutated?): return "is now mutating"
            case (_, .consumed?): return "now consumes self"
            case (.mutated?, .borrowed?): return "is no longer mutating"
            case (.consumed?, .borrowed?): return "no longer consumes self"
            default: return "takes self in another way"
            }
        }
        if parameters != old.parameters { return "takes other arguments" }
        if result != old.result {
            let names = [old.result, result].map { name in
                name.map { "'" + SwiftLayoutNames.text($0) + "'" } ?? "another type"
            }
            return "returns \(names[1]) instead of \(names[0])"
        }
        guard captures != old.captures else { return nil }
        let now = (captures ?? []).filter { !$0.name.isEmpty }.map { "'\($0.name)'" }
        return "captures otherwise than before: now " + (now.isEmpty ? "nothing" : now.joined(separator: ", "))
    }
}

/// The functions that an object describes. A fingerprint is taken of what is asked for: few are, and it needs the readable name.
struct DescribedFunctions: Sendable {
    private let functions: [String: ObjectDescriptions.Function]
    private var asyncs: Set<String> = []

    init(of object: ElfImage, _ descriptions: ObjectDescriptions) {
        functions = descriptions.functions
        guard let table = object.staticTable else { return }
        for index in 0..<table.count {
            guard let name = table.rawName(table[index]), name.count > 2,
                name.starts(with: "Tu", at: name.count - 2)
            else { continue }
            asyncs.insert(String(decoding: name.prefix(name.count - 2), as: UTF8.self))
        }
    }

    var names: some Sequence<String> { functions.keys }

    func fingerprint(of name: String) -> Fingerprint? {
        functions[name].map { Fingerprint(name, $0, isAsync: asyncs.contains(name)) }
    }

    /// The type of what a function is given first: of a lambda, a pointer to what it captures.
    func firstParameter(of name: String) -> String? { functions[name]?.parameters.first?.type }

    /// Whether an object describes a function as another does, so that its fingerprint is the same.
    func describes(_ name: String, like other: DescribedFunctions) -> Bool {
        functions[name] == other.functions[name] && asyncs.contains(name) == other.asyncs.contains(name)
    }
}
