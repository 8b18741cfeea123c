import HotpatchSymbols

/// Compares what two objects say about the same types.
struct LayoutComparison {
    let old: SwiftLayout
    let new: SwiftLayout
    private var found: [RestartReason] = []
    /// Of what is compared.
    private var descriptor = ""

    init(old: SwiftLayout, new: SwiftLayout) {
        self.old = old
        self.new = new
    }

    private mutating func add(_ subject: String, _ change: String, _ kind: RestartReason.Kind = .layout) {
        found.append(RestartReason(subject: subject, change: change, kind: kind, descriptor: descriptor))
    }

    mutating func reasons() -> [RestartReason] {
        for base in new.types {
            guard let before = old.nominals[base], let after = new.nominals[base] else { continue }
            descriptor = base + "Mn"
            compare(base, before, after)
        }
        for (name, after) in new.interfaces.sorted(by: { $0.key < $1.key }) {
            descriptor = name
            if let before = old.interfaces[name] { compare(name, before, after) }
        }
        for (name, after) in new.conformances.sorted(by: { $0.key < $1.key }) {
            descriptor = name + "Mc"
            if let before = old.conformances[name] { compare(name, before, after) }
        }
        descriptor = ""
        for (name, after) in new.opaques.sorted(by: { $0.key < $1.key }) {
            if let before = old.opaques[name] { compare(name, before, after) }
        }
        for (name, after) in new.cxxTables.sorted(by: { $0.key < $1.key }) {
            if let before = old.cxxTables[name], before != after { compareCxx(name, before, after) }
        }
        return found
    }

    // MARK: Types

    private mutating func compare(_ base: String, _ before: SwiftLayout.Nominal, _ after: SwiftLayout.Nominal) {
        let (type, first) = (SwiftLayoutNames.type(base), found.count)
        if before.isGeneric != after.isGeneric {
            add(type, after.isGeneric ? "has become generic" : "is no longer generic")
        } else if before.generics != after.generics {
            add(type, "generic parameters changed")
        }
        if before.isActor != after.isActor {
            add(type, after.isActor ? "has become an actor" : "is no longer an actor")
        }
        if before.superclass != after.superclass { add(type, superclass(before.superclass, after.superclass)) }
        var properties: Set<String> = []
        if let before = old.fields[base], let after = new.fields[base] {
            compare(type, before.fields, after.fields, ofEnum: after.ofEnum)
            let names = (Set(before.fields.map(\.name)), Set(after.fields.map(\.name)))
            properties = names.0.symmetricDifference(names.1)
        }
        compareMethods(type, before.methods, after.methods, properties)
        // Where the type itself has changed, so have its size and its metadata.
        guard found.count == first else { return }
        compareOverrides(base, type, before, after)
        guard found.count == first else { return }
        compareMetadata(base, type)
    }

    private func superclass(_ before: String, _ after: String) -> String {
        switch (before.isEmpty, after.isEmpty) {
        case (true, _): "superclass '\(SwiftLayoutNames.type(ofReference: after) ?? after)' added"
        case (_, true): "superclass '\(SwiftLayoutNames.type(ofReference: before) ?? before)' removed"
        default: "superclass changed" + Self.change(before, after)
        }
    }

    /// From one type to another, where their names can be told.
    private static func change(_ before: String, _ after: String) -> String {
        guard let before = SwiftLayoutNames.type(ofReference: before),
            let after = SwiftLayoutNames.type(ofReference: after),
            before != after
        else { return "" }
        return " from '\(before)' to '\(after)'"
    }

    private mutating func compare(
        _ type: String, _ before: [SwiftLayout.Field], _ after: [SwiftLayout.Field], ofEnum: Bool
    ) {
        if before == after { return }
        let noun = ofEnum ? "case" : "stored property"
        func text(_ field: SwiftLayout.Field) -> String { "'\(ofEnum ? field.caseText : field.text)'" }
        let names = (before.map(\.name), after.map(\.name))
        let removed = before.filter { !names.1.contains($0.name) }
        let added = after.filter { !names.0.contains($0.name) }
        if removed.count == 1, added.count == 1, let place = before.firstIndex(of: removed[0]),
            after.count == before.count,
            after[place] == added[0], removed[0].type == added[0].type
        {
            add(type, "\(noun) '\(removed[0].name)' renamed to '\(added[0].name)'")
        } else {
            for field in removed { add(type, "\(noun) \(text(field)) removed") }
            for field in added { add(type, "\(noun) \(text(field)) added") }
        }
        let common = (names.0.filter(names.1.contains), names.1.filter(names.0.contains))
        if common.0 != common.1 {
            let list = common.1.map { "'\($0)'" }.joined(separator: ", ")
            add(type, "\(ofEnum ? "cases" : "stored properties") reordered: now \(list)")
        }
        for field in after {
            guard let former = before.first(where: { $0.name == field.name }) else { continue }
            if former.type != field.type {
                add(type, "\(noun) '\(field.name)' " + retyped(former, field, ofEnum: ofEnum))
            } else if former.isIndirect != field.isIndirect {
                add(type, "\(noun) '\(field.name)' is \(field.isIndirect ? "now" : "no longer") indirect")
            }
        }
    }

    private func retyped(_ before: SwiftLayout.Field, _ after: SwiftLayout.Field, ofEnum: Bool) -> String {
        let change = Self.change(before.type, after.type)
        if ofEnum { return "has other associated values" + (change.isEmpty ? ": '\(after.caseText)'" : ":" + change) }
        return "changed its type" + change
    }

    private mutating func compareMethods(
        _ type: String, _ before: [String], _ after: [String], _ properties: Set<String>
    ) {
        if before == after { return }
        var told: Set<String> = []
        let first = found.count
        func isNews(_ member: (text: String, name: String)) -> Bool {
            // The accessors of one property are one.
            !properties.contains(member.name)
                && told.insert(member.text.hasSuffix("of '\(member.name)'") ? member.name : member.text).inserted
        }
        for function in before where !after.contains(function) {
            let member = SwiftLayoutNames.member(function, of: type)
            if isNews(member) { add(type, "\(member.text) removed from the vtable") }
        }
        told = []
        for function in after where !before.contains(function) {
            let member = SwiftLayoutNames.member(function, of: type)
            if isNews(member) {
                add(type, "\(member.text) added to the vtable; mark it final or put it into an extension")
            }
        }
        guard found.count == first, before.filter(after.contains) != after.filter(before.contains) else { return }
        add(type, "methods reordered in the vtable")
    }

    private mutating func compareOverrides(
        _ base: String, _ type: String, _ before: SwiftLayout.Nominal, _ after: SwiftLayout.Nominal
    ) {
        let slots = changedSlots(base)
        for function in after.overrides.subtracting(before.overrides).sorted() {
            let member = SwiftLayoutNames.member(function, of: type)
            add(
                type, "override of \(member.text) added",
                slots.map { .override($0.filter { $0.new == function }) } ?? .layout)
        }
        for function in before.overrides.subtracting(after.overrides).sorted() {
            let member = SwiftLayoutNames.member(function, of: type)
            add(
                type, "override of \(member.text) removed",
                slots.map { .override($0.filter { $0.old == function }) } ?? .layout)
        }
        // What no reason names may not be lost.
        let told = after.overrides.symmetricDifference(before.overrides)
        let others = (slots ?? []).filter { !told.contains($0.new) && !told.contains($0.old) }
        if !told.isEmpty, !others.isEmpty { add(type, "inherited methods changed", .override(others)) }
    }

    /// The slots that hold another function; nil where the metadata differs in anything else, or the object has none.
    private func changedSlots(_ base: String) -> [RestartReason.Slot]? {
        guard let before = old.metadata[base], let after = new.metadata[base], before.words.count == after.words.count,
            before.instanceSize == after.instanceSize
        else { return nil }
        var slots: [RestartReason.Slot] = []
        for (index, (left, right)) in zip(before.words, after.words).enumerated() where left != right {
            guard left.hasPrefix("$"), right.hasPrefix("$") else { return nil }
            slots.append(
                RestartReason.Slot(metadata: after.symbol, offset: after.firstWord + 8 * index, old: left, new: right))
        }
        return slots.isEmpty ? nil : slots
    }

    private mutating func compareMetadata(_ base: String, _ type: String) {
        if let before = old.values[base], let after = new.values[base], before != after {
            if before.size != after.size {
                add(type, "size changed from \(before.size) to \(after.size) bytes")
            } else {
                add(type, "alignment, or what else its value witnesses say of its layout, changed")
            }
            return
        }
        guard let before = old.metadata[base], let after = new.metadata[base] else { return }
        if before.instanceSize != after.instanceSize {
            let sizes = [before, after].map { ($0.instanceSize ?? 0) & 0xFFFF_FFFF }
            add(type, "size of its instances changed from \(sizes[0]) to \(sizes[1]) bytes")
        } else if before.words != after.words {
            if let slots = changedSlots(base) {
                add(type, "inherited methods changed", .override(slots))
            } else {
                add(type, "metadata changed by what it inherits or stores")
            }
        } else if before.valueWitnesses != after.valueWitnesses {
            add(type, "layout changed by the types of what it stores")
        }
    }

    // MARK: Protocols

    private mutating func compare(_ name: String, _ before: SwiftLayout.Interface, _ after: SwiftLayout.Interface) {
        let subject = SwiftLayoutNames.protocol(name)
        let first = found.count
        if let names = (before.names, after.names) as? ([String], [String]) {
            for text in names.0 where !names.1.contains(text) { add(subject, "requirement \(text) removed") }
            for text in names.1 where !names.0.contains(text) { add(subject, "requirement \(text) added") }
            if found.count == first, names.0 != names.1 { add(subject, "requirements reordered") }
        }
        if found.count == first {
            for type in before.associatedTypes where !after.associatedTypes.contains(type) {
                add(subject, "requirement associated type '\(type)' removed")
            }
            for type in after.associatedTypes where !before.associatedTypes.contains(type) {
                add(subject, "requirement associated type '\(type)' added")
            }
        }
        if found.count == first, before.requirements != after.requirements {
            let counts = (before.requirements.count, after.requirements.count)
            let own = [before, after].map { $0.requirements.filter { $0 & 0xF != 0 } }
            if own[0] == own[1] { return add(subject, "inherited protocols changed") }
            add(
                subject,
                counts.0 == counts.1 ? "requirements changed" : "requirements changed from \(counts.0) to \(counts.1)")
        }
        if found.count == first, before.signature != after.signature || before.flags != after.flags {
            add(subject, "inherited protocols, or constraints of Self, changed")
        }
    }

    private mutating func compare(_ name: String, _ before: SwiftLayout.Conformance, _ after: SwiftLayout.Conformance) {
        var text = SwiftLayoutNames.text(name + "Mc", without: "protocol conformance descriptor for ")
        if let end = SwiftLayoutNames.firstRange(of: " in ", in: text, outsideOfBrackets: true) {
            text = String(text[..<end])
        }
        if text.hasPrefix("<"), let end = SwiftLayoutNames.firstRange(of: "> ", in: text) {
            text = String(text[text.index(end, offsetBy: 2)...])
        }
        let middle = SwiftLayoutNames.firstRange(of: " : ", in: text, outsideOfBrackets: true)
        let subject = middle.map { String(text[..<$0]) } ?? text
        let interface = middle.map { String(text[text.index($0, offsetBy: 3)...]) } ?? ""
        // A changed protocol has been told.
        if found.contains(where: { $0.subject == interface }) { return }
        let first = found.count
        for (type, former) in before.types.sorted(by: { $0.key < $1.key }) {
            guard let now = after.types[type], now != former else { continue }
            add(
                subject,
                "associated type '\(type)' of its conformance to \(interface) changed" + Self.change(former, now))
        }
        guard found.count == first, before.witnesses != after.witnesses else { return }
        if before.witnesses.count != after.witnesses.count {
            add(
                subject,
                "witness table for \(interface) has \(after.witnesses.count) entries instead of \(before.witnesses.count)"
            )
            return
        }
        for (left, right) in zip(before.witnesses, after.witnesses) where left != right {
            if right.hasPrefix("symbolic ") || left.hasPrefix("symbolic ") {
                add(subject, "an associated type of its conformance to \(interface) changed" + Self.change(left, right))
            } else {
                let function = SwiftLayoutNames.text(right, without: "protocol witness for ")
                add(subject, "witness of its conformance to \(interface) is another function: \(function)")
            }
        }
    }

    private mutating func compare(_ name: String, _ before: SwiftLayout.Opaque, _ after: SwiftLayout.Opaque) {
        let mangled = name.hasSuffix("QO") ? String(name.dropLast(2)) : name
        let function = NewEntries.getter(of: mangled)
        var subject = SwiftLayoutNames.text(mangled)
        if let arrow = SwiftLayoutNames.firstRange(of: " -> ", in: subject, outsideOfBrackets: true) {
            subject = String(subject[..<arrow])
        }
        if before.underlying != after.underlying {
            let changes = zip(before.underlying, after.underlying).filter { $0 != $1 }
            let change = changes.first.map { Self.change($0.0, $0.1) } ?? ""
            add(subject, "underlying type of its opaque result changed\(change)", .opaqueResult(function: function))
        } else if before.constraints != after.constraints {
            add(subject, "constraints of its opaque result changed", .opaqueResult(function: function))
        }
    }

    // MARK: C++

    private mutating func compareCxx(_ name: String, _ before: [String], _ after: [String]) {
        let text = Demangling.demangle(name) ?? name
        if name.hasPrefix("_ZTI") {
            add(
                text.hasPrefix("typeinfo for ") ? String(text.dropFirst("typeinfo for ".count)) : text,
                "base classes changed")
            return
        }
        let subject = text.hasPrefix("vtable for ") ? String(text.dropFirst("vtable for ".count)) : text
        // Another base class brings its own slots.
        if found.contains(where: { $0.subject == subject }) { return }
        func function(_ name: String) -> String { Demangling.demangle(name) ?? name }
        let first = found.count
        if let slots = CxxVtables.overrides(name, before, after) {
            let changes = slots.map { "'\(function($0.new))' takes the slot of '\(function($0.old))' in the vtable" }
            return add(subject, "virtual function " + changes.joined(separator: ", "), .cxxOverride(slots))
        }
        let (functions, now) = (before.filter { $0.hasPrefix("_Z") }, after.filter { $0.hasPrefix("_Z") })
        if before.count == after.count {
            for (left, right) in zip(before, after)
            where left != right && !functions.contains(right) && right.hasPrefix("_Z") {
                add(
                    subject, "virtual function '\(function(right))' takes the slot of '\(function(left))' in the vtable"
                )
            }
        } else {
            for name in functions where !now.contains(name) {
                add(subject, "virtual function '\(function(name))' removed from the vtable")
            }
            for name in now where !functions.contains(name) {
                add(subject, "virtual function '\(function(name))' added to the vtable")
            }
        }
        if found.count == first {
            add(subject, functions == now ? "bases changed" : "virtual functions reordered in the vtable")
        }
    }
}
