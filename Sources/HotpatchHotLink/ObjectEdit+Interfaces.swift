import HotpatchELF
import HotpatchMemory

/// What exists in the process, and what code outside of the object relies on; and what is said of what cannot follow.
extension ObjectEdit {
    /// What exists in the process, or what code outside of the object relies on, must be as it was.
    /// - Parameter layouts: what is laid out otherwise than it was.
    mutating func checkInterfaces(
        _ interfaces: InterfaceComparison, _ layouts: [RestartReason], _ requirements: [String]
    ) throws {
        var reasons = renewed.obstacles + requirements
        var overrides: [RestartReason.Slot] = []
        var cxxOverrides: [(slots: [RestartReason.Slot], reason: String)] = []
        var called: [(function: String, reason: String)] = []
        for reason in layouts where !renewed.contains(reason.descriptor) {
            switch reason.kind {
            case .opaqueResult(let function) where renewed.contains(function): continue
            case .override(let found) where !found.isEmpty:
                overrides += found
                notes.append(reason.description)
            case .cxxOverride(let found): cxxOverrides.append((found, reason.description))
            case .opaqueResult(let function): called.append((function, reason.description))
            default: reasons.append(reason.description)
            }
        }
        let told = Set(called.map(\.function))
        called += interfaces.functionChanges(opaque: told) { numbered.renamed(closures.renamed($0)) }
        let named = new.named()
        var variables: [(name: String, reason: String)] = []
        for (name, reason) in interfaces.variableChanges() {
            // In C++, what only its file can name is described without the rest of its name.
            let symbol = named[name] == nil ? "_ZL\(name.utf8.count)\(name)" : name
            guard let before = oldNames[symbol], let after = named[symbol] else {
                variables.append((name, reason))
                continue
            }
            if old.isOwnConstant(before), new.isOwnConstant(after) {
                // All who use it are in the file: they get another one.
                entries.variables.insert(symbol)
                notes.append("\(reason): what holds its address goes on with the former one")
            } else if old.size(of: before) == new.size(of: after) {
                // A change of size is told by the size.
                variables.append((name, reason))
            }
        }
        for change in interfaces.typeChanges() {
            let coroutine = CoroutineFrame.functions(ofType: change.name, in: old)
            if let virtuals = change.virtuals {
                vtables.virtuals.append((virtuals, change.reason))
            } else if let coroutine {
                let reason = CoroutineFrame.reason(change)
                called += coroutine.map { ($0, reason) }
            } else {
                reasons.append(change.reason)
            }
        }
        reasons += variables.map(\.reason) + sharedNameChanges()
        if reasons.isEmpty { reasons = takeVtables(cxxOverrides) } else { reasons += cxxOverrides.map(\.reason) }
        if reasons.isEmpty { reasons = try takeEntries(called) } else { reasons += called.map(\.reason) }
        guard reasons.isEmpty else { throw LinkError.restart(path: new.object.path, reasons: reasons) }
        notes += closures.unmatchedOld.filter(mayBeStored).map { interfaces.kept($0).description }
        notes += numbered.unmatchedLambdas.map {
            "\($0): it is gone, or captures otherwise than before: where it is stored, it stays as it is"
        }
        noteRenewed()
        guard !overrides.isEmpty else { return }
        let found = try VtableSlot.all(overrides, in: new, live) { name in
            formerAddress(of: name) ?? live.address(ofUndefined: name)
        }
        slots += found.slots
        notes += found.notes
    }

    private mutating func noteRenewed() {
        for descriptor in renewed.changed {
            let name =
                descriptor.hasSuffix("Mp")
                ? SwiftLayoutNames.protocol(descriptor) : SwiftLayoutNames.type(String(descriptor.dropLast(2)))
            notes.append(
                "\(name): an edit before has added it, and it is another one from now on: what was made with the former one stays as it is"
            )
        }
        for piece in new.pieces where renewed.contains(piece.name) && oldNames[piece.name] != nil {
            guard ["vp", "vpZ"].contains(where: piece.name.hasSuffix) else { continue }
            notes.append("\(display(piece.name)): it begins anew, as its type does")
        }
    }

    /// Whether anything of the old object has a closure's address to give away. One that only who makes it calls, nobody stores.
    private func mayBeStored(_ closure: String) -> Bool {
        guard let index = oldNames[closure] else { return true }
        return old.pieces.contains { piece in
            !Self.isLeft(old.object.sections[piece.section].name)
                && piece.references.contains { reference in
                    guard case .piece(index, offset: 0) = reference.target else { return false }
                    return !reference.row.isCall || piece.kind.isUnstable
                }
        }
    }

    /// Names of C and C++ that are another's, too (`alias`), in only one of the objects: what uses the one uses the other in the process.
    private func sharedNameChanges() -> [String] {
        func places(_ graph: ObjectGraph) -> [String: Int] {
            var result: [String: Int] = [:]
            for (index, piece) in graph.pieces.enumerated() where !piece.range.isEmpty {
                for symbol in piece.symbols where !graph.object.symbols[symbol].name.hasPrefix("$") {
                    result[graph.object.symbols[symbol].name] = index
                }
            }
            return result
        }
        let (before, after) = (places(old), places(new))
        func other(_ name: String, _ here: (graph: ObjectGraph, names: [String: Int]), _ there: [String: Int])
            -> String?
        {
            guard let piece = here.names[name], let place = there[name] else { return nil }
            return here.graph.pieces[piece].symbols.lazy.map { here.graph.object.symbols[$0].name }.first {
                $0 != name && there[$0].map { $0 != place } ?? false
            }
        }
        var reasons: [String] = []
        for name in before.keys.sorted() {
            if let former = other(name, (old, before), after) {
                reasons.append("\(display(name)): it was another name of \(display(former)), and is not any more")
            } else if let now = other(name, (new, after), before) {
                reasons.append("\(display(name)): it is another name of \(display(now)) now")
            }
        }
        return reasons
    }

    /// Gives functions entries of their own that are called otherwise, where all who call them are in the object.
    /// - Returns: what stands in the way.
    private mutating func takeEntries(_ called: [(function: String, reason: String)]) throws -> [String] {
        if called.isEmpty { return [] }
        let named = new.named()
        let others = OtherCallers(old, baseline, live)
        var found: [String: OtherCallers.Found] = [:]
        for (function, _) in called where found[function] == nil {
            // A closure has who made it for a caller, or whoever that gave it to.
            guard ClosureMatch.closureEnds(in: function).last != function.utf8.count,
                let index = oldNames[function], old.pieces[index].isFunction, named[function] != nil
            else { return Array(Set(called.map(\.reason))).sorted() }
            found[function] = others.all(of: index)
        }
        let sorted = found.sorted { $0.key < $1.key }
        guard found.values.allSatisfy(\.obstacles.isEmpty) else {
            return Array(Set(called.map(\.reason))).sorted() + sorted.flatMap(\.value.obstacles)
                + sorted.flatMap { $0.value.callers.map(\.reason) }
        }
        entries.functions = Set(found.keys)
        callers = sorted.flatMap(\.value.callers)
        // Several functions are one coroutine.
        var told: Set<String> = []
        callReasons = called.map(\.reason).filter { told.insert($0).inserted }
        notes += callReasons.map { "\($0): what runs in it, or is stored, goes on with the former one" }
        return []
    }

    /// Has vtables of C++ hold what overrides their functions now.
    /// - Returns: what stands in the way.
    private mutating func takeVtables(_ overrides: [(slots: [RestartReason.Slot], reason: String)]) -> [String] {
        if overrides.isEmpty { return [] }
        let named = new.named()
        var (obstacles, found): ([String], [VtableSlot]) = ([], [])
        var tables = vtables
        for (slots, reason) in overrides {
            do throws(CxxVtables.Obstacle) {
                found += try tables.take(slots, in: self, named)
                notes.append(reason)
            } catch {
                obstacles += [reason] + (error.what.isEmpty ? [] : [error.what])
            }
        }
        (vtables, slots) = (tables, found)
        return obstacles
    }

    /// The runtime has no way to forget them.
    mutating func noteRemovedConformances() {
        func records(_ graph: ObjectGraph, _ ending: String) -> Set<String> {
            Set(graph.pieces.lazy.map(\.name).filter { $0.hasPrefix("$s") && $0.hasSuffix(ending) })
        }
        let gone = records(old, "Mc").subtracting(records(new, "Mc")).subtracting(moved.conformances)
        if gone.isEmpty { return }
        // With its type, nobody asks for it any more.
        let types = records(old, "Mn").subtracting(records(new, "Mn")).map { $0.dropLast(2) }
        for name in gone.sorted() where !types.contains(where: name.hasPrefix) {
            let text = SwiftLayoutNames.text(name, without: "protocol conformance descriptor for ")
            notes.append("\(text): the conformance is gone, and the process has it until it is started anew")
        }
    }

    /// What runs when the program starts or ends, and has run, or is not known to who runs it.
    mutating func noteCalledOnce() {
        func functions(_ graph: ObjectGraph, _ sections: [String]) -> Set<Int> {
            var result: Set<Int> = []
            for piece in graph.pieces {
                let name = graph.object.sections[piece.section].name
                guard sections.contains(where: name.hasPrefix) else { continue }
                for case .piece(let target, _) in piece.references.lazy.map(\.target)
                where graph.pieces[target].isFunction && !graph.pieces[target].name.isEmpty {
                    result.insert(target)
                }
            }
            return result
        }
        func names(_ sections: [String]) -> (old: Set<String>, new: [(name: String, piece: Int)]) {
            // Those of C++ globals are told of already.
            let now = functions(new, sections).map { (name(of: $0), $0) }.filter { !$0.0.hasPrefix("_GLOBAL__sub_") }
            return (Set(functions(old, sections).map { old.pieces[$0].name }), now.sorted { $0.0 < $1.0 })
        }
        let starting = names([".init_array", ".preinit_array", ".ctors"])
        for (name, piece) in starting.new {
            if !starting.old.contains(name) {
                notes.append("\(display(name)): it runs when the program starts, and was not run")
            } else {
                switch decisions[piece] {
                case .patch, .repoint:
                    notes.append("\(display(name)): it has run when the program started, and was not run again")
                default: break
                }
            }
        }
        let ending = names([".fini_array", ".dtors"])
        for (name, _) in ending.new where !ending.old.contains(name) {
            notes.append(
                "\(display(name)): it runs when the program ends, and will not: the process does not know of it")
        }
    }

    /// What initialises the globals of a C++ file has run when the program started.
    mutating func checkInitialisers(_ changed: Set<String>) throws {
        let names = [
            "_GLOBAL__sub_I_", "__cxx_global_var_init", "_Z41__static_initialization_and_destruction_0", "__tls_init",
            "_ZTH",
        ]
        let initialisers = changed.filter { name in names.contains { name.hasPrefix($0) } }
        if initialisers.isEmpty { return }
        if areOfStreams(initialisers) {
            notes.append(
                "std::cout and the other streams are initialised already, as <iostream> asks when a program starts")
            return
        }
        throw LinkError.unsupported(
            path: new.object.path,
            what:
                "the edit adds a global that is initialised when the program, or a thread, starts, or changes what one is "
                + "initialised with",
            remedy: "Restart.")
    }

    /// Whether new initialisers do nothing but what each file does that includes <iostream>: they count how many ask for the streams of the
    /// standard library, of which the first has made them.
    private func areOfStreams(_ initialisers: Set<String>) -> Bool {
        // Zeros, until they are made.
        guard let streams = live.address(ofUndefined: "_ZSt4cout"),
            let table = try? live.memory.value(UInt64.self, at: streams), table != 0
        else { return false }
        let known = initialisers.union([
            "_ZNSt8ios_base4InitC1Ev", "_ZNSt8ios_base4InitD1Ev", "_ZStL8__ioinit", "__cxa_atexit", "__dso_handle",
        ])
        return new.pieces.indices.filter { initialisers.contains(name(of: $0)) }.allSatisfy { index in
            oldNames[name(of: index)] == nil
                && new.pieces[index].references.allSatisfy { known.contains(new.name(of: $0.target)) }
        }
    }
}
