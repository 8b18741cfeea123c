import Glibc
import HotpatchELF
import HotpatchHotLink
import HotpatchMemory
import HotpatchPlan
import HotpatchTestSupport

/// One hostile pair of objects: which, and what was done to them.
struct Input: CustomStringConvertible {
    private let subject: Subject
    /// What the compiler wrote: it has to be linked.
    private let isUntouched: Bool
    private var before: HostileObject
    private var after: HostileObject

    init(seed: UInt64, number: Int, _ subjects: [Subject]) throws {
        var generator = SeededGenerator(seed: seed &+ UInt64(number) &* 0x9e37_79b9_7f4a_7c15)
        isUntouched = number < subjects.count
        subject = isUntouched ? subjects[number] : subjects.randomElement(using: &generator)!
        (before, after) = (subject.before, subject.after)
        if isUntouched { return }
        let count = [1, 1, 1, 2, 3, 5, 12].randomElement(using: &generator)!
        switch Int.random(in: 0..<10, using: &generator) {
        case 0..<7: for _ in 0..<count { after.mutate(&generator) }
        case 7..<9: for _ in 0..<count { before.mutate(&generator) }
        default:
            for _ in 0..<count { after.mutate(&generator) }
            for _ in 0..<count { before.mutate(&generator) }
        }
    }

    var description: String {
        ([subject.name] + before.changes.map { "before: \($0)" } + after.changes.map { "after: \($0)" })
            .joined(separator: "; ")
    }

    func write(to directory: String) throws {
        try before.bytes.write(toFile: directory + "/before.o")
        try after.bytes.write(toFile: directory + "/after.o")
    }

    /// What came of it: `linked`, or the name of the error.
    /// - Throws: `TestFailure` where it went otherwise than it may.
    func link(from directory: String) throws -> String {
        let result = try tryToLink(from: directory)
        if isUntouched, result != "linked" { throw TestFailure("it is not linked: \(result)") }
        return result
    }

    private func tryToLink(from directory: String) throws -> String {
        do {
            let (before, after) = (
                try ElfImage(path: directory + "/before.o"), try ElfImage(path: directory + "/after.o")
            )
            // Before anything is refused: what comes later has its own way to read. What nobody changed, the first inputs read.
            if isUntouched || !self.before.changes.isEmpty { read(before) }
            if isUntouched || !self.after.changes.isEmpty { read(after) }
            let edit = try ObjectEdit(before: before, after: after, live: subject.live)
            let linker = try ObjectLinker([edit], into: subject.live)
            _ = (linker.table, linker.summary, linker.changedFunctions)
            let plan = try linker.plan()
            guard !linker.changesNothing else { return "unchanged" }
            let linked = try plan.link(subject.ranges(of: plan.segments))
            try check(linked, of: plan)
            return "linked"
        } catch let error as LinkError {
            return try name(error, "\(error)")
        } catch let error as FixupError {
            return try name(error, "\(error)")
        } catch let error as ReadError { return try name(error, "\(error)") }
    }

    /// Each part of the whole by itself.
    private func read(_ file: ElfImage) {
        _ = Fingerprint.all(of: file)
        _ = file.contentsDigest
        guard let object = try? ObjectFile(file) else { return }
        _ = LiveProgram.image(of: object, in: subject.live.index)
        guard let graph = try? ObjectGraph(object) else { return }
        let other = subject.graph
        guard graph.object.architecture == other.object.architecture else { return }
        for (old, new) in [(other, graph), (graph, other)] {
            _ = RestartReason.all(old: old, new: new).map(\.description)
            _ = ConstantChange.all(old: old, new: new, constants: nil)
        }
    }

    /// An error says what, why, and what to do.
    private func name(_ error: any Error, _ text: String) throws -> String {
        guard text.hasSuffix("."), text.contains(". ") || text.contains("\n") else {
            throw TestFailure("an error that does not say what to do: \(text)")
        }
        guard text.utf8.count < 1 << 20 else { throw TestFailure("an error of \(text.utf8.count) bytes") }
        if isUntouched { throw TestFailure(text) }
        return error is FixupError ? "fixup" : Mirror(reflecting: error).children.first?.label ?? "error"
    }

    /// What is linked stays inside of its memory.
    private func check(_ linked: LinkPlan.Linked, of plan: LinkPlan) throws {
        let ranges = subject.ranges(of: plan.segments)
        func isInside(_ address: Address) -> Bool { ranges.contains { $0.contains(address) } }
        guard linked.contents.count == plan.segments.count,
            zip(linked.contents, plan.segments).allSatisfy({ $0.count <= $1.size })
        else { throw TestFailure("contents that are larger than their segments") }
        for redirect in linked.redirects {
            guard let text = plan.segments.firstIndex(where: { $0.kind == .text }),
                ranges[text].contains(redirect.address)
            else { throw TestFailure("\(redirect.name) leads to \(redirect.address)") }
            guard subject.live.image.range.contains(redirect.function.address) else {
                throw TestFailure("what is replaced lies at \(redirect.function.address)")
            }
        }
        for store in linked.stores {
            guard store.expected.count == store.bytes.count, !store.bytes.isEmpty else {
                throw TestFailure("\(store.name): \(store.expected.count) bytes become \(store.bytes.count)")
            }
            guard subject.live.image.range.contains(store.address) || subject.isLinked(store.address) else {
                throw TestFailure("\(store.name) lies at \(store.address)")
            }
        }
        for call in linked.calls where call.name.contains("register") {
            guard call.arguments.allSatisfy({ isInside(Address($0)) || ranges.map(\.upperBound).contains(Address($0)) })
            else { throw TestFailure("\(call.name) is called with \(call.arguments)") }
        }
    }
}

extension [UInt8] {
    func write(toFile path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw TestFailure("cannot write \(path): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        var done = 0
        while done < count {
            let written = self[done...].withUnsafeBytes { Glibc.write(file, $0.baseAddress!, $0.count) }
            guard written > 0 else { throw TestFailure("cannot write \(path): \(String(cString: strerror(errno)))") }
            done += written
        }
    }
}
