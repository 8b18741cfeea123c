import HotpatchMemory
import HotpatchSymbols

/// What a file no longer defines, and code of others refers to: they were not compiled since, or are not applied with it.
struct LostDefinition: Sendable {
    /// As people read it.
    var name: String
    /// It is a stored property that is computed now: who reads the stored one would have another value than who asks for it.
    var isComputed: Bool
    /// Functions of other files, by their entries.
    var users: [(entry: Address, name: String)]

    /// What is said of one of the users.
    func text(of user: String) -> String {
        isComputed
            ? "\(name): it was stored, and is computed now: \(user), which is not in the object, reads what was stored"
            : "\(name): it is gone from the file, and \(user) uses it as it was: apply the object of that file, too"
    }
}

extension ObjectEdit {
    func lostDefinitions() -> [LostDefinition] {
        let kept = Set(new.pieces.indices.lazy.map { name(of: $0) }).union(new.pieces.lazy.map(\.name))
        let getters = Set(new.pieces.lazy.filter(\.isFunction).map(\.name))
        let needed = Set(new.object.symbols.lazy.filter(\.isUndefined).map(\.name))
        var lost: [Address: (name: String, isComputed: Bool)] = [:]
        for (index, piece) in old.pieces.enumerated() {
            guard let place = baseline.places[index], Self.isWritten(piece),
                !kept.contains(piece.name), !moved.names.contains(piece.name), !needed.contains(piece.name),
                isOfOneFile(piece, without: kept)
            else { continue }
            let variable = piece.name.hasSuffix("vau") ? String(piece.name.dropLast(2)) : piece.name
            let getter =
                variable.hasSuffix("v") ? [variable + "g", variable + "gZ"] : [NewEntries.getter(of: variable)]
            let isComputed = variable.hasPrefix("$s") && getter.contains { $0 != variable && getters.contains($0) }
            // The addressor of what is stored yet goes where it is read without one.
            if piece.isFunction, isComputed, kept.contains(variable + "p") || kept.contains(variable + "pZ") {
                continue
            }
            // Objects hold the address behind the two words before the functions of a vtable, which code may add to the table's.
            if piece.name.hasPrefix("_ZTV") {
                lost[place.address + 16] = (Demangling.demangle(piece.name) ?? piece.name, false)
            }
            lost[place.address] = (Demangling.demangle(piece.name) ?? piece.name, isComputed)
        }
        if lost.isEmpty { return [] }
        let users = OtherCallers(old, baseline, live).users(of: Set(lost.keys))
        return lost.compactMap { address, found in
            let users = users[address] ?? []
            return users.isEmpty ? nil : LostDefinition(name: found.name, isComputed: found.isComputed, users: users)
        }.sorted { $0.name < $1.name }
    }

    /// Whether other files find it here, and do not have one themselves. A vtable is weak, and lies where the first function of its class
    /// does that is not `inline`.
    private func isOfOneFile(_ piece: ObjectGraph.Piece, without kept: Set<String>) -> Bool {
        func isGlobal(_ piece: ObjectGraph.Piece) -> Bool {
            piece.symbols.contains { old.object.symbols[$0].binding == .global }
        }
        guard piece.name.hasPrefix("_ZTV") else { return isGlobal(piece) }
        return piece.references.contains { reference in
            guard case .piece(let target, _) = reference.target, old.pieces[target].isFunction else { return false }
            return isGlobal(old.pieces[target]) && !kept.contains(old.pieces[target].name)
        }
    }

    /// Whether a name is of something that stands in the source, and not of what a compiler adds to it.
    private static func isWritten(_ piece: ObjectGraph.Piece) -> Bool {
        let (name, kind) = (piece.name, piece.kind)
        guard !name.isEmpty, !kind.isAnonymous, !kind.isUnstable, !kind.isPart else { return false }
        if !name.hasPrefix("$s") { return piece.isFunction || !name.hasPrefix("_Z") || name.hasPrefix("_ZTV") }
        guard ClosureMatch.closureEnds(in: name).isEmpty else { return false }
        if piece.isFunction, isDefaultArgument(name) { return true }
        return (piece.isFunction ? written : ["vp", "vpZ"]).contains { name.hasSuffix($0) }
    }

    /// What computes the value of a parameter that a caller leaves out: `A_`, `A0_`, … (swift/docs/ABI/Mangling.rst). Without one, callers
    /// have the value themselves (`#line`).
    private static func isDefaultArgument(_ name: String) -> Bool {
        // Digits of any base: of a closure, too.
        guard name.hasSuffix("_"), name.dropLast().last(where: { !$0.isNumber }) == "A" else { return false }
        return Demangling.demangle(name)?.hasPrefix("default argument ") ?? false
    }

    /// Functions, initialisers, accessors.
    private static let written = [
        "F", "FZ", "fC", "fc", "vg", "vgZ", "vs", "vsZ", "vau", "ig", "igZ", "is", "isZ",
    ]
}

extension ObjectLinker {
    /// What the edits are to be noted with together, beyond what each says.
    /// - Throws: `LinkError` where some would find one value, and others another.
    func lostNotes() throws -> [String] {
        var notes: [String] = []
        for (number, edit) in edits.enumerated() where !edit.lost.isEmpty {
            let patched = entriesPatched(otherThanBy: number)
            var reasons: [String] = []
            for lost in edit.lost {
                let users = lost.users.filter { !patched.contains($0.entry) }
                let texts = users.prefix(3).map { lost.text(of: Demangling.demangle($0.name) ?? $0.name) }
                if lost.isComputed { reasons += texts } else { notes += texts }
            }
            guard reasons.isEmpty else { throw LinkError.restart(path: edit.new.object.path, reasons: reasons) }
        }
        return notes
    }
}
