import CHotpatchVictims
import CPatch
import CPatchCore
import Glibc

/// A commit that fails leaves a thread where it was: one that cannot lay down a copy has moved nobody, and one that cannot write puts
/// back whom it has moved. Where it cannot undo what it wrote, the thread stays in the copy (`hp_commit_block`).
func orderOfACommit() throws {
    let parkings = [HP_PARKING_SIGNAL, HP_PARKING_PTRACE]
    let writers = [HP_WRITER_PROC_MEM, HP_WRITER_MPROTECT]
    for (parking, writer) in parkings.flatMap({ parking in writers.map { (parking, $0) } }) {
        let what = "parking \(parking.rawValue), writer \(writer.rawValue)"
        let spins = try Spins()
        func commit(copies: [hp_copy_item] = [], writes: [hp_write] = []) -> hp_commit_report {
            spins.commit(copies: copies, writes: writes, parking: parking, writer: writer)
        }

        // Nothing is mapped there.
        let copy = hp_copy_item(address: 1 << 46, bytes: spins.bytes, length: 4, kind: UInt32(HP_WRITE_TEXT.rawValue))
        var report = commit(copies: [copy])
        try expect(report.status == HP_COMMIT_ROLLED_BACK.rawValue, "\(what): status \(report.status)")
        try expect(report.held_threads > 0 && report.moved_threads == 0, "\(what): moved before the copies were there")

        // A file opened for reading, mapped shared: not even a debugger may write there.
        let file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
        let sealed = mmap(nil, pageSize, PROT_READ, MAP_SHARED, file, 0)
        close(file)
        defer { munmap(sealed, pageSize) }
        try expect(sealed != MAP_FAILED, "the program cannot be mapped")
        report = commit(writes: [text(at: UInt64(UInt(bitPattern: sealed)))])
        try expect(report.status == HP_COMMIT_ROLLED_BACK.rawValue, "\(what): status \(report.status)")
        try expect(report.moved_threads == 1, "\(what): nobody was moved")

        // Found where it was, by another that fails: with a protection that the kernel refuses, text cannot be sealed again.
        if writer == HP_WRITER_MPROTECT {
            var write = text(at: spins.here)
            write.protection = 0x40
            report = commit(writes: [write])
            try expect(report.status == HP_COMMIT_INCONSISTENT.rawValue, "\(what): status \(report.status)")
            try expect(report.moved_threads == 1, "\(what): a failed write has not put the thread back")
            report = commit()
            try expect(report.moved_threads == 0, "\(what): the thread was taken out of the copy")
        } else {
            report = commit()
            try expect(report.moved_threads == 1, "\(what): a failed write has not put the thread back")
            report = commit()
            try expect(report.moved_threads == 0, "\(what): the thread has not gone on in the copy")
        }
        try expect(spins.end().moved_threads == 1, "\(what): the thread is not in the copy")
    }
}

/// A thread that stays at one instruction, and a copy of that.
private struct Spins {
    let bytes: UnsafePointer<UInt8>
    var here: UInt64 { UInt64(UInt(bitPattern: bytes)) }
    private var there: UInt64 { here + 16 }

    init() throws {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let page = mmap(nil, pageSize, PROT_READ | PROT_WRITE, flags, -1, 0), page != MAP_FAILED else {
            throw Unexpected(description: "no memory")
        }
        // A branch to itself.
        #if arch(arm64)
            let (spin, leave): ([UInt8], [UInt8]) = ([0x00, 0x00, 0x00, 0x14], [0xC0, 0x03, 0x5F, 0xD6])
        #else
            let (spin, leave): ([UInt8], [UInt8]) = ([0xEB, 0xFE], [0xC3])
        #endif
        for (offset, code) in [(0, spin), (16, spin), (32, leave)] {
            (page + offset).copyMemory(from: code, byteCount: code.count)
        }
        mprotect(page, pageSize, PROT_READ | PROT_EXEC)
        victim_flush_code(page, 48)
        bytes = UnsafePointer(page.assumingMemoryBound(to: UInt8.self))

        let tid = Counter()
        let function = unsafeBitCast(page, to: (@convention(c) () -> Void).self)
        startThread {
            tid.value = Int(victim_gettid())
            function()
        }
        while tid.value == 0 { usleep(1000) }
        // Whether it is there yet, only a commit sees: a traced one, for a thread may be slow to leave the handler of another, and whoever
        // traces it then finds it there.
        while commit(parking: HP_PARKING_PTRACE, hazard: true).status != HP_COMMIT_BUSY.rawValue { usleep(1000) }
    }

    /// Lets the thread go.
    func end() -> hp_commit_report { commit(moves: [hp_pc_move(from: there, to: here + 32)]) }

    /// Moves the thread to the copy, or, with a hazard, is refused where it stands.
    func commit(
        copies: [hp_copy_item] = [], writes: [hp_write] = [], moves: [hp_pc_move]? = nil,
        parking: hp_parking = HP_PARKING_AUTOMATIC, writer: hp_writer = HP_WRITER_AUTOMATIC, hazard: Bool = false
    ) -> hp_commit_report {
        var options = hp_commit_options()
        options.timeout_ns = hazard ? 100_000_000 : 20_000_000_000
        options.hold_ns = 10_000_000_000
        options.parking = parking.rawValue
        options.writer = writer.rawValue
        options.page_size = pageSize
        var (writes, report) = (writes, hp_commit_report())
        let moves = hazard ? [] : moves ?? [hp_pc_move(from: here, to: there)]
        let hazards = hazard ? [hp_hazard(start: here, end: here + 1)] : []
        writes.withUnsafeMutableBufferPointer { writes in
            copies.withUnsafeBufferPointer { copies in
                moves.withUnsafeBufferPointer { moves in
                    hazards.withUnsafeBufferPointer { hazards in
                        var block = hp_commit_block(
                            copies: copies.baseAddress, copy_count: copies.count, writes: writes.baseAddress,
                            write_count: writes.count, moves: moves.baseAddress, move_count: moves.count,
                            hazards: hazards.baseAddress, hazard_count: hazards.count)
                        hp_commit(&block, &options, &report)
                    }
                }
            }
        }
        return report
    }
}

/// A write of what stands there already, compared with nothing.
private func text(at address: UInt64) -> hp_write {
    var write = hp_write()
    write.address = address
    write.bytes = UnsafePointer(bitPattern: UInt(address))
    write.expected = .allocate(capacity: 4)  // kept for good
    write.length = 4
    write.kind = UInt8(HP_WRITE_TEXT.rawValue)
    return write
}
