import Benchmark
import Hotpatch
import Subjects
import HotpatchSymbols
import Workload

/// Durations with the harness's statistics; `Measure` has the ratios and joins both into one table.
let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .throughput], warmupIterations: 2, maxDuration: .seconds(4), maxIterations: 60)
    Workload.loadLibraries()

    Benchmark("index") { benchmark in
        for _ in benchmark.scaledIterations { blackHole(try Workload.index()) }
    }

    Benchmark("first demangled query") { benchmark in
        let index = try Workload.index()
        benchmark.startMeasurement()
        blackHole(try index.function(named: "Workload.swiftPlain"))
        benchmark.stopMeasurement()
    }

    // Made once; where it cannot be, the benchmarks that need it say so.
    let shared = Result { try Workload.index() }
    let lookUps = Benchmark.Configuration(
        metrics: [.wallClock, .throughput], warmupIterations: 2, maxDuration: .seconds(2),
        maxIterations: 200)

    Benchmark("look-up, mangled", configuration: lookUps) { benchmark in
        let index = try shared.get()
        benchmark.startMeasurement()
        for number in 0..<Workload.lookUps {
            blackHole(try index.function(named: Workload.mangledNames[number % Workload.mangledNames.count]))
        }
    }

    Benchmark("look-up, demangled", configuration: lookUps) { benchmark in
        let index = try shared.get()
        benchmark.startMeasurement()
        for _ in 0..<Workload.lookUps { blackHole(try index.function(named: "Workload.swiftPlain")) }
    }

    Benchmark("install 2000, stubs reused") { benchmark in
        let index = try shared.get()
        let replacements = try Workload.replacements(from: 0, in: index)
        let engine = Workload.engine(index)
        benchmark.startMeasurement()
        let receipt = try engine.apply(Workload.request(replacements))
        benchmark.stopMeasurement()
        _ = try engine.revert([receipt.id])
    }
}
