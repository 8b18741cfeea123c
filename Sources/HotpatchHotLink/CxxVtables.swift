import HotpatchMemory
import HotpatchSymbols

/// Vtables of C++ (Itanium C++ ABI, 2.5) whose functions an edit overrides, or no longer does.
///
/// A function that overrides one of the first of its class's bases takes that one's slot, and nothing else changes: neither where others
/// look for it, nor the objects. The word in the process is stored, in the vtable of the class and of those that inherit the function
/// from it. What overrides a function of a further, or of a virtual, base has slots of its own, and thunks: the table is another one.
struct CxxVtables: Sendable {
    /// Functions of which the types say that they are virtual now, or were, and what is said where no vtable explains it.
    var virtuals: [(functions: InterfaceComparison.Virtuals, reason: String)] = []
    /// The functions that have come into slots, or left them.
    private(set) var functions: Set<String> = []
    /// Vtables of classes that inherit from several, which have to be compared by the objects that define them.
    private(set) var missing: [(table: String, reason: String)] = []
    /// What was overridden, or overrides no more, and where that is: others may call it without a vtable.
    private(set) var former: [(name: String, address: Address)] = []

    struct Obstacle: Error {
        /// Without its full stop; may be empty.
        var what = ""
    }

    /// The slots that functions have which override the ones before them, or were overridden by them; nil where something else differs.
    static func overrides(_ table: String, _ before: [String], _ after: [String]) -> [RestartReason.Slot]? {
        guard before.count == after.count else { return nil }
        var slots: [RestartReason.Slot] = []
        for (index, (left, right)) in zip(before, after).enumerated() where left != right {
            guard let former = member(left), let now = member(right), former == now || former == pure || now == pure,
                !before.contains(right) || right == pureVirtual || former == now
            else { return nil }
            slots.append(RestartReason.Slot(metadata: table, offset: 8 * index, old: left, new: right))
        }
        return slots
    }

    private static let pureVirtual = "__cxa_pure_virtual"
    private static let pure = "= 0"

    /// A function without its class: two that have the same override each other, where one's class inherits from the other's. Nil of what
    /// is no function of a class, or adjusts `this` before it.
    private static func member(_ name: String) -> String? {
        if name == pureVirtual { return pure }
        guard name.hasPrefix("_ZN"), let text = Demangling.demangle(name), !text.contains(" thunk to ") else {
            return nil
        }
        var depth = 0
        var start = text.startIndex
        var index = text.startIndex
        let anonymous = "(anonymous namespace)"
        while index < text.endIndex {
            let rest = text[index...]
            if rest.hasPrefix(anonymous) {
                index = text.index(index, offsetBy: anonymous.count)
                continue
            }
            if depth == 0, rest.hasPrefix("::") {
                start = text.index(index, offsetBy: 2)
                if text[start...].hasPrefix("operator") { break }
                index = start
                continue
            }
            switch text[index] {
            case "<": depth += 1
            case ">": depth -= 1
            // What follows are the parameters.
            case "(" where depth == 0: return String(text[start...])
            default: break
            }
            index = text.index(after: index)
        }
        return String(text[start...])
    }

    /// The words of the process that change, and what has to be known of the others.
    /// - Parameters:
    ///   - overrides: of one vtable.
    ///   - named: the pieces of the new object by their names.
    mutating func take(
        _ overrides: [RestartReason.Slot], in edit: ObjectEdit, _ named: [String: Int]
    ) throws(Obstacle) -> [VtableSlot] {
        let (old, new, live) = (edit.oldNames, edit.new, edit.live)
        func address(_ name: String) -> Address? { edit.formerAddress(of: name) ?? live.address(ofUndefined: name) }
        guard let table = overrides.first?.metadata else { return [] }
        let own = String(table.dropFirst("_ZTV".count))
        functions.formUnion(overrides.flatMap { [$0.old, $0.new] })
        // Where a base is virtual, tables for what is under construction come with it.
        if old["_ZTT" + own] != nil || named["_ZTT" + own] != nil { throw Obstacle() }
        guard let start = address(table), let type = address("_ZTI" + own) else {
            throw Obstacle(what: "the process has no vtable of that class, or several")
        }
        let derived = try self.derived(from: type, named, live)
        var slots: [VtableSlot] = []
        for override in overrides {
            let (former, now) = (Self.display(override.old), Self.display(override.new))
            guard let word = Self.word(at: start + override.offset, live) else {
                throw Obstacle(what: "its vtable in the process cannot be read")
            }
            // An edit of another file has seen to it.
            if let known = address(override.new), known == word { continue }
            if override.old != Self.pureVirtual {
                guard let known = address(override.old), known == word else {
                    throw Obstacle(what: "its vtable in the process does not hold \(former)")
                }
                if !self.former.contains(where: { $0.address == known }) { self.former.append((override.old, known)) }
            }
            guard let target = VtableSlot.target(override.new, new, named) else {
                throw Obstacle(what: "the object does not refer to \(now)")
            }
            for start in [start] + derived where Self.word(at: start + override.offset, live) == word {
                slots.append(
                    VtableSlot(
                        address: start + override.offset, expected: word, target: target,
                        name: "\(Self.display(table)): \(now)", isConstant: true))
            }
        }
        return slots
    }

    /// The vtables in the process of classes that inherit from one alone, or from one that does, and that the object does not define.
    private mutating func derived(
        from type: Address, _ named: [String: Int], _ live: LiveProgram
    ) throws(Obstacle) -> [Address] {
        let types = live.data(withPrefix: "_ZTI")
        var tables: [Address] = []
        var found: Set<Address> = [type]
        var next = [type]
        while let base = next.popLast() {
            for (name, place, size) in types where !found.contains(place) {
                // Behind the address of its own vtable and of its name.
                let words = stride(from: 16, to: max(16, size), by: 8).filter {
                    Self.word(at: place + $0, live) == base
                }
                if words.isEmpty { continue }
                found.insert(place)
                next.append(place)
                let table = "_ZTV" + name.dropFirst("_ZTI".count)
                if named[table] != nil { continue }
                if size == 24, let start = live.address(ofUndefined: table) {
                    tables.append(start)
                } else {
                    missing.append((table, "\(Self.display(table)) is not in the object, and has it from there"))
                }
            }
        }
        let names = Set(types.lazy.filter { $0.address == type }.map(\.name))
        if let library = live.index.images(importing: names).first {
            throw Obstacle(what: "\(library.path) knows the class, and may inherit from it")
        }
        return tables
    }

    fileprivate static func word(at address: Address, _ live: LiveProgram) -> Address? {
        (try? live.memory.value(UInt64.self, at: address)).map { Address($0) }
    }

    private static func display(_ name: String) -> String { Demangling.demangle(name) ?? name }
}

extension LiveProgram {
    /// Data of the image, and what edits have placed, under names that begin so.
    func data(withPrefix prefix: String) -> [(name: String, address: Address, size: Int)] {
        var result = index.data(withPrefix: prefix, in: image)
        let known = Set(result.map(\.name))
        for (name, address) in linked().placed where name.hasPrefix(prefix) && !known.contains(name) {
            // What its size is, nobody has written down.
            result.append((name, address, 24))
        }
        return result
    }
}

extension ObjectLinker {
    /// Vtables of C++ are known to the edits together.
    func checkVtables() throws {
        let functions = edits.reduce(into: Set<String>()) { $0.formUnion($1.vtables.functions) }
        for edit in edits {
            var reasons = edit.vtables.virtuals.filter { change in
                // Or an edit before has brought it, or taken it away.
                change.functions.added.contains { !functions.contains($0) && !isInVtable($0) }
                    || change.functions.removed.contains { !functions.contains($0) && isInVtable($0) }
            }.map(\.reason)
            for (table, reason) in edit.vtables.missing where !edits.contains(where: { $0.new.defines(table) }) {
                reasons.append("\(reason): apply the object of its file, too")
            }
            guard reasons.isEmpty else { throw LinkError.restart(path: edit.new.object.path, reasons: reasons) }
        }
    }

    /// Whether a vtable of the process holds a function.
    private func isInVtable(_ name: String) -> Bool {
        guard let function = live.address(ofUndefined: name) else { return false }
        return live.data(withPrefix: "_ZTV").contains { _, address, size in
            stride(from: 16, to: size, by: 8).contains { CxxVtables.word(at: address + $0, live) == function }
        }
    }

    /// Who calls what is overridden now without a vtable, as compilers do where they know the class of an object.
    func vtableNotes() -> [String] {
        edits.enumerated().flatMap { number, edit -> [String] in
            if edit.vtables.former.isEmpty { return [] }
            let patched = entriesPatched(otherThanBy: number)
            let users = OtherCallers(edit.old, edit.baseline, live).users(of: Set(edit.vtables.former.map(\.address)))
            return edit.vtables.former.flatMap { name, address in
                (users[address] ?? []).filter { !patched.contains($0.entry) }.prefix(3).map { user in
                    "\(Demangling.demangle(user.name) ?? user.name) calls \(Demangling.demangle(name) ?? name) by its name: "
                        + "where it means the class that is edited, its file is to be applied, too"
                }
            }
        }
    }
}

extension ObjectGraph {
    fileprivate func defines(_ name: String) -> Bool { pieces.contains { $0.name == name } }
}
