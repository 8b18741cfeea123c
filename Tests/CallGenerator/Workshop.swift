import Glibc
import HotpatchTestSupport

/// Compiles a batch and runs it.
struct Workshop {
    /// How the two modules are compiled: `-O` and `-Onone`.
    struct Configuration {
        let target: String
        let test: String
        var name: String { "\(target.dropFirst())/\(test.dropFirst())" }

        init?(_ name: String) {
            let parts = name.split(separator: "/")
            guard parts.count == 2, parts.allSatisfy({ $0 == "O" || $0 == "Onone" }) else { return nil }
            (target, test) = ("-\(parts[0])", "-\(parts[1])")
        }
    }

    let directory: String
    private let machine: Machine
    private static let kit = String(#filePath.dropLast("Workshop.swift".count)) + "Kit"
    private static let package = String(kit.dropLast("/Tests/CallGenerator/Kit".count))
    /// What a program that patches itself links, in the package's terms.
    private static let modules = [
        "Hotpatch", "HotpatchObjects", "HotpatchHotLink", "HotpatchEngine", "HotpatchLocalTarget", "HotpatchSymbols",
        "HotpatchProcFS", "HotpatchELF",
        "HotpatchDemangle", "HotpatchPlan", "HotpatchMemory", "HotpatchSwiftCall", "CPatchCall", "CPatch",
        "CPatchCore", "CPatchMachine",
    ]

    /// - Parameter directory: a new one, or an empty one.
    init(_ batch: Batch, directory: String, machine: Machine) throws {
        self.directory = directory
        self.machine = machine
        try write(batch.target, to: "\(directory)/Target.swift")
        try write(batch.test, to: "\(directory)/Test.swift")
    }

    /// - Returns: the program.
    func build(_ configuration: Configuration) throws -> String {
        let target = try compileTarget(configuration.target)
        let place = "\(directory)/\(configuration.target)\(configuration.test)"
        mkdir(place, 0o755)
        var imports = ["-I", target, "-I", "\(machine.products)/Modules", "-I", Self.kit]
        for module in ["CPatchCall", "CPatch", "CPatchCore"] {
            imports += ["-Xcc", "-fmodule-map-file=\(machine.products)/\(module).build/module.modulemap"]
        }
        for part in ["Core", "Machine", "Commit", "Call"] {
            imports += ["-Xcc", "-I\(Self.package)/CPatch/\(part)/include"]
        }
        for module in ["CHotpatchLinux", "CHotpatchElf", "CHotpatchDw"] {
            imports += ["-I", "\(Self.package)/Sources/\(module)"]
        }
        try compile(
            ["-c", "\(directory)/Test.swift", "\(Self.kit)/Checks.swift", configuration.test, "-module-name", "Test"]
                + imports
                + ["-o", "\(place)/Test.o"])
        let objects = try objects()
        try runTool(
            ["swiftc", "\(place)/Test.o", "\(target)/Target.o"] + objects + machine.flags + machine.linkerFlags
                + ["-lcapstone", "-o", "\(place)/test"])
        return "\(place)/test"
    }

    private func compileTarget(_ optimisation: String) throws -> String {
        let place = "\(directory)/\(optimisation)"
        guard access(place, F_OK) != 0 else { return place }
        mkdir(place, 0o755)
        let module = ["\(directory)/Target.swift", "\(Self.kit)/Values.swift", optimisation, "-module-name", "Target"]
        // Else callers in other modules could get copies of their own, which no patch reaches.
        try compile(module + ["-disable-cmo", "-emit-module", "-o", "\(place)/Target.swiftmodule"])
        // DWARF tells which methods are mutating.
        try compile(module + ["-c", "-g", "-o", "\(place)/Target.o"])
        return place
    }

    private func compile(_ arguments: [String]) throws {
        let common = ["swiftc", "-wmo", "-parse-as-library", "-swift-version", "5", "-suppress-warnings"]
        let result = try HotpatchTestSupport.run(common + machine.flags + arguments, seconds: 900)
        guard result.status == 0 else { throw TestFailure("\(arguments.joined(separator: " ")): \(result)") }
    }

    /// The objects of `modules`, as a program links them: in their folders others may lie, of sources that are no more.
    private func objects() throws -> [String] {
        // This program; where it is not built for the machine, another that patches itself.
        let lists = ["HotpatchCallGenerator", "HotpatchScenarios"].map {
            "\(machine.products)/\($0).product/Objects.LinkFileList"
        }
        guard let list = lists.first(where: { access($0, R_OK) == 0 }) else {
            throw TestFailure("no program is built in \(machine.products)")
        }
        return try HotpatchTestSupport.run(["cat", list]).output.split(separator: "\n").map {
            $0.trimmingPrefix("'").prefix { $0 != "'" }
        }.filter { path in Self.modules.contains { path.contains("/\($0).build/") } }.map(String.init)
    }
}

func write(_ text: String, to path: String) throws {
    guard let file = fopen(path, "w") else { throw TestFailure("cannot write \(path)") }
    defer { fclose(file) }
    guard fputs(text, file) >= 0 else { throw TestFailure("cannot write \(path)") }
}
