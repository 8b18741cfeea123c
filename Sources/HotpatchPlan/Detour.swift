import CPatchCore
import HotpatchMemory

/// An instruction of an entry, and its copy in the stub: from the planner, which finds it (`hp_pc_pair`), to the ledger, which keeps it.
package struct PCPair: Hashable, Sendable {
    /// In bytes, from the entry.
    package var entryOffset: UInt32
    /// In bytes, from the start of the stub.
    package var stubOffset: UInt32

    package init(entryOffset: UInt32, stubOffset: UInt32) {
        self.entryOffset = entryOffset
        self.stubOffset = stubOffset
    }

    /// From the instruction to its copy, of this entry and this stub.
    package func move(entry: Address, stub: Address) -> PCMove {
        PCMove(from: entry + Int(entryOffset), to: stub + Int(stubOffset))
    }
}

/// A function's entry, overwritten by a jump to a stub.
package struct Detour: Hashable, Sendable {
    package var architecture: Architecture
    package var entry: Address
    /// Where the jump is written: the entry, or behind its landing pad (`endbr64`, `bti`, `paciasp`).
    package var patchAddress: Address
    /// What stands there now.
    package var expected: [UInt8]
    /// What will; as many bytes.
    package var bytes: [UInt8]
    package var stub: StubLayout
    /// The padding that the jump at the entry goes through; nil where it leads straight to the stub.
    package var hop: Address?
    /// Every instruction boundary of the moved bytes, ascending: the first, those inside, and the end where the stub has
    /// one (it has none after a return, a jump or a call).
    ///
    /// A copy may take several instructions. A thread between them has no counterpart in the entry: it must be left to
    /// finish, so a stub outlives its detour.
    package var pcMap: [PCPair]
    /// The stub breaks the pairing of calls and returns, to which a shadow stack objects: the entry holds a call, re-made as a
    /// jump, or the stub lies so far away that it is left by a return (arm64).
    package var movesCall: Bool
    /// The body has a computed jump whose table could not be found or read. It most likely is a call in tail position.
    package var hasUncheckedIndirectJump: Bool
    /// What must hold besides.
    package var provisos: [Proviso] = []

    /// The function is to be refused where code outside it leads to any of these places: between a computed jump and the check
    /// that keeps it in its table. Behind what the check allows the table has entries, most likely another table's, that lead
    /// into the overwritten bytes.
    package struct Proviso: Hashable, Sendable {
        package var places: Range<Address>
        package var refusal: Refusal
    }

    /// Plans the detour of one function.
    ///
    /// - Parameters:
    ///   - code: the bytes at `entry`: the function, and its padding up to the next symbol.
    ///   - functionLength: how many of them belong to the function (symbol size or FDE); 0 where unknown.
    ///   - stub: where the stub will be, 16-byte aligned and within `architecture.farDetourReach`; within `detourReach` the
    ///     fewest bytes are overwritten.
    ///   - slot: where the stub's retarget slot will be, 8-byte aligned and within ±2 GiB of the stub.
    ///   - hop: where a short jump may go on to the stub, `architecture.hopLength` free bytes; nil for a jump that needs no hop.
    ///   - tables: the memory of the process or file that `code` is from, to read jump tables.
    /// - Throws: `Refusal` where the function cannot be patched.
    package init(
        architecture: Architecture, code: [UInt8], functionLength: Int, entry: Address, stub: Address, slot: Address,
        hop: Address? = nil, tables: any MemoryReader
    ) throws(Refusal) {
        let planned = code.withUnsafeBytes { code in
            Result { () throws(Refusal) in
                try Detour(
                    architecture: architecture, code: code, functionLength: functionLength, entry: entry, stub: stub,
                    slot: slot, hop: hop, tables: tables)
            }
        }
        self = try planned.get()
    }

    /// The same with bytes that somebody lends.
    package init(
        architecture: Architecture, code: UnsafeRawBufferPointer, functionLength: Int, entry: Address, stub: Address,
        slot: Address,
        hop: Address? = nil, tables: any MemoryReader
    ) throws(Refusal) {
        var relocation = hp_relocation()
        var refusal = hp_refusal()
        var request = hp_relocation_request(
            code: code.bindMemory(to: UInt8.self).baseAddress, code_length: code.count,
            function_length: max(0, functionLength), entry: entry.rawValue, stub: stub.rawValue, slot: slot.rawValue)
        let moved = hp_relocate(
            architecture.core, &request, hop?.rawValue ?? 0, &relocation, &refusal)
        guard moved else { throw Refusal(refusal) }

        let length = Int(relocation.detour_length)
        self.architecture = architecture
        self.entry = entry
        self.hop = hop
        patchAddress = entry + Int(relocation.patch_offset)
        expected = withUnsafeBytes(of: &relocation.expected) { Self.first(length, of: $0) }
        bytes = withUnsafeBytes(of: &relocation.detour) { Self.first(length, of: $0) }
        let (stubLength, pairs) = (Int(relocation.stub_length), Int(relocation.pc_count))
        self.stub = StubLayout(
            address: stub, bytes: withUnsafeBytes(of: &relocation.stub) { Self.first(stubLength, of: $0) },
            originalAddress: stub + Int(relocation.original_offset), slot: slot)
        pcMap = withUnsafeBytes(of: &relocation.pc_map) { bytes in
            let raw = bytes.bindMemory(to: hp_pc_pair.self)
            return [PCPair](unsafeUninitializedCapacity: pairs) { buffer, count in
                for index in 0..<pairs {
                    let pair = PCPair(entryOffset: raw[index].entry_offset, stubOffset: raw[index].stub_offset)
                    buffer.initializeElement(at: index, to: pair)
                }
                count = pairs
            }
        }
        movesCall = relocation.moves_call
        hasUncheckedIndirectJump = relocation.unchecked_indirect_jump || relocation.tables_overflowed
        let inside = patchAddress + 1..<patchAddress + length

        guard relocation.table_count > 0 else { return }
        let candidates = withUnsafeBytes(of: relocation.tables) { bytes in
            Array(bytes.bindMemory(to: hp_table_candidate.self).prefix(Int(relocation.table_count)))
        }
        let end = entry + (functionLength > 0 ? functionLength : code.count)
        let function = entry..<max(entry, end)
        let patch = patchAddress
        func objection(_ candidate: hp_table_candidate, _ table: JumpTable) -> Refusal? {
            let into = table.target(where: inside.contains)
            guard let target = into ?? table.target(where: [entry, patch].contains) else { return nil }
            return Self.refusal(
                into != nil ? .branchIntoPrologue : .branchToEntry, Address(candidate.jump), target: target, code: code,
                entry: entry, architecture)
        }
        for (candidate, table) in Self.tables(candidates, of: function, in: tables) {
            if !table.isReadable { hasUncheckedIndirectJump = true }
            if let refusal = objection(candidate, table) { throw refusal }
            guard candidate.count > 0 else { continue }
            let longer = JumpTable(
                address: Address(candidate.table), count: nil, function: function, memory: tables)
            if let refusal = objection(candidate, longer) {
                provisos.append(
                    Proviso(places: Address(candidate.guard)..<Address(candidate.jump) + 1, refusal: refusal))
            }
        }
    }

    private static func first(_ count: Int, of bytes: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    }

    /// Reads tables. How many entries one has counts as long as no entry of any leads past the check that makes sure of it.
    private static func tables(
        _ candidates: [hp_table_candidate], of function: Range<Address>, in memory: any MemoryReader
    ) -> [(candidate: hp_table_candidate, table: JumpTable)] {
        var found: [(candidate: hp_table_candidate, table: JumpTable)] = candidates.map { candidate in
            let count = candidate.count > 0 ? Int(candidate.count) : nil
            let table = JumpTable(
                address: Address(candidate.table), count: count, function: function, memory: memory)
            return (candidate, table)
        }
        // Each time one more becomes unknown.
        while let doubtful = found.firstIndex(where: { known in
            let past = Address(known.candidate.guard)...Address(known.candidate.jump)
            return known.candidate.count > 0 && found.contains { $0.table.target(where: past.contains) != nil }
        }) {
            found[doubtful].candidate.count = 0
            found[doubtful].table = JumpTable(
                address: Address(found[doubtful].candidate.table), count: nil, function: function, memory: memory)
        }
        return found
    }

    private static func refusal(
        _ reason: Refusal.Reason, _ jump: Address, target: Address, code: UnsafeRawBufferPointer, entry: Address,
        _ architecture: Architecture
    ) -> Refusal {
        let offset = min(max(0, jump - entry), code.count)
        let length = min(15, code.count - offset)
        let instruction = architecture.disassemble(Array(code[offset..<offset + length]), at: jump).first
        return Refusal(
            reason: reason, address: jump, operand: target, bytes: instruction?.bytes ?? [],
            instruction: instruction?.text ?? "")
    }
}
