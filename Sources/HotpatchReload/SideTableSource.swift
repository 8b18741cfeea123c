/// A Swift file in which properties that a class stores have become computed ones, whose values are kept in tables beside the objects, and
/// methods have become final: the vtables of the process have no slots for them.
///
/// An object of the process has no room for a property that its class has got since. Each such property has a table, by object, and a
/// lock; both are a variable of the class, which objects that are linked later find as they find any variable. An object without a value
/// has the initial one, made when it is read first. The class's deinitialiser drops what belongs to the object. Lines stay where they are.
struct SideTableSource {
    let outline: SourceOutline
    let text: [UInt8]
    /// A mangled type (`$s…D`) as a source may write it; needed where the source does not say it.
    let typeText: (String) -> String?

    /// One of the properties of a class, and the number of its table.
    typealias Table = (type: String, name: String, number: Int)

    /// The property as it is in this file; nil where it cannot be kept in a table.
    func property(_ name: String, of type: String) -> SourceOutline.Property? {
        guard let found = outline.classes[type], !found.isGeneric else { return nil }
        return found.properties.first { $0.name == name && $0.hasInitialValue }
    }

    /// What declares a function of a class as it is in this file; nil where that cannot be made final.
    func method(_ function: String, of type: String) -> SourceOutline.Method? {
        guard let methods = outline.classes[type]?.methods else { return nil }
        return methods[function] ?? methods[Self.property(function)]
    }

    /// The function belongs to a stored property.
    func isStored(_ function: String, of type: String) -> Bool {
        outline.classes[type]?.stored.contains(Self.property(function)) ?? false
    }

    /// The property or subscript of an accessor's mangled name: `$s…vg` belongs to `$s…vp`, `$s…vgZ` to `$s…vpZ`.
    private static func property(_ accessor: String) -> String {
        accessor.hasSuffix("Z") ? accessor.dropLast(2) + "pZ" : accessor.dropLast() + "p"
    }

    /// - Parameter functions: of classes, mangled.
    /// - Returns: nil where one of the properties cannot be kept in a table, or one of the functions cannot be final.
    func rewritten(_ tables: [Table], final functions: [(type: String, name: String)] = []) -> [UInt8]? {
        var edits: [(range: Range<Int>, text: String)] = []
        // The accessors of a property are one.
        var starts: Set<Int> = []
        for (type, name) in functions {
            guard let method = method(name, of: type), let edit = edit(method, of: type) else { return nil }
            if starts.insert(method.start).inserted { edits.append(edit) }
        }
        for (type, tables) in Dictionary(grouping: tables, by: { $0.type }) {
            let drops = tables.map { "__hotpatchDrop(Self.\(Self.variable($0)), self)" }.joined(separator: "; ")
            for (index, table) in tables.enumerated() {
                guard let property = property(table.name, of: type), var edit = edit(property, table) else {
                    return nil
                }
                if index == 0 {
                    if let start = outline.classes[type]?.deinitialiser {
                        guard text.dropFirst(start).starts(with: Array("deinit".utf8)),
                            let brace = SourceToken(text: text).first(UInt8(ascii: "{"), from: start)
                        else {
                            return nil
                        }
                        // The deinitialiser may read the property until its end.
                        edits.append((brace + 1..<brace + 1, " defer { \(drops) };"))
                    } else {
                        edit.text += "; deinit { \(drops) }"
                    }
                }
                edits.append(edit)
            }
        }
        edits.sort { $0.range.lowerBound < $1.range.lowerBound }
        var result: [UInt8] = []
        var position = 0
        for edit in edits {
            guard edit.range.lowerBound >= position else { return nil }
            result += text[position..<edit.range.lowerBound]
            result += Array(edit.text.utf8)
            position = edit.range.upperBound
        }
        return result + text[position...] + (tables.isEmpty ? [] : Array(Self.functions.utf8))
    }

    /// Makes a method final: with a word before its line, so that what the compiler says of it has its column. Attributes come before that.
    private func edit(_ method: SourceOutline.Method, of type: String) -> (range: Range<Int>, text: String)? {
        let token = SourceToken(text: text)
        // What a macro has made stands in another text.
        guard text.indices.contains(method.start), method.first <= method.start,
            ["func", "var", "subscript", "class"].contains(where: {
                text[method.start...].starts(with: Array($0.utf8))
            })
        else { return nil }
        if let attribute = method.attribute {
            return token.end(from: attribute).flatMap { $0 <= method.start ? ($0..<$0, " final") : nil }
        }
        let previous = method.previous.flatMap { token.end(from: $0) }
        let brace = token.first(UInt8(ascii: "{"), from: outline.classes[type]?.start ?? 0).map { $0 + 1 }
        if let end = previous ?? brace, end <= method.first, token.isBlank(end..<method.first) {
            return (end..<end, previous == nil ? " final" : "; final")
        }
        return (method.start..<method.start, "final ")
    }

    private static func variable(_ table: Table) -> String { "__hotpatch\(table.number)_\(table.name)" }

    private func edit(_ property: SourceOutline.Property, _ table: Table) -> (range: Range<Int>, text: String)? {
        let token = SourceToken(text: text)
        guard property.start <= property.introducer, property.introducer < property.nameStart,
            let nameEnd = token.end(from: property.nameStart), let end = token.end(from: property.lastToken),
            nameEnd <= end
        else { return nil }
        func string(_ range: Range<Int>) -> String { String(decoding: text[range], as: UTF8.self) }
        let name = string(property.nameStart..<nameEnd)
        // What a macro has made stands in another text.
        guard [property.name, "`\(property.name)`"].contains(name),
            text[property.introducer...].starts(with: Array((property.isLet ? "let" : "var").utf8))
        else { return nil }
        let equals = token.first(UInt8(ascii: "="), from: nameEnd).flatMap { $0 < end ? $0 : nil }
        let annotation = Self.trimmed(string(nameEnd..<(equals ?? end)))
        let type: String
        if annotation.hasPrefix(":") {
            type = Self.trimmed(String(annotation.dropFirst()).map { $0.isNewline ? " " : String($0) }.joined())
        } else {
            guard annotation.isEmpty, let known = typeText(property.type) else { return nil }
            type = known
        }
        let initial = equals.map { string($0 + 1..<end) } ?? " nil"
        // What was written over several lines goes on to be so many.
        let newlines = text[property.start..<(equals ?? end)].count { $0 == UInt8(ascii: "\n") }
        let modifiers = property.modifiers.map { $0 == "open" ? "public" : $0 } + ["final", "var"]
        let variable = "Self.\(Self.variable(table))"
        var made = modifiers.joined(separator: " ") + " \(name): \(type) { "
        made += "get { __hotpatchValue(\(variable), self) {" + String(repeating: "\n", count: newlines)
        made += "\(initial) } }"
        if !property.isLet {
            made += " set { __hotpatchKeep(newValue, \(variable), self) }"
            made += " _modify { var __hotpatchNew = __hotpatchTake(\(variable), self) ?? self.\(name); "
            made += "defer { __hotpatchKeep(__hotpatchNew, \(variable), self) }; yield &__hotpatchNew }"
        }
        made += " }; private nonisolated(unsafe) static let \(Self.variable(table)): "
        made += "__HotpatchTable<\(type)> = __hotpatchTable()"
        return (property.start..<end, made)
    }

    private static func trimmed(_ text: String) -> String {
        let characters = text.drop { $0.isWhitespace }
        return String(characters.reversed().drop { $0.isWhitespace }.reversed())
    }

    /// Behind the last line of the file. They need no import, and let go of no value while they hold a lock: its deinitialiser may use a
    /// table. The lock is a `pthread_mutex_t`, which begins as zeros, and has room in 64 bytes (48 on AArch64).
    private static let functions = """

        private typealias __HotpatchTable<Value> = (lock: UnsafeMutableRawPointer, values: UnsafeMutablePointer<[ObjectIdentifier: Value]>)
        @_silgen_name("pthread_mutex_lock") private nonisolated func __hotpatchLock(_ lock: UnsafeMutableRawPointer) -> Int32
        @_silgen_name("pthread_mutex_unlock") private nonisolated func __hotpatchUnlock(_ lock: UnsafeMutableRawPointer) -> Int32
        private nonisolated func __hotpatchTable<Value>() -> __HotpatchTable<Value> {
            let lock = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16)
            lock.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
            let values = UnsafeMutablePointer<[ObjectIdentifier: Value]>.allocate(capacity: 1)
            values.initialize(to: [:])
            return (lock, values)
        }
        private nonisolated func __hotpatchLocked<Value, Result>(
            _ table: __HotpatchTable<Value>, _ body: (inout [ObjectIdentifier: Value]) -> Result
        ) -> Result {
            _ = __hotpatchLock(table.lock)
            defer { _ = __hotpatchUnlock(table.lock) }
            return body(&table.values.pointee)
        }
        private nonisolated func __hotpatchValue<Value>(
            _ table: __HotpatchTable<Value>, _ object: AnyObject, _ initial: () -> Value
        ) -> Value {
            let key = ObjectIdentifier(object)
            if let known = __hotpatchLocked(table, { $0[key] }) { return known }
            let new = initial()
            return __hotpatchLocked(table) {
                if let known = $0[key] { return known }
                $0[key] = new
                return new
            }
        }
        private nonisolated func __hotpatchKeep<Value>(
            _ value: Value, _ table: __HotpatchTable<Value>, _ object: AnyObject
        ) {
            _ = __hotpatchLocked(table) { $0.updateValue(value, forKey: ObjectIdentifier(object)) }
        }
        private nonisolated func __hotpatchTake<Value>(
            _ table: __HotpatchTable<Value>, _ object: AnyObject
        ) -> Value? {
            __hotpatchLocked(table) { $0.removeValue(forKey: ObjectIdentifier(object)) }
        }
        private nonisolated func __hotpatchDrop<Value>(_ table: __HotpatchTable<Value>, _ object: AnyObject) {
            _ = __hotpatchTake(table, object)
        }

        """
}
