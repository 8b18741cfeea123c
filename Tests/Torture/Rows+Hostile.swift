import Glibc
import HotpatchTestSupport

/// Programs and files that want to hurt the patcher: it ends by itself, in time, and with a code that it promises.
let hostileRows: [Row] = [
    Row("lies: bytes of the ledger") { rig in try rig.lies("bytes") },
    Row("lies: records of the ledger, checksums mended") { rig in try rig.lies("record") },
    Row("lies: program headers") { rig in try rig.lies("header") },
    Row("lies: the list of libraries") { rig in try rig.lies("list") },
    Row("mangled files, read as patches", run: readsMangledFiles),
    Row("mangled files, mapped by the process", run: meetsMangledFiles),
]

/// No command needs more for such small programs, in MiB.
private let largestSize = 400

extension Rig {
    fileprivate mutating func lies(_ kind: String) throws -> Figure {
        var figure = Figure()
        for _ in 0..<length.count(5, 150) {
            figure.tries += 1
            let liar = try start("liar")
            let pid = "\(liar.pid)"
            for whole in [
                try Patcher.run("apply", path("fix.so"), "--pid", pid),
                try Patcher.run("apply", path("fix2.so"), "--pid", pid),
            ] where whole.status != 0 { figure.harm("\(whole)") }
            let seed = generator.next() >> 1
            _ = try liar.ask("\(kind) \(seed)")
            for arguments in [["list", ""], ["apply", path("fix.so")], ["revert", "--all"]] {
                let outcome = try Patcher.run(arguments[0], arguments[1], "--pid", pid, "--timeout", "3000")
                if !outcome.isRegular || outcome.megabytes > largestSize || outcome.seconds > 20 {
                    figure.harm("\(kind) \(seed), \(arguments[0]): \(outcome), \(outcome.megabytes) MiB")
                }
            }
        }
        return figure
    }

    /// A library with some of its bytes changed: words of its headers and tables, or any.
    fileprivate mutating func mangled(_ original: [UInt8], at path: String) throws {
        var bytes = original
        let extremes: [UInt64] = [
            0, 1, 8, 0x7f, 0xff, 0x1000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000,
            0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, .max, .max - 0xfff,
        ]
        let headers = 64 + 56 * 12
        let sections = Int(bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 40, as: UInt64.self) })
        for _ in 0...random(below: 6) {
            // ELF and program headers; section headers; anything.
            let (start, size) = [(0, headers), (sections, bytes.count - sections), (0, bytes.count)][random(below: 3)]
            let at = start + random(below: size)
            if random(below: 2) == 0 {
                bytes[min(at, bytes.count - 1)] ^= 1 << UInt8(random(below: 8))
            } else {
                let word = extremes[random(below: extremes.count)]
                for (offset, byte) in withUnsafeBytes(of: word, Array.init).enumerated()
                where at / 8 * 8 + offset < bytes.count { bytes[at / 8 * 8 + offset] = byte }
            }
        }
        if random(below: 8) == 0 { bytes.removeLast(random(below: bytes.count)) }
        unlink(path)
        let file = creat(path, 0o755)
        guard file >= 0, bytes.withUnsafeBytes({ write(file, $0.baseAddress, $0.count) }) == bytes.count else {
            throw TestFailure("cannot write \(path)")
        }
        close(file)
    }
}

private func readsMangledFiles(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    let original = try [UInt8](readingFile: rig.path("fix.so"))
    let directory = try TemporaryDirectory("torture")
    let file = directory.path + "/mangled.so"
    let victim = try rig.start("still")
    for _ in 0..<rig.length.count(15, 600) {
        figure.tries += 1
        try rig.mangled(original, at: file)
        for arguments in [["symbols", file], ["dry", file]] {
            let outcome = try Patcher.run(arguments[0], arguments[1], "--pid", "\(victim.pid)", "--timeout", "3000")
            if ![0, 2].contains(outcome.status) || outcome.megabytes > largestSize || outcome.seconds > 20 {
                figure.harm("\(arguments[0]): \(outcome), \(outcome.megabytes) MiB")
            }
        }
    }
    let answer = try victim.ask()
    if answer != "harmed 0 price 7" { figure.harm(answer) }
    return figure
}

/// The process maps the file, and some remove it then: whoever examines the process comes across it.
private func meetsMangledFiles(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    let original = try [UInt8](readingFile: rig.path("fix.so"))
    let directory = try TemporaryDirectory("torture")
    for number in 0..<rig.length.count(10, 300) {
        figure.tries += 1
        let file = directory.path + "/mapped-\(number).so"
        try rig.mangled(original, at: file)
        let victim = try rig.start("maps", file)
        if rig.random(below: 2) == 0 { unlink(file) }
        for arguments in [["apply", rig.path("fix.so")], ["revert", "--all"]] {
            let outcome = try Patcher.run(arguments[0], arguments[1], "--pid", "\(victim.pid)", "--timeout", "5000")
            if ![0, 2].contains(outcome.status) || outcome.megabytes > largestSize || outcome.seconds > 25 {
                figure.harm("\(arguments[0]): \(outcome), \(outcome.megabytes) MiB")
            }
        }
        if try rig.harmed(victim.ask()) != 0 { figure.harm("the process") }
    }
    return figure
}
