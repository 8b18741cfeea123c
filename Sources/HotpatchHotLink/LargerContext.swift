import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// What an async function needs that an edit before has added to the process, where it grows: its callers allocate the context that they
/// have allocated so far.
struct LargerContext: Sendable {
    /// In bytes.
    var size: Int
    /// `swift_task_alloc` of the process, and
    var allocate: Address
    /// `swift_task_dealloc`.
    var deallocate: Address
}

extension ObjectLinker {
    /// The bytes of the context that an async function's callers are to allocate; nil of another function.
    func contextSize(of place: Place) -> Int? {
        let graph = edits[place.edit].new
        guard let record = record(of: place), graph.pieces[record].range.count >= 8 else { return nil }
        return graph.bytes(of: record).dropFirst(4).prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    /// The record of an async function: where it is, and how large a context it needs.
    private func record(of place: Place) -> Int? {
        let name = piece(place).name + "Tu"
        return edits[place.edit].new.pieces.firstIndex { $0.name == name }
    }

    /// The context of a function that gets the entry of one that was linked into the process, where that is larger.
    /// - Throws: `LinkError` where it is, and the process has nothing to allocate it with.
    func largerContext(of place: Place) throws -> LargerContext? {
        guard case .repoint = decision(place), let record = record(of: place), let size = contextSize(of: place) else {
            return nil
        }
        // Callers go by the record that came with the function.
        if case .bind(let known) = decision(Place(edit: place.edit, piece: record)),
            let allocated = try? live.memory.value(UInt32.self, at: known + 4), size <= Int(allocated)
        {
            return nil
        }
        guard let allocate = live.address(ofUndefined: "swift_task_alloc"),
            let deallocate = live.address(ofUndefined: "swift_task_dealloc")
        else {
            let name = edits[place.edit].name(of: place.piece)
            throw LinkError.unsupported(
                path: edits[place.edit].new.object.path,
                what:
                    "\(Demangling.demangle(name) ?? name), which an earlier object has added, needs a larger context than its callers "
                    + "allocate, and swift_task_alloc and swift_task_dealloc are not found in the process",
                remedy: "Do not strip a program that has the runtime linked into it, or restart.")
        }
        return LargerContext(size: size, allocate: allocate, deallocate: deallocate)
    }
}
