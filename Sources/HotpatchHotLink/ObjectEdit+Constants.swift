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
            let constant = LazyConstant(name, old: old, new: new, constants: constants)
            if let constant, constant.obstacle == nil,
                oldNames[constant.addressorName].flatMap({ baseline.places[$0] }) != nil
            {
                entries.variables.formUnion([name, constant.token])
            } else {
                let reason = constant?.obstacle ?? "its accessor is not in the process"
                notes.append("\(display(name)): its value stays what it is, or would have been: \(reason)")
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
            case .store(let name, let was, let bytes):
                guard let place = oldNames[name].flatMap({ baseline.places[$0] }) else { continue }
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
