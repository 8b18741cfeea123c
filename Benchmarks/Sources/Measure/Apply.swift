import Foundation
import Workload

/// The command on an idle process: start to exit of `swift-hotpatch apply`.
enum Apply {
    static let rounds = 20

    static func measure(_ table: inout Table, command: String, targets: String, python: String?) throws {
        try measure(
            &table, command: command, what: "idle C process", state: "1 thread", library: "\(targets)/idle_patch.so",
            program: "\(targets)/idle", arguments: [], goal: 10)
        if let python, !python.isEmpty {
            try measure(
                &table, command: command, what: "idle python3", state: "1 thread, stripped",
                library: "\(targets)/python_patch.so", program: python,
                arguments: ["-c", "import time\nwhile True: time.sleep(1000)"], goal: 50)
        }
    }

    private static func measure(
        _ table: inout Table, command: String, what: String, state: String, library: String, program: String,
        arguments: [String], goal: Double
    ) throws {
        var apply = Sample()
        var revert = Sample()
        var applyPause = Sample()
        var revertPause = Sample()
        try with(program, arguments) { target in
            for round in -2..<rounds {
                var text = ""
                let applied = try nanoseconds { text = try output(of: command, self.apply(library, target)) }
                let held = try pause(text)
                let reverted = try nanoseconds { text = try output(of: command, self.revert(target)) }
                let heldAgain = try pause(text)
                // The first rounds read the files.
                guard round >= 0 else { continue }
                apply.add(applied / 1e6)
                applyPause.add(held)
                revert.add(reverted / 1e6)
                revertPause.add(heldAgain)
            }
        }
        let state = "\(what), \(state), files cached"
        table.add("apply, start to exit", state, apply, unit: "ms", goal: goal)
        table.add("apply, threads stopped", state, applyPause, unit: "ms", goal: 1)
        table.add("revert, start to exit", state, revert, unit: "ms")
        table.add("revert, threads stopped", state, revertPause, unit: "ms", goal: 1)
    }

    /// A program that runs as long as `body` does.
    static func with(_ program: String, _ arguments: [String], _ body: (pid_t) throws -> Void) throws {
        let target = try start(program, arguments)
        defer {
            kill(target, SIGTERM)
            waitpid(target, nil, 0)
        }
        usleep(300_000)
        try body(target)
    }

    /// The command's arguments that apply a library to a process.
    static func apply(_ library: String, _ target: pid_t) -> [String] {
        ["apply", library, "--pid", String(target), "--json"]
    }

    /// The command's arguments that revert all patches of a process.
    static func revert(_ target: pid_t) -> [String] { ["revert", "--pid", String(target), "--all", "--json"] }

    /// Milliseconds for which threads were held, as the command says it.
    static func pause(_ json: String) throws -> Double {
        struct Answer: Decodable {
            enum CodingKeys: String, CodingKey { case pause = "pause_ns" }
            /// Nanoseconds.
            var pause: Double
        }
        return try JSONDecoder().decode(Answer.self, from: Data(json.utf8)).pause / 1e6
    }
}
