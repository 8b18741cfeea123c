import HotpatchMemory
import HotpatchSymbols

extension ObjectLinker {
    /// Functions of the process that run new code, mangled; without those of which only lines have other numbers.
    package var changedFunctions: [String] {
        reached.compactMap { place in
            switch decision(place) {
            case .patch, .repoint: edits[place.edit].name(of: place.piece)
            default: nil
            }
        }.filter { name in !edits.contains { $0.movedFunctions.contains(name) } }
    }

    /// Where calls go on that are suspended in functions which run new code: in the former code.
    package var formerResumptions: Set<Address> { Set(edits.flatMap(\.formerResumptions)) }

    /// What becomes of each symbol: a line each, of what is taken or patched and of what that binds to.
    package var table: [String] {
        var lines: [String] = []
        for place in reached {
            let piece = piece(place)
            guard !piece.kind.isAnonymous else { continue }
            let name = Demangling.demangle(piece.name) ?? piece.name
            let what =
                switch decision(place) {
                case .patch(let entry): "patch \(entry)"
                case .repoint(let entry, _): "patch \(entry)"
                case .add: "add"
                default: "take"
                }
            lines.append("  \(what)  \(name)")
        }
        for slot in edits.flatMap(\.slots) { lines.append("  store \(slot.address)  \(slot.name)") }
        return lines
    }

    /// For a log.
    package var summary: String {
        let taken = reached.filter { decision($0).isTaken }.count
        return
            "\(changedFunctions.count) functions to patch, \(taken) pieces to place, \(records.values.reduce(0) { $0 + $1.count }) "
            + "records to register"
    }
}
