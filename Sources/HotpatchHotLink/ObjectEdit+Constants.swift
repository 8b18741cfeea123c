import HotpatchELF
import HotpatchMemory

/// The values of globals.
extension ObjectEdit {
    /// Lets constants that are initialised at their first use be so once more, where what initialises them has changed.
    mutating func makeAnew(_ changes: [ConstantChange], _ constants: Set<String>) {
        for case .resized(let name) in changes where entries.variables.insert(name).inserted {
            notes.append("\(display(name)): it has another size: what holds its address goes on with the former one")
        }
        for case .lazy(let name, _, _) in changes {
            guard let reason = makeAnew(name, constants) else { continue }
            notes.append("\(display(name)): its value stays what it is, or would have been: \(reason)")
        }
        makeDerivedAnew(changes, constants)
    }

    /// - Returns: why the process keeps the value; nil where it does not.
    private mutating func makeAnew(_ name: String, _ constants: Set<String>) -> String? {
        let constant = LazyConstant(name, old: old, new: new, constants: constants)
        if let constant, constant.obstacle == nil,
            oldNames[constant.addressorName].flatMap({ baseline.places[$0] }) != nil
        {
            entries.variables.formUnion([name, constant.token])
            return nil
        }
        return constant?.obstacle ?? "its accessor is not in the process"
    }

    /// The same of constants whose initialisers are as they were, and use one that is not.
    private mutating func makeDerivedAnew(_ changes: [ConstantChange], _ constants: Set<String>) {
        var known: Set<String> = []
        var changed: Set<String> = []
        for change in changes {
            switch change {
            case .store(let name, _, _), .relink(let name), .resized(let name): changed.insert(name)
            case .lazy(let name, _, _):
                known.insert(name)
                if entries.variables.contains(name) { changed.insert(name) }
            case .kept, .impossible: break
            }
        }
        if changed.isEmpty { return }
        known.formUnion(changed)
        let lazy = LazyConstant.all(in: new)
        var isDone = false
        while !isDone {
            isDone = true
            for (variable, initialiser) in lazy where !known.contains(variable) && oldNames[variable] != nil {
                guard let source = LazyConstant.use(of: changed, from: initialiser, in: new) else { continue }
                isDone = false
                known.insert(variable)
                // What a variable has become since, nobody takes from it.
                guard constants.contains(variable) else { continue }
                if let reason = makeAnew(variable, constants) {
                    notes.append(
                        "\(display(variable)): it is made of \(display(source)), and its value stays what it is, or would have "
                            + "been: \(reason)")
                } else {
                    changed.insert(variable)
                }
            }
        }
    }

    /// What is said of constants of other files that are made of those that the edit has changed: they were, and nobody makes them again.
    mutating func noteDerivedElsewhere(_ changes: [ConstantChange]) {
        var sources: [Address: String] = [:]
        for change in changes {
            guard case .store(let name, _, _) = change else { continue }
            if let address = formerAddress(of: name) { sources[address] = name }
        }
        for (variable, _) in LazyConstant.all(in: new) where entries.variables.contains(variable) {
            // A variable is `…vp`, or `…vpZ` of a type, and who asks for it calls `…vau`.
            let addressor = variable.dropLast(variable.hasSuffix("Z") ? 2 : 1) + "au"
            if let address = formerAddress(of: String(addressor)) { sources[address] = variable }
        }
        if sources.isEmpty { return }
        for (address, users) in OtherCallers(old, baseline, live).users(of: Set(sources.keys)).sorted(by: {
            $0.key < $1.key
        }) {
            for user in users where user.name.hasSuffix("WZ") {
                notes.append(
                    "\(display(sources[address]!)): another file's constant is made of it, and stays what it is, or would have been: "
                        + display(user.name))
            }
        }
    }

    /// What the edit gives to globals that exist. A constant that holds no reference is stored, where all of its readers find it; whatever
    /// else the process has made or may have changed is kept.
    mutating func compareValues(_ changes: [ConstantChange]) throws {
        var reasons: [String] = []
        let named = new.named()
        func isTaken(_ name: String) -> Bool { named[name].map { decisions[$0] == .take } ?? false }
        for change in changes {
            switch change {
            case .kept(let name, _) where isTaken(name): break
            // Of another type: it is made anew.
            case .store(let name, _, _) where isTaken(name): break
            case .relink(let name) where isTaken(name): break
            case .kept(let name, let reason): notes.append("\(display(name)): its value is kept: \(reason)")
            // Made anew, or told of.
            case .lazy, .resized: break
            case .relink(let name):
                guard let place = oldNames[name].flatMap({ baseline.places[$0] }), let piece = named[name],
                    let was = try? live.memory.bytes(at: place.address, count: new.size(of: piece))
                else { continue }
                tables.append(Table(piece: piece, address: place.address, expected: was, name: display(name)))
            case .impossible(let name, let reason): reasons.append("\(display(name)): \(reason)")
            case .store(let name, var was, let bytes):
                guard let place = oldNames[name].flatMap({ baseline.places[$0] }) else { continue }
                // It was a variable when the program was linked, and an edit since has kept what it was then.
                if place.isInImage, !live.image.elf.isConstant(live.image.bias.linked(place.address)) {
                    was = (try? live.memory.bytes(at: place.address, count: was.count)) ?? was
                }
                stores.append(
                    .init(address: place.address, expected: was, bytes: bytes, name: display(name), isConstant: true))
            }
        }
        for index in newVariablesOfTopLevelCode() {
            reasons.append(
                "\(display(new.pieces[index].name)): it is new, and the top-level code that initialises it has begun")
        }
        for (name, index) in named where !new.pieces[index].isFunction && !new.pieces[index].kind.isAnonymous {
            guard let partner = oldNames[renamed(name)] else { continue }
            if case .bind = decisions[index] {} else if threadLocals[index] == nil { continue }
            let sizes = (old.size(of: partner), new.size(of: index))
            // What is larger would reach into what lies behind it. Of Swift's records, each has been compared.
            // The text of a lambda's type has the lambda's number in it.
            if name.hasPrefix("_ZTS") { continue }
            if sizes.0 != sizes.1, !name.hasPrefix("$s") || name.hasSuffix("vp") || name.hasSuffix("vpZ") {
                reasons.append("\(display(name)): it had \(sizes.0) bytes, and has \(sizes.1) now")
            }
        }
        guard reasons.isEmpty else { throw LinkError.restart(path: new.object.path, reasons: reasons.sorted()) }
    }

    /// Variables of Swift that the edit has added to a file of top-level code. That runs once: whoever else used them would find zeros.
    private func newVariablesOfTopLevelCode() -> [Int] {
        var result: Set<Int> = []
        for piece in new.pieces where piece.isFunction {
            guard ["main", "async_Main"].contains(SymbolKind.owner(of: piece.name) ?? piece.name) else { continue }
            for case .piece(let target, _) in piece.references.map(\.target)
            where decisions[target] == .take && new.pieces[target].name.hasSuffix("vp")
                && new.object.sections[new.pieces[target].section].isWritable
            {
                result.insert(target)
            }
        }
        return result.sorted()
    }
}
