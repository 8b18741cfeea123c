import Foundation
import HotpatchSymbols
import Workload

/// The symbol index: what the harness measured, with the size of what it measured.
enum Names {
    /// A benchmark in the harness's JMH export.
    private struct Element: Decodable {
        struct Metric: Decodable { var rawData: [[Double]] }
        var benchmark: String
        var secondaryMetrics: [String: Metric]
        /// Microseconds of the wall clock.
        var microseconds: Sample { Sample(secondaryMetrics["Time (wall clock)"]?.rawData.first ?? []) }
    }

    static func measure(_ table: inout Table, harness path: String?) throws {
        guard let path else { return }
        let text = try String(contentsOfFile: path, encoding: .utf8)
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("[{") }) else {
            throw Failure("the harness wrote no results: \(text)")
        }
        let elements = try JSONDecoder().decode([Element].self, from: Data(line.utf8))
        func sample(_ name: String) -> Sample {
            elements.first { $0.benchmark.hasSuffix("." + name.replacingOccurrences(of: " ", with: "_")) }?.microseconds
                ?? Sample()
        }
        Workload.loadLibraries()
        // The harness exports what all calls of one measurement took.
        let calls = Double(Workload.lookUps)
        let size = Workload.size(of: try Workload.index())
        let state = "\(size.entries) symbols, \(size.functions) functions, \(size.images) images, files cached"
        table.add("index by mangled name", state, sample("index") / 1000, unit: "ms", goal: 150)
        table.add("first demangled query", state, sample("first demangled query") / 1000, unit: "ms", goal: 400)
        table.add("look-up by mangled name", state, sample("look-up, mangled") / calls, unit: "µs", goal: 2)
        table.add("look-up by demangled name", state, sample("look-up, demangled") / calls, unit: "µs", goal: 2)
        table.add(
            "install, stubs reused, in a large process", "2,000 C functions, \(size.entries) symbols",
            sample("install 2000, stubs reused") / Double(Workload.batch), unit: "µs each", goal: 10)
    }
}
