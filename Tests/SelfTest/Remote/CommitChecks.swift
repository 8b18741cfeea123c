import CPatchCore
import Glibc
import HotpatchMemory
import HotpatchRemoteSupport
import HotpatchTestSupport

@testable import HotpatchRemoteTarget

private let nop: [UInt8] = [0x1f, 0x20, 0x03, 0xd5]
let branchToItself: [UInt8] = [0, 0, 0, 0x14]

let commitChecks: [Check] = [
    Check(name: "a branch is written while threads call the function, and taken back") {
        let victim = try Victim("aa")
        let detour = try Array(jump(from: victim.alpha, to: victim.beta))
        for round in 0..<times(20, brief: 4) {
            try commit(victim, [text(victim.alpha, nop, detour)])
            try victim.mustGoOn(after: "in round \(round)")
            try expect(victim.shared.value == 2, "round \(round): the branch is not taken: \(victim.shared.value)")
            try commit(victim, [text(victim.alpha, detour, nop)])
            try victim.mustGoOn(after: "in round \(round)")
            try expect(victim.shared.value == 1, "round \(round): the branch is still taken")
        }
    },
    Check(name: "text is poked where /proc/PID/mem may not write") {
        let victim = try Victim("a")
        let memory = try ProcMemory(path: "/proc/\(victim.pid)/mem", writable: false)
        let around = try memory.bytes(at: victim.alpha - 16, count: 48)
        let detour = try jump(from: victim.alpha, to: victim.beta)
        let report = try commit(victim, [text(victim.alpha, nop, detour)], memory: memory)
        try expect(report.pokedWrites == 1, "\(report.pokedWrites) writes were poked")
        let after = try memory.bytes(at: victim.alpha - 16, count: 48)
        try expect(after == around[..<16] + detour + around[20...], "bytes beside the branch have changed")
        try victim.mustGoOn()
        try expect(victim.shared.value == 2, "the branch is not taken")
    },
    Check(name: "unexpected bytes, and a write across pages, are refused") {
        let victim = try Victim("a")
        try refused(.mismatch(address: victim.alpha, expected: [1, 2, 3, 4], found: nop)) {
            try commit(victim, [text(victim.alpha, [1, 2, 3, 4], nop)])
        }
        try refused(.crossesPage(address: victim.atPageEnd, length: 8)) {
            try commit(victim, [text(victim.atPageEnd, nil, nop + nop)])
        }
        try victim.mustGoOn()
    },
    Check(name: "what was written is undone when a later write fails") {
        let victim = try Victim("a")
        let detour = try jump(from: victim.alpha, to: victim.beta)
        do {
            try commit(victim, [text(victim.alpha, nop, detour), text(victim.sealed, nil, nop)])
            throw TestFailure("committed")
        } catch CommitError.rolledBack {}
        let now = try victim.process().memory().bytes(at: victim.alpha, count: 4)
        try expect(now == nop, "the entry holds \(now)")
        try victim.mustGoOn()
    },
    Check(name: "a PC inside an entry goes on in the copy") {
        let victim = try Victim("h")
        let report = try commit(
            victim, [text(victim.beta, nil, branchToItself), text(victim.spin, nil, nop + branchToItself)],
            moves: [hp_pc_move(from: (victim.spin + 4).rawValue, to: victim.beta.rawValue)])
        try expect(report.movedThreads == 1, "\(report.movedThreads) threads were moved")
        let stopped = try StoppedProcess(try victim.process(), deadline: .after(milliseconds: 10_000))
        try expect(stopped.threads.contains { $0.pc == victim.beta }, "the thread is elsewhere")
        _ = stopped.resume()
        try victim.mustBeUnharmed()
    },
    // Nothing is written: so the thread goes on where it was.
    Check(name: "PCs are put back when a write fails, or a copy") {
        let victim = try Victim("h")
        let inside = victim.spin + 4
        func mustFail(_ writes: [hp_write], copies: [hp_copy_item] = [], copy: UInt64) throws {
            do {
                try commit(victim, writes, moves: [hp_pc_move(from: inside.rawValue, to: copy)], copies: copies)
                throw TestFailure("committed")
            } catch CommitError.rolledBack {}
            let stopped = try StoppedProcess(try victim.process(), deadline: .after(milliseconds: 10_000))
            try expect(stopped.threads.contains { $0.pc == inside }, "the thread is elsewhere")
            _ = stopped.resume()
            try victim.mustBeUnharmed()
        }
        try mustFail([text(victim.sealed, nil, nop)], copy: victim.beta.rawValue)
        let nowhere: UInt64 = 1 << 40
        try nop.withUnsafeBufferPointer { bytes in
            let copy = hp_copy_item(
                address: nowhere, bytes: bytes.baseAddress, length: bytes.count, kind: UInt32(HP_WRITE_TEXT.rawValue))
            try mustFail([], copies: [copy], copy: nowhere)
        }
    },
    // PSTATE.BTYPE says that an indirect branch has come: in a guarded page only a `bti` may follow.
    Check(name: "a PC that is moved off a landing pad may go on anywhere") {
        let victim = try Victim("i")
        var moved = 0
        var tries = 0
        while moved < times(10, brief: 3), tries < 3000 {
            tries += 1
            let move = hp_pc_move(from: victim.pad.rawValue, to: victim.padCopy.rawValue)
            moved += try commit(victim, [], moves: [move]).movedThreads
        }
        say("    \(moved) times of \(tries) the thread stood on the landing pad")
        try expect(moved > 0, "the thread was never met on the landing pad")
        try victim.mustGoOn()
    },
    Check(name: "a PC in a signal frame is found") {
        let victim = try Victim("h")
        Calls.tgkill(victim.pid, try victim.tasks[1], SIGUSR1)
        for _ in 0..<1000 where victim.shared.inHandler == 0 { usleep(10_000) }
        let hazard = hp_hazard(start: victim.spin.rawValue + 4, end: victim.spin.rawValue + 8)
        do {
            try commit(victim, [text(victim.spin, nil, nop)], hazards: [hazard])
            throw TestFailure("committed")
        } catch CommitError.busy(_, let address, let foundAt) {
            try expect(address == victim.spin + 4 && foundAt != nil, "found \(address)")
        }
        try victim.mustBeUnharmed()
    },
]

private func jump(from: Address, to: Address) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(HP_DETOUR_CAPACITY))
    let length = hp_encode_jump(HP_ARCH_ARM64, from.rawValue, to.rawValue, &bytes)
    guard length > 0 else { throw TestFailure("out of reach") }
    return Array(bytes.prefix(length))
}

func text(_ address: Address, _ old: [UInt8]?, _ new: [UInt8]) -> hp_write {
    Victim.write(address, from: old, to: new)
}

@discardableResult
func commit(
    _ victim: Victim, _ writes: [hp_write], moves: [hp_pc_move] = [], hazards: [hp_hazard] = [],
    copies: [hp_copy_item] = [], memory: ProcMemory? = nil
) throws -> CommitReport {
    try victim.commit(writes, moves: moves, hazards: hazards, copies: copies, memory: memory)
}

private func refused(_ expected: CommitError, _ body: () throws -> Void) throws {
    do {
        try body()
        throw TestFailure("committed, instead of \(expected)")
    } catch let error as CommitError {
        try expect(error == expected, "\(error)")
    }
}
