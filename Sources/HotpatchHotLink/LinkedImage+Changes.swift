import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// What else changes, outside of what was placed.
extension LinkedImage {
    func linked() throws -> LinkPlan.Linked {
        var result = LinkPlan.Linked()
        for place in linker.reached {
            let edit = linker.edits[place.edit]
            let name = edit.name(of: place.piece)
            switch linker.decision(place) {
            case .patch(let entry):
                let function = try edit.function(replacedBy: place.piece, at: entry)
                result.redirects.append(
                    .init(
                        function: function, address: placed(place)!, name: linker.piece(place).name,
                        contextSize: linker.contextSize(of: place)))
            case .repoint(let entry, let slot):
                guard let before = EntryStub.destination(of: entry, linker.live) else {
                    throw LinkError.unsupported(
                        path: edit.new.object.path,
                        what: "the word at \(slot), through which \(name) is entered, cannot be read",
                        remedy: "Restart.")
                }
                let start = layout.thunks[place].map { address(.text, $0.offset) } ?? placed(place)!
                result.stores.append(
                    .init(
                        address: slot, expected: GotSlot.bytes(before.rawValue), bytes: GotSlot.bytes(start.rawValue),
                        name: Demangling.demangle(name) ?? name))
            case .add:
                guard let known = layout.entries[place] else { break }
                let entry = address(.text, known.entry)
                result.identities.append((identity(place), entry))
                result.identities.append((EntryStub.slotName(entry), address(.data, known.slot)))
            case .take where edit.new.object.sections[linker.piece(place).section].isThreadLocal:
                guard let variable = linker.threadLocal(of: .piece(place.piece, offset: 0), in: place.edit),
                    let pair = layout.threadLocals[ThreadLocalSlot(pairOf: variable)]
                else { break }
                result.identities.append(
                    (
                        ThreadLocal.identity(
                            linker.piece(place).name, file: edit.threadLocalFile(of: place.piece, in: edit.new)),
                        address(.constant, pair)
                    ))
            case .take:
                let piece = linker.piece(place)
                if piece.name.isEmpty || piece.isFunction || piece.kind.isAnonymous { break }
                result.identities.append((identity(place), placed(place)!))
            default: break
            }
        }
        // Functions that are called otherwise than those of their names in the image, for the objects of other files.
        for (number, edit) in linker.edits.enumerated() {
            for (index, piece) in edit.new.pieces.enumerated() where edit.isCalledOtherwiseByAll(index) {
                let place = ObjectLinker.Place(edit: number, piece: index)
                guard let found = layout.entries[place].map({ address(.text, $0.entry) }) ?? placed(place) else {
                    continue
                }
                result.identities.append((NewEntries.identity(piece.name), found))
            }
        }
        // What is new under the name of a former one is what others find by it.
        for place in linker.reached where linker.edits[place.edit].renewed.contains(linker.piece(place).name) {
            guard let found = layout.entries[place].map({ address(.text, $0.entry) }) ?? placed(place) else { continue }
            result.identities.append((linker.edits[place.edit].new.identity(of: place.piece), found))
            guard let entry = layout.entries[place] else { continue }
            result.identities.append((EntryStub.slotName(found), address(.data, entry.slot)))
        }
        // Closures and others that the process has under other names, or not at all: for the object that comes after this one.
        let reached = Set(linker.reached)
        for (number, edit) in linker.edits.enumerated() {
            for function in edit.removedFunctions {
                result.identities.append((Baseline.removed(function.identity), function.entry))
            }
            for (index, piece) in edit.new.pieces.enumerated() where edit.isAliased(index) {
                let ordinary = edit.ordinaryAddress(of: index)
                let place = ObjectLinker.Place(edit: number, piece: index)
                switch edit.decisions[index].entry {
                case .bind(let entry) where entry != ordinary || edit.isBoundToAlias(index):
                    result.identities.append((Baseline.alias(piece.name, edit.digest), entry))
                case .add where ordinary != nil && layout.entries[place] == nil:
                    result.identities.append((Baseline.alias(piece.name, edit.digest), .null))
                case .take where ordinary != nil && !piece.isFunction && !reached.contains(place):
                    result.identities.append((Baseline.alias(piece.name, edit.digest), .null))
                default: break
                }
            }
            result.identities += edit.digests(placed: linker.reached.filter { $0.edit == number }.map(\.piece))
            result.identities += edit.otherwiseNamed.map { (edit.new.identity(of: $0.piece), $0.entry) }
        }
        result.stores += linker.edits.flatMap(\.stores)
        for (number, edit) in linker.edits.enumerated() {
            result.stores += try edit.tables.map { try store($0, of: number) }
        }
        for (number, edit) in linker.edits.enumerated() {
            // Several files have the vtable of a class whose functions are all in its header.
            for slot in edit.slots where !result.stores.contains(where: { $0.address == slot.address }) {
                let function = try address(of: slot.target, in: number, isFrame: false)
                result.stores.append(
                    .init(
                        address: slot.address, expected: GotSlot.bytes(slot.expected.rawValue),
                        bytes: GotSlot.bytes(function.rawValue), name: slot.name, isConstant: slot.isConstant))
            }
        }
        let frames = try frameRegistration()
        result.calls = (frames.map { [$0.call] } ?? []) + (try registrations())
        result.disposal = disposal(of: result, frames: frames)
        return result
    }

    private func store(_ table: ObjectEdit.Table, of edit: Int) throws -> LinkPlan.Store {
        let graph = linker.edits[edit].new
        var bytes = Array(graph.bytes(of: table.piece).prefix(table.expected.count))
        for reference in graph.pieces[table.piece].references {
            let target = try address(of: reference.target, in: edit, isFrame: false)
            let place = table.address + reference.offset
            let value = reference.row.value(
                subject: target.rawValue, addend: reference.addend, place: place, got: .null)
            do throws(FixupProblem) { try reference.row.write(value, into: &bytes, at: reference.offset) } catch {
                throw Fixup(
                    row: reference.row, section: table.name, offset: UInt64(reference.offset),
                    addend: reference.addend, symbol: graph.name(of: reference.target)
                ).error(error)
            }
        }
        return .init(
            address: table.address, expected: table.expected, bytes: bytes, name: table.name, isConstant: true)
    }

    /// What later objects find something by: what has another name in the process than in its object is found by that of the object.
    private func identity(_ place: ObjectLinker.Place) -> String {
        let edit = linker.edits[place.edit]
        let name = edit.name(of: place.piece)
        return ClosureMatch.isUnmatched(name)
            ? Baseline.alias(linker.piece(place).name, edit.digest) : edit.new.identity(of: place.piece, named: name)
    }
}
