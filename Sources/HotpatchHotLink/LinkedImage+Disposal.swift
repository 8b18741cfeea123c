import HotpatchMemory
import HotpatchPlan

extension LinkedImage {
    private func range(_ kind: MemoryKind) -> Range<Address>? {
        guard let base = bases[kind], let size = layout.sizes[kind] else { return nil }
        return base..<base + size
    }

    /// Whether a word in memory, or in a register, is all that can ever lead back into the code. Then it can be searched for.
    ///
    /// Only Swift's own functions may have given away their addresses: those of closures, and of where a task goes on. Such a word is
    /// nowhere but in the memory of Swift values and in registers; what C is given as a pointer may be in the kernel, as a handler of
    /// signals, or in glibc, as something else (PTR_MANGLE), and so may what setjmp(3) keeps.
    /// - Parameter frames: how the unwinder comes to know it; nil where it does not.
    func disposal(of linked: LinkPlan.Linked, frames: FrameRegistration?) -> LinkPlan.Disposal? {
        guard !layout.code.isEmpty, let text = range(.text) else { return nil }
        var disposal = LinkPlan.Disposal()
        disposal.deregistration = frames?.undo
        if !layout.records.isEmpty {
            disposal.obstacle = "the Swift runtime keeps the types that it has brought"
        } else if !layout.entries.isEmpty || linked.identities.contains(where: { text.contains($0.address) }) {
            disposal.obstacle = "later objects may call what it has added"
        } else if !layout.blocks.isEmpty || !layout.routines.isEmpty {
            disposal.obstacle = "it has thread-local variables"
        } else {
            // Constants of the process that lead to it are as data of its own.
            let tables = linker.edits.enumerated().flatMap { number, edit in
                edit.tables.map { ObjectLinker.Place(edit: number, piece: $0.piece) }
            }
            for place in linker.reached + tables {
                if let obstacle = obstacle(in: place, &disposal) {
                    disposal.obstacle = obstacle
                    break
                }
            }
        }
        let others = [range(.constant), range(.data)].compactMap { $0 }
        if disposal.obstacle.isEmpty, disposal.isReachedByData,
            linked.identities.contains(where: { identity in others.contains { $0.contains(identity.address) } })
        {
            disposal.obstacle = "later objects may refer to constants that lead to it"
        }
        return disposal
    }

    /// Why something that a piece refers to may be led to later by what is no word in memory; nil where nothing may.
    private func obstacle(in place: ObjectLinker.Place, _ disposal: inout LinkPlan.Disposal) -> String? {
        for reference in linker.piece(place).references {
            let target: ObjectLinker.Place
            switch linker.definition(of: reference.target, in: place.edit) {
            case .symbol(let name, _):
                if name.contains("setjmp") { return "it calls \(name)" }
                continue
            case .piece(let found): target = found
            }
            // What is inside a function only that function uses: a table of jumps.
            guard layout.code[target] != nil, !reference.row.isCall, !reference.row.isShortJump,
                case .piece(_, offset: 0) = reference.target
            else { continue }
            switch linker.decision(target) {
            // The entry counts, which is not part of this code.
            case .patch, .repoint: continue
            default: break
            }
            let name = linker.piece(target).name
            guard name.hasPrefix("$s"), !name.hasSuffix("To") else {
                return "the address of \(name.isEmpty ? "a function" : name) may be anywhere"
            }
            if layout.code[place] == nil { disposal.isReachedByData = true }
        }
        return nil
    }
}
