/// Files of one module that one frontend compiles, as SwiftPM has it done: it reads the module, and what that imports, once for all of
/// them. That is most of what a small file takes.
struct CompilerBatch: Sendable {
    struct Job: Sendable {
        var command: CompileCommand
        /// Where its outputs go.
        var folder: String
        var file: CompileTransaction.File
    }

    private let jobs: [Job]
    let program: CompilerProcess.Program

    private init(_ job: Job) {
        jobs = [job]
        program = .init(job.command.arguments(writingInto: job.folder), in: job.command.workingDirectory)
    }

    /// Nil unless the commands differ in nothing but the file that is compiled.
    private init?(_ jobs: [Job]) {
        guard let first = jobs.first?.command, first.language == .swift else { return nil }
        let shared = first.arguments.filter { $0 != "-primary-file" }
        let isShared = jobs.allSatisfy {
            $0.command.language == .swift && $0.command.workingDirectory == first.workingDirectory
                && $0.command.arguments.filter { $0 != "-primary-file" } == shared
        }
        guard isShared else { return nil }
        var left = Dictionary(jobs.map { ($0.command.source, $0) }) { first, _ in first }
        var arguments: [String] = []
        var outputs: [String] = []
        for word in shared {
            // The outputs stand in the order of the files that are compiled.
            if let job = left.removeValue(forKey: word) {
                arguments.append("-primary-file")
                outputs += job.command.outputArguments(writingInto: job.folder)
            }
            arguments.append(word)
        }
        guard left.isEmpty else { return nil }
        self.jobs = jobs
        program = .init(arguments + outputs, in: first.workingDirectory)
    }

    /// Shares jobs out among as many frontends as there are processors, where there are many. A few, as most edits are, have one each:
    /// what the compiler prints is of one file then.
    static func batches(of jobs: [Job], processors: Int) -> [Self] {
        guard jobs.count > 4 * processors else { return jobs.map(Self.init) }
        let size = (jobs.count + processors - 1) / processors
        return stride(from: 0, to: jobs.count, by: size).flatMap { start -> [Self] in
            let part = Array(jobs[start..<min(start + size, jobs.count)])
            return Self(part).map { [$0] } ?? part.map(Self.init)
        }
    }

    /// The same files, a frontend for each.
    var alone: [Self] { jobs.map(Self.init) }

    /// What has been compiled. Of what was printed, each file has all in which it is named.
    func compiled(_ result: CompilerResult) -> [CompileTransaction.File] {
        let text = result.text
        return jobs.map { job in
            var file = job.file
            file.nanoseconds = result.nanoseconds
            if jobs.count == 1 || text.contains(file.source) { file.warnings = result.printed }
            return file
        }
    }

    /// The files that the compiler has refused, the first with what was printed; nil where the batch has to be compiled one by one to
    /// know them: where the compiler has crashed, for instance.
    func refused(_ result: CompilerResult) -> [(source: String, printed: [UInt8])]? {
        if jobs.count == 1 { return [(jobs[0].file.source, result.printed)] }
        let errors = result.text.split(separator: "\n").filter { $0.contains("error:") }
        let refused = jobs.map(\.file.source).filter { source in errors.contains { $0.contains(source + ":") } }
        return refused.isEmpty ? nil : refused.enumerated().map { ($1, $0 == 0 ? result.printed : []) }
    }
}
