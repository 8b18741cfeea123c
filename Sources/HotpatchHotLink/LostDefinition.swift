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
            guard let place = baseline.places[index], place.isInImage, Self.isWritten(piece),
                !kept.contains(piece.name), !moved.names.contains(piece.name), !needed.contains(piece.name),
                piece.symbols.contains(where: { old.object.symbols[$0].binding == .global })
            else { continue }
            let variable = piece.name.hasSuffix("vau") ? String(piece.name.dropLast(2)) : piece.name
            let getter =
                variable.hasSuffix("v") ? [variable + "g", variable + "gZ"] : [NewEntries.getter(of: variable)]
            let isComputed = variable.hasPrefix("$s") && getter.contains { $0 != variable && getters.contains($0) }
            // The addressor of what is stored yet goes where it is read without one.
            if piece.isFunction, isComputed, kept.contains(variable + "p") || kept.contains(variable + "pZ") {
                continue
            }
            lost[place.address] = (Demangling.demangle(piece.name) ?? piece.name, isComputed)
        }
        if lost.isEmpty { return [] }
        let users = OtherCallers(old, baseline, live).users(of: Set(lost.keys))
        return lost.compactMap { address, found in
            // What an edit has replaced does not run any more.
            let users = (users[address] ?? []).filter { live.replacement($0.entry) == nil }
            return users.isEmpty ? nil : LostDefinition(name: found.name, isComputed: found.isComputed, users: users)
        }.sorted { $0.name < $1.name }
    }

    /// Whether a name is of something that stands in the source, and not of what a compiler adds to it.
    private static func isWritten(_ piece: ObjectGraph.Piece) -> Bool {
        let (name, kind) = (piece.name, piece.kind)
        guard !name.isEmpty, !kind.isAnonymous, !kind.isUnstable, !kind.isPart else { return false }
        if !name.hasPrefix("$s") { return piece.isFunction || !name.hasPrefix("_Z") }
        guard ClosureMatch.closureEnds(in: name).isEmpty else { return false }
        return (piece.isFunction ? written : ["vp", "vpZ"]).contains { name.hasSuffix($0) }
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
