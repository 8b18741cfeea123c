import Glibc
import HotpatchTestSupport

extension RunResult {
    var json: Parsed { Parsed(output) }
}

/// Runs `swift-hotpatch`, which lies beside the test's bundle.
func hotpatch(_ arguments: String..., asUser user: Int? = nil) throws -> RunResult {
    try hotpatch(arguments, asUser: user)
}

func hotpatch(_ arguments: [String], asUser user: Int? = nil) throws -> RunResult {
    let become =
        user.map { ["setpriv", "--reuid=\($0)", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"] } ?? []
    return try run(become + [products + "/swift-hotpatch"] + arguments)
}

typealias Victim = Conversation

extension Victim {
    var id: String { "\(pid)" }

    /// What the kernel says about its memory.
    func maps() throws -> String { String(decoding: try Workshop.bytes(of: "/proc/\(pid)/maps"), as: UTF8.self) }

    /// The state letter of its first thread, and its threads.
    func state() throws -> Character {
        let stat = String(decoding: try Workshop.bytes(of: "/proc/\(pid)/stat"), as: UTF8.self)
        return stat[stat.index(stat.lastIndex(of: ")")!, offsetBy: 2)]
    }

    func waitForState(_ wanted: Set<Character>) throws {
        for _ in 0..<3000 {
            if wanted.contains(try state()) { return }
            usleep(10_000)
        }
        throw TestFailure("process \(pid) does not come to state \(wanted)")
    }
}
