import HotpatchSymbols

/// What callers and other code rely on and names do not tell, compared between two objects of one source file: what a function does with
/// `self`, whether an accessor throws, what C functions take, how types of C and C++ are laid out.
struct InterfaceComparison {
    let old: ObjectDescriptions
    let new: ObjectDescriptions

    /// One sentence for each difference, without its full stop.
    /// - Parameter renamed: the name that something of the new object has in the old one.
    func changes(renamed: (String) -> String) -> [String] {
        var result: [String] = []
        for (name, after) in new.functions.sorted(by: { $0.key < $1.key }) {
            guard let before = old.functions[renamed(name)], let what = change(before, after) else { continue }
            result.append("\(Demangling.demangle(name) ?? name): \(what)")
        }
        for (name, before) in old.types.sorted(by: { $0.key < $1.key }) {
            guard let after = new.types[name], after != before else { continue }
            result.append("\(Demangling.demangle(name) ?? name): \(change(before, after))")
        }
        return result
    }

    private func change(_ before: ObjectDescriptions.Function, _ after: ObjectDescriptions.Function) -> String? {
        if before.isSwift, after.isSwift {
            if before.facts.selfUse != after.facts.selfUse {
                switch after.facts.selfUse {
                case .mutated?: return "it is mutating now"
                case .consumed?: return "it is consuming now"
                case .borrowed?:
                    return "it is no longer \(before.facts.selfUse == .consumed ? "consuming" : "mutating")"
                case nil: return "what it does with self is not described any more"
                }
            }
            if before.facts.throwsError != after.facts.throwsError {
                return after.facts.throwsError == true ? "it throws now" : "it no longer throws"
            }
            return nil
        }
        let (was, takes) = (before.parameters.map(\.type), after.parameters.map(\.type))
        if was != takes {
            return "it took (\(was.joined(separator: ", "))), and takes (\(takes.joined(separator: ", "))) now"
        }
        if before.result != after.result {
            return "it returned \(before.result ?? "nothing"), and returns \(after.result ?? "nothing") now"
        }
        return nil
    }

    private func change(_ before: [String], _ after: [String]) -> String {
        if let added = after.first(where: { !before.contains($0) && !$0.hasSuffix(" bytes") }) {
            let name = added.prefix { $0 != ":" && $0 != "=" }
            let isKnown = before.contains { $0.hasPrefix(name) }
            return "'\(added)' \(isKnown ? "changed" : "added")"
        }
        if let removed = before.first(where: { !after.contains($0) }) { return "'\(removed)' removed" }
        return "its members are in another order"
    }
}
