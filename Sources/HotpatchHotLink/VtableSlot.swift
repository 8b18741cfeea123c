import HotpatchMemory
import HotpatchSymbols

/// A word of a class's metadata in the process that holds the address of a function, and is to hold another's.
struct VtableSlot: Sendable {
    var address: Address
    /// What stands there.
    var expected: Address
    /// What it holds from now on, in the new object.
    var target: ObjectGraph.Target
    /// For an error.
    var name: String
    /// It lies among constants.
    var isConstant = false

    /// The words that overrides change: of each class that the objects know, and of those that have inherited the function from it,
    /// wherever they are. What the runtime makes of a generic class from now on, it copies from its superclass; after a revert such a class
    /// keeps what it has copied.
    /// - Parameter old: where something of the old object lies in the process.
    /// - Throws: `LinkError` where the process has something else there, or where nobody can tell.
    static func all(
        _ overrides: [RestartReason.Slot], in new: ObjectGraph, _ live: LiveProgram, old: (String) -> Address?
    ) throws -> (slots: [VtableSlot], notes: [String]) {
        let path = new.object.path
        let classes = try LiveClasses(live, for: path)
        let named = new.named()
        let compiled = Set(named.keys.filter { $0.hasSuffix("CN") }.compactMap(old))
        var (slots, notes) = ([Address: VtableSlot](), Set<String>())
        let placed = try overrides.map { override in
            guard let metadata = old(override.metadata) else {
                throw refusal(override, path, "the process has no class of this name, or several")
            }
            return (override: override, metadata: metadata)
        }
        // What a class says itself counts for it and for its subclasses, whatever its superclass says.
        for (override, metadata) in placed.sorted(by: {
            classes.depth(of: $0.metadata) < classes.depth(of: $1.metadata)
        }) {
            let (function, replacement) = (display(override.old), display(override.new))
            guard let expected = old(override.old) else {
                throw refusal(override, path, "\(function), which the vtable holds, is not in the process")
            }
            guard let target = target(override.new, new, named) else {
                throw refusal(override, path, "the object does not refer to \(replacement)")
            }
            guard word(override.offset, of: metadata, live) == expected else {
                throw refusal(override, path, "its vtable in the process does not hold \(function)")
            }
            func add(_ metadata: Address) {
                let address = metadata + override.offset
                slots[address] = VtableSlot(
                    address: address, expected: expected, target: target,
                    name: "\(classes.name(of: metadata)): \(replacement)")
            }
            add(metadata)
            for subclass in try classes.subclasses(of: metadata, for: path) {
                let found = word(override.offset, of: subclass, live)
                if found == expected {
                    add(subclass)
                } else if let superclass = classes.superclass(of: subclass), !compiled.contains(subclass),
                    found != word(override.offset, of: superclass, live)
                {
                    // A call of super is one of a function, and not of what a vtable holds.
                    notes.insert(
                        "\(classes.name(of: subclass)) overrides what \(SwiftLayoutNames.type(base(override))) does: where it calls super, "
                            + "\(function) goes on being called until its file is compiled and applied, too")
                }
            }
        }
        return (slots.values.sorted { $0.address < $1.address }, notes.sorted())
    }

    /// The word of a vtable; nil where the class has none there.
    private static func word(_ offset: Int, of metadata: Address, _ live: LiveProgram) -> Address? {
        guard let size = try? live.memory.value(UInt32.self, at: metadata + 32),
            let addressPoint = try? live.memory.value(UInt32.self, at: metadata + 36),
            offset + 8 <= Int(size) - Int(addressPoint)
        else { return nil }
        return (try? live.memory.value(UInt64.self, at: metadata + offset)).map { Address($0) }
    }

    private static func refusal(_ override: RestartReason.Slot, _ path: String, _ what: String) -> LinkError {
        .unsupported(path: path, what: "\(SwiftLayoutNames.type(base(override))): \(what)", remedy: "Restart.")
    }

    /// The class's name, as its records have it.
    private static func base(_ override: RestartReason.Slot) -> String { String(override.metadata.dropLast()) }

    private static func display(_ name: String) -> String { Demangling.demangle(name) ?? name }

    static func target(_ name: String, _ new: ObjectGraph, _ named: [String: Int]) -> ObjectGraph.Target? {
        if let piece = named[name] { return .piece(piece, offset: 0) }
        return new.object.symbols.firstIndex { $0.name == name && $0.isUndefined }.map { .symbol($0) }
    }
}
