/// The classes of a Swift file, their stored properties and their methods, as the compiler tells them (`-dump-ast-format json`).
struct SourceOutline {
    struct Class {
        /// Where the word `class` stands.
        var start = 0
        var properties: [Property] = []
        /// What may be final and is not, by its mangled name: `$s…F` of a function, `$s…p` of a property or a subscript.
        var methods: [String: Method] = [:]
        /// The mangled names of what is stored.
        var stored: Set<String> = []
        /// Where the word `deinit` stands; nil where none is written.
        var deinitialiser: Int?
        /// It has, or lies in what has, generic parameters: no variable can be its own then.
        var isGeneric = false
    }

    /// A property that is stored as it is written: without observers, wrappers and whatever else decides how it is stored. Places are
    /// offsets in the file, in bytes.
    struct Property {
        var name: String
        /// Where the first of its modifiers stands, its `var` or `let`, its name, and its last token.
        var start: Int
        var introducer: Int
        var nameStart: Int
        var lastToken: Int
        var isLet: Bool
        /// It need not be initialised by who makes an object.
        var hasInitialValue: Bool
        /// As written, in an order that the compiler takes.
        var modifiers: [String]
        /// Mangled: `$s…D`.
        var type: String
    }

    /// A function, a computed property or a subscript.
    struct Method {
        /// Where its first modifier or attribute stands, and its `func`, `var`, `subscript`, `class` or `static`.
        var first: Int
        var start: Int
        /// The last token of its last attribute, and of the member before it.
        var attribute: Int?
        var previous: Int?
    }

    /// By their mangled names, `$s…C`.
    private(set) var classes: [String: Class] = [:]

    init(_ file: JSON) { read(file, isGeneric: false) }

    private mutating func read(_ value: JSON, isGeneric: Bool) {
        if let array = value.array {
            for element in array { read(element, isGeneric: isGeneric) }
        } else if let members = value.members {
            let isGeneric = isGeneric || value["generic_signature"] != nil
            if value["_kind"]?.string == "class_decl" { readClass(value, isGeneric: isGeneric) }
            // Types lie in types, in extensions and in the file: nothing else has members.
            for member in members where member.name == "items" || member.name == "members" {
                read(member.value, isGeneric: isGeneric)
            }
        }
    }

    private mutating func readClass(_ value: JSON, isGeneric: Bool) {
        guard let name = value["usr"]?.string, name.hasPrefix("s:"), let members = value["members"]?.array else {
            return
        }
        var found = Class(start: Self.range(value)?.start ?? 0, isGeneric: isGeneric)
        var variables: [String: JSON] = [:]
        let written = members.filter { $0["implicit"]?.bool != true }
        for member in written where member["_kind"]?.string == "var_decl" {
            if let name = Self.name(member) { variables[name] = member }
        }
        for member in written {
            switch member["_kind"]?.string {
            case "destructor_decl": found.deinitialiser = Self.range(member)?.start
            case "pattern_binding_decl":
                if let property = Self.property(member, variables) { found.properties.append(property) }
                let entries = member["pattern_entries"]?.array ?? []
                for pattern in entries.compactMap({ $0["pattern"] }) {
                    guard let name = Self.name(pattern["sub_pattern"] ?? pattern), let variable = variables[name],
                        let symbol = Self.symbol(variable)
                    else { continue }
                    if variable["readImpl"]?.string == "stored" {
                        found.stored.insert(symbol)
                    } else if entries.count == 1 {
                        found.methods[symbol] = Self.method(variable, from: member, written)
                    }
                }
            case "func_decl", "subscript_decl":
                if let symbol = Self.symbol(member) {
                    found.methods[symbol] = Self.method(member, from: member, written)
                }
            default: break
            }
        }
        classes["$s" + name.dropFirst(2)] = found
    }

    private static func property(_ binding: JSON, _ variables: [String: JSON]) -> Property? {
        guard let entries = binding["pattern_entries"]?.array, entries.count == 1,
            let pattern = entries[0]["pattern"], let name = name(pattern["sub_pattern"] ?? pattern),
            let variable = variables[name], let place = range(binding), let nameStart = range(variable)?.start,
            let type = variable["interface_type"]?.string,
            variable["static"]?.bool != true, variable["readImpl"]?.string == "stored",
            ["stored", nil].contains(variable["writeImpl"]?.string)
        else { return nil }
        var property = Property(
            name: name, start: place.start, introducer: place.start, nameStart: nameStart, lastToken: place.end,
            isLet: variable["let"]?.bool == true, hasInitialValue: false, modifiers: [], type: type)
        for attribute in variable["attrs"]?.array ?? [] {
            let kind = attribute["_kind"]?.string
            if kind == "has_initial_value_attr" { property.hasInitialValue = true }
            if attribute["implicit"]?.bool == true { continue }
            guard let start = range(attribute)?.start else { return nil }
            property.start = min(property.start, start)
            switch kind {
            case "final_attr": break
            case "access_control_attr":
                guard let level = attribute["access_level"]?.string else { return nil }
                property.modifiers.insert(level, at: 0)
            case "setter_access_attr":
                guard let level = attribute["access"]?.string else { return nil }
                property.modifiers.append(level + "(set)")
            default: return nil
            }
        }
        return property
    }

    /// - Parameter binding: begins with the introducer of what is declared.
    /// - Returns: nil for what is final already, overrides, is to be overridden anywhere, or is not called as others are.
    private static func method(_ value: JSON, from binding: JSON, _ members: [JSON]) -> Method? {
        guard let start = range(binding)?.start else { return nil }
        var method = Method(first: start, start: start)
        for attribute in value["attrs"]?.array ?? [] {
            let kind = attribute["_kind"]?.string ?? ""
            if ["final_attr", "override_attr", "dynamic_attr", "lazy_attr"].contains(kind) { return nil }
            if attribute["access_level"]?.string == "open" { return nil }
            if attribute["implicit"]?.bool == true { continue }
            guard let place = range(attribute) else { return nil }
            method.first = min(method.first, place.start)
            if !modifiers.contains(kind) { method.attribute = max(method.attribute ?? 0, place.end) }
        }
        method.previous = members.compactMap { range($0)?.end }.filter { $0 < method.first }.max()
        return method
    }

    private static let modifiers: Set = [
        "access_control_attr", "setter_access_attr", "nonisolated_attr", "mutating_attr", "nonmutating_attr",
    ]

    private static func symbol(_ value: JSON) -> String? {
        guard let name = value["usr"]?.string, name.hasPrefix("s:") else { return nil }
        return "$s" + name.dropFirst(2)
    }

    private static func name(_ value: JSON) -> String? { value["name"]?["base_name"]?["name"]?.string }

    private static func range(_ value: JSON) -> (start: Int, end: Int)? {
        guard let range = value["range"], case .number(let start)? = range["start"],
            case .number(let end)? = range["end"], start >= 0, end >= start
        else { return nil }
        return (start, end)
    }
}

extension BuildRecipe {
    /// What the compiler says about the classes of a Swift file, without the bodies of their functions.
    /// - Parameters:
    ///   - options: with contents for this file, too, and for others as they are compiled.
    ///   - output: is written.
    /// - Returns: nil where the compiler does not tell.
    /// - Throws: `BuildError`.
    func outline(
        of source: String, overlay: String, options: CompileOptions, output: String, process: CompilerProcess
    ) throws(BuildError) -> SourceOutline? {
        var command = try command(for: source)
        guard command.language == .swift, let place = command.arguments.firstIndex(of: "-c") else { return nil }
        command.arguments[place] = "-dump-ast"
        command.arguments += ["-dump-ast-format", "json", "-experimental-skip-all-function-bodies", "-o", output]
        command = command.preferringModules(in: overlay)
        command = try command.replacing(options.contents, overlay: output + ".yaml")
        let result = try process.run(
            .init(command.arguments, in: command.workingDirectory), seconds: options.seconds)
        guard result.status == 0, !result.isCancelled,
            let file = try? JSON(reading: BuildFiles.read(output), depth: 1000)
        else { return nil }
        BuildFiles.removeFile(output)
        return SourceOutline(file)
    }
}
