import CHotpatchLinux
import CPatchAgent
import CPatchMachine
import CPatchCore
import Glibc
import HotpatchMemory
import HotpatchPlan

extension StoppedProcess {
    /// Makes all changes of a commit block, or none, in the order of every commit (`hp_commit_block`):
    /// 1. check: besides what that says, a write lies inside one page, where that is not writable. A stack is searched as `StackScan` says;
    /// 2. copies;
    /// 3. moves;
    /// 4. writes, each one pwrite.
    ///
    /// System calls were mended, where that is possible, when the registers were read. The threads go on when the process is resumed.
    ///
    /// - Parameters:
    ///   - block: the plan made flat. Where a write is not compared, its `expected` is filled in, for the undo.
    ///   - memory: of this process, opened before the stop; writable where that is permitted.
    /// - Throws: `CommitError`; the process stays stopped in every case.
    package borrowing func commit(
        _ block: UnsafePointer<hp_commit_block>, memory: ProcMemory
    ) throws(CommitError) -> CommitReport {
        let session = session
        let result: Result<CommitReport, CommitError> = session.tracer.run {
            do throws(CommitError) {
                var commit = RemoteCommit(session: session, block: block, memory: memory)
                return .success(try commit.run())
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// The first thread whose PC lies in `range`, or whose stack holds a word that points into it; nil where none is there.
    /// - Throws: `CommitError.pauseExceeded` where looking takes longer than threads may be held.
    package borrowing func firstThread(in range: Range<Address>) throws(CommitError) -> Int32? {
        let tracees = session.tracees
        for tracee in tracees.tracees {
            var registers = tracee.registers
            if range.contains(Address(hp_registers_pc(&registers))) { return tracee.tid }
            var scan = StackScan(of: registers, memory: tracees.memory, signatureBits: tracees.signatureBits)
            let words = range.lowerBound.rawValue..<range.upperBound.rawValue
            if scan.first(from: hp_registers_sp(&registers), in: words, where: { _, _ in true }) != nil {
                return tracee.tid
            }
            try session.checkPause()
        }
        return nil
    }
}

extension StopSession {
    /// - Throws: `CommitError.pauseExceeded`.
    fileprivate func checkPause() throws(CommitError) {
        if let excess { throw .pauseExceeded(nanoseconds: excess, allowed: maximumPause ?? excess) }
    }
}

private struct RemoteCommit {
    let session: StopSession
    let block: UnsafePointer<hp_commit_block>
    let memory: ProcMemory
    var poked = 0

    init(session: StopSession, block: UnsafePointer<hp_commit_block>, memory: ProcMemory) {
        self.session = session
        self.block = block
        self.memory = memory
    }

    mutating func run() throws(CommitError) -> CommitReport {
        let writes = UnsafeMutableBufferPointer(start: block.pointee.writes, count: block.pointee.write_count)
        try check(writes)
        let scanned = try searchStacks()
        let moves = try planMoves()
        try session.checkPause()
        // 2.
        try layDown()
        do throws(CommitError) {
            // 3.
            for move in moves where !session.tracees.setRegisters(move.index, move.after) {
                throw .threadLost(session.tracees.tracees[move.index].tid)
            }
            // 4.
            try write(writes)
        } catch {
            if error.outcome != .inconsistent {
                for move in moves { _ = session.tracees.setRegisters(move.index, move.before) }
            }
            throw error
        }
        return CommitReport(
            writes: writes.count, movedThreads: moves.count, scannedBytes: scanned, pokedWrites: poked,
            pausedNanoseconds: Deadline.now &- session.tracees.firstInterrupt)
    }

    /// 1: the writes.
    private func check(_ writes: UnsafeMutableBufferPointer<hp_write>) throws(CommitError) {
        for index in writes.indices {
            let write = writes[index]
            let address = Address(write.address)
            let length = Int(write.length)
            guard length >= 1 else { throw .invalidWrite(address: address, length: length) }
            if write.kind != UInt8(HP_WRITE_DATA.rawValue),
                Int(write.address % UInt64(MemoryPage.size)) + length > MemoryPage.size
            {
                throw .crossesPage(address: address, length: length)
            }
            let found: [UInt8]
            do { found = try memory.bytes(at: address, count: length) } catch { throw .unreadable(error) }
            if write.compared != 0 {
                let expected = Array(UnsafeBufferPointer(start: write.expected, count: length))
                if found != expected { throw .mismatch(address: address, expected: expected, found: found) }
            } else {
                write.expected.update(from: found, count: length)
            }
        }
    }

    /// 1: the stacks.
    private func searchStacks() throws(CommitError) -> Int {
        guard block.pointee.hazard_count > 0 else { return 0 }
        // Ascending and disjoint.
        let hazards = block.pointee.hazards[0].start..<block.pointee.hazards[block.pointee.hazard_count - 1].end
        var scanned = 0
        for tracee in session.tracees.tracees {
            var registers = tracee.registers
            var scan = StackScan(of: registers, memory: session.tracees.memory)
            if let (word, address) = scan.first(
                from: hp_registers_sp(&registers), in: hazards, where: { hp_is_hazard(block, $0) && isSavedPC(at: $1) })
            {
                throw .busy(thread: tracee.tid, address: Address(word), foundAt: Address(address))
            }
            scanned += scan.scannedBytes
            try session.checkPause()
        }
        return scanned
    }

    /// Whether a word of a stack with the value of a hazard is one. Where its neighbours cannot be read, it is.
    private func isSavedPC(at address: UInt64) -> Bool {
        var neighbours = [UInt64](repeating: 0, count: Int(HP_NEIGHBOURS))
        let first = address &- UInt64(HP_NEIGHBOURS_BELOW * 8)
        let count = neighbours.withUnsafeMutableBytes {
            session.tracees.memory.prefix(at: Address(first), into: $0)
        }
        return count != neighbours.count * 8 || Architecture.current.isSavedPC(between: neighbours)
    }

    private struct Move {
        var index: Int
        var before: hp_registers
        var after: hp_registers
    }

    /// 3, decided as part of 1.
    private func planMoves() throws(CommitError) -> [Move] {
        var moves: [Move] = []
        for (index, tracee) in session.tracees.tracees.enumerated() {
            var registers = tracee.registers
            let pc = hp_registers_pc(&registers)
            // A system call that will be entered again resumes at the instruction that made it, and that is the one whose
            // copy counts.
            let step = hp_registers_restart_step(&registers)
            let target = hp_moved_pc(block, pc &- step)
            if target == pc &- step {
                if hp_is_hazard(block, target) { throw .busy(thread: tracee.tid, address: Address(pc), foundAt: nil) }
                continue
            }
            hp_registers_set_pc(&registers, target &+ step)
            moves.append(Move(index: index, before: tracee.registers, after: registers))
        }
        return moves
    }

    /// 2: stubs, new slots, ledger records.
    private func layDown() throws(CommitError) {
        for item in UnsafeBufferPointer(start: block.pointee.copies, count: block.pointee.copy_count) {
            let bytes = UnsafeRawBufferPointer(start: item.bytes, count: item.length)
            do throws(MemoryError) { try memory.write(bytes, at: Address(item.address)) } catch {
                throw .rolledBack(error)
            }
        }
    }

    /// 4.
    private mutating func write(_ writes: UnsafeMutableBufferPointer<hp_write>) throws(CommitError) {
        for index in writes.indices {
            let write = writes[index]
            do throws(MemoryError) {
                try put(
                    Array(UnsafeBufferPointer(start: write.bytes, count: Int(write.length))), at: Address(write.address)
                )
            } catch {
                var undoFailure: MemoryError?
                // The failed one too: a write through PTRACE_POKEDATA may have got half way.
                for undone in (0...index).reversed() {
                    let old = writes[undone]
                    let bytes = Array(UnsafeBufferPointer(start: old.expected, count: Int(old.length)))
                    if (try? memory.bytes(at: Address(old.address), count: bytes.count)) == bytes { continue }
                    do throws(MemoryError) { try put(bytes, at: Address(old.address)) } catch {
                        if undone != index { undoFailure = error }
                    }
                }
                if let undoFailure { throw .inconsistent(error, undo: undoFailure) }
                throw .rolledBack(error)
            }
        }
    }

    private mutating func put(_ bytes: [UInt8], at address: Address) throws(MemoryError) {
        do throws(MemoryError) { try memory.write(bytes, at: address) } catch {
            // EBADF: opened for reading only, where opening it for writing is forbidden.
            guard [EIO, EPERM, EACCES, EBADF].contains(error.code) else { throw error }
            guard let thread = session.tracees.tracees.first?.tid, poke(bytes, at: address, thread: thread) else {
                throw error
            }
            poked += 1
        }
    }

    /// Word by word, where /proc/PID/mem may not write text. One aligned word where the bytes lie in one: then as whole as a pwrite.
    private func poke(_ bytes: [UInt8], at address: Address, thread: Int32) -> Bool {
        let first = address.roundedDown(to: 8)
        let last = (address + bytes.count).roundedUp(to: 8)
        guard var words = try? memory.bytes(at: first, count: last - first) else { return false }
        words.replaceSubrange((address - first)..<(address - first + bytes.count), with: bytes)
        for offset in stride(from: 0, to: words.count, by: 8) {
            let word = words.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
            if hp_ptrace_poke_word(thread, (first + offset).rawValue, word) != 0 { return false }
        }
        return true
    }
}
