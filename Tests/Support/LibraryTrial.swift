import Glibc

/// Makes mutants of libraries, has them judged, and lets a loader open those that pass, each in a process of its own.
public struct LibraryTrial: Sendable {
    /// A library as its linker wrote it, and what a process has that opens it.
    public struct Original: Sendable {
        public var path: String
        public var with: [String]

        public init(_ path: String, with: [String] = []) {
            self.path = path
            self.with = with
        }
    }

    public struct Outcome: Sendable {
        public var judged = 0
        /// Those of them that passed; and what became of them where they were opened.
        public var passed = 0
        public var fates: [String: Int] = [:]
        /// Mutants that a loader did not survive: `NUMBER of LIBRARY FATE, after: CHANGES`.
        public var failures: [String] = []

        public init() {}
    }

    /// Libraries of C by three linkers, with either table of names and with both, with versions and without; one of Swift.
    /// - Parameters:
    ///   - sources: Tests/Victims/commands.
    ///   - directory: for what is compiled.
    public static func compile(_ sources: String, in directory: String) throws -> LibraryTrial {
        let map = directory + "/vetted.map"
        try write(Array("V1 { global: price; first; last; };\nV2 { global: tax; } V1;\n".utf8), to: map)
        let c = [
            "-g", "-O1", "-shared", "-fPIC", sources + "/vetted.c", "-lm", "-nostartfiles",
            "-Wl,-init=first,-fini=last",
        ]
        let builds = [
            ["gcc"] + c + ["-Wl,--hash-style=both,-z,now,-soname,libvetted.so"],
            ["gcc"] + c + ["-Wl,--hash-style=sysv,--version-script=\(map)"],
            ["gcc", "-fuse-ld=gold"] + c, ["clang", "-fuse-ld=lld"] + c + ["-Wl,-z,pack-relative-relocs"],
            ["swiftc", "-g", "-emit-library", "-parse-as-library", sources + "/vetted.swift"],
        ]
        let originals = try builds.enumerated().map { number, build in
            let path = "\(directory)/vetted-\(number).so"
            try runTool(build + ["-o", path])
            // What opens one of Swift has the runtime already.
            return Original(path, with: build[0] == "swiftc" ? [path] : [])
        }
        try runTool("gcc", "-O1", "-o", directory + "/opener", sources + "/opener.c")
        return try LibraryTrial(originals, opener: directory + "/opener")
    }

    private let opener: String
    private let originals: [(original: Original, library: HostileLibrary)]
    private let directory: TemporaryDirectory

    /// - Parameter opener: Tests/Victims/commands/opener.c, compiled.
    public init(_ originals: [Original], opener: String) throws {
        self.opener = opener
        self.originals = try originals.map { ($0, try HostileLibrary([UInt8](readingFile: $0.path))) }
        directory = try TemporaryDirectory("mutants")
    }

    /// - Parameters:
    ///   - numbers: which mutants. Number N of a seed is the same each time; the first are the originals.
    ///   - keep: a directory for those that fail.
    ///   - judge: whether a file may be loaded.
    public func run(
        seed: UInt64, _ numbers: Range<Int>, keep: String? = nil, judge: (String) throws -> Bool
    ) throws -> Outcome {
        var outcome = Outcome()
        var passed: [Int: [(number: Int, path: String, changes: String)]] = [:]
        for number in numbers {
            let (subject, mutant) = make(seed: seed, number)
            let path = "\(directory.path)/\(seed)-\(number).so"
            try Self.write(mutant.bytes, to: path)
            outcome.judged += 1
            if try judge(path) {
                outcome.passed += 1
                passed[subject, default: []].append((number, path, mutant.changes.joined(separator: "; ")))
            } else {
                if mutant.changes.isEmpty { outcome.failures.append("\(originals[subject].original.path) is refused") }
                unlink(path)
            }
        }
        for (subject, mutants) in passed.sorted(by: { $0.key < $1.key }) {
            for (mutant, fate) in zip(mutants, try open(mutants.map(\.path), of: originals[subject].original)) {
                let kind = String(fate.prefix { $0 != " " })
                outcome.fates[kind, default: 0] += 1
                // Where nothing was changed, it must be opened.
                if mutant.changes.isEmpty ? kind != "opened" : !["opened", "refused", "library"].contains(kind) {
                    outcome.failures.append(
                        "\(mutant.number) of \(originals[subject].original.path): \(fate), after: \(mutant.changes)")
                    if let keep { try? runTool("cp", mutant.path, keep) }
                }
                unlink(mutant.path)
            }
        }
        return outcome
    }

    private func make(seed: UInt64, _ number: Int) -> (subject: Int, mutant: HostileLibrary) {
        if number < originals.count { return (number, originals[number].library) }
        var generator = SeededGenerator(seed: seed &+ UInt64(number) &* 0x9e37_79b9_7f4a_7c15)
        let subject = originals.indices.randomElement(using: &generator)!
        var mutant = originals[subject].library
        let count = [1, 1, 1, 1, 2, 3, 6].randomElement(using: &generator)!
        while mutant.changes.count < count { mutant.mutate(&generator) }
        return (subject, mutant)
    }

    private static func write(_ bytes: [UInt8], to path: String) throws {
        let file = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o755)
        guard file >= 0 else { throw TestFailure("cannot write \(path): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        guard Glibc.write(file, bytes, bytes.count) == bytes.count else { throw TestFailure("cannot write \(path)") }
    }

    private func open(_ paths: [String], of original: Original) throws -> [String] {
        let result = try HotpatchTestSupport.run(
            [opener] + original.with.flatMap { ["--with", $0] } + paths, seconds: 600)
        let lines = result.output.split(separator: "\n").map(String.init)
        guard result.status == 0, lines.count == paths.count else {
            throw TestFailure("\(opener) tells of \(lines.count) libraries, not of \(paths.count): \(result)")
        }
        return lines
    }
}
