import HotpatchELF
import HotpatchEngine
import HotpatchHotLink
import HotpatchMemory
import HotpatchSymbols

/// An edited object and what it is an edit of, with what the files hold: the process that links them opens nothing for whoever asks it
/// to, and what it reads does not change under its eyes. The paths are for people.
package struct ObjectContents: Sendable {
    package var pair: ObjectPair
    package var new: [UInt8]
    package var base: [UInt8]

    /// In bytes, of a file.
    private static let longest = 256 << 20

    /// Reads both files.
    package init(of pair: ObjectPair) throws(ReadError) {
        // What tells of them tells it elsewhere, too.
        self.pair = ObjectPair(new: fullPath(pair.new), base: fullPath(pair.base))
        new = try Self.read(pair.new)
        base = try Self.read(pair.base)
    }

    package static func read(_ path: String) throws(ReadError) -> [UInt8] {
        try OpenFile(path: path).readAll(limit: longest, path: path)
    }

    func images() throws(ReadError) -> (after: ElfImage, before: ElfImage) {
        (try ElfImage(contents: new, path: pair.new), try ElfImage(contents: base, path: pair.base))
    }
}

/// For how long something may be tried, in milliseconds.
package struct ReloaderLimits: Hashable, Sendable {
    package var timeout: UInt32
    /// For which threads may be held; 0 for as long as the process allows.
    package var longestPause: UInt32

    package init(timeout: Duration, longestPause: Duration?) {
        self.timeout = UInt32(clamping: timeout.milliseconds)
        self.longestPause = UInt32(clamping: longestPause?.milliseconds ?? 0)
    }
}

/// What a process is asked for.
package enum ReloaderRequest: Sendable {
    /// Who it is. `prepares` has it read what it needs to link, too.
    case hello(prepares: Bool)
    /// Which of its images an object belongs to.
    case image(ofObject: [UInt8], path: String)
    case apply([ObjectContents], isDryRun: Bool, ReloaderLimits)
    case revert([UInt32], ReloaderLimits)
    case list
}

/// What it answers.
package enum ReloaderReply: Sendable {
    /// The request has come, and is worked at. Another reply follows.
    case begun
    case hello(pid: Int32, images: [Image])
    /// The path; nil where it belongs to none.
    case image(String?)
    case applied(AppliedObjects)
    case reverted(CommitSummary)
    case patches([Patch])
    case failed(Failure)

    package struct Image: Hashable, Sendable {
        package var path: String
        package var buildID: [UInt8]
        /// The program itself.
        package var isMain: Bool

        package init(path: String, buildID: [UInt8], isMain: Bool) {
            self.path = path
            self.buildID = buildID
            self.isMain = isMain
        }
    }

    /// A patch of the ledger.
    package struct Patch: Hashable, Sendable {
        package var id: UInt32
        package var isInForce: Bool
        /// The library or the objects that it comes from, one a line.
        package var source: String
        /// Mangled.
        package var functions: [String]

        package init(id: UInt32, isInForce: Bool, source: String, functions: [String]) {
            self.id = id
            self.isInForce = isInForce
            self.source = source
            self.functions = functions
        }
    }

    package struct Failure: Hashable, Sendable {
        package var outcome: PatchError.Outcome
        package var text: String
        package var restartReasons: [String]

        package init(outcome: PatchError.Outcome, text: String, restartReasons: [String] = []) {
            self.outcome = outcome
            self.text = text
            self.restartReasons = restartReasons
        }
    }
}

// MARK: As bytes

extension ReloaderRequest {
    private enum Kind: UInt16 { case hello = 1, image, apply, revert, list }

    /// How long a message of a kind may be, in bytes; nil where there is none.
    package static func limit(ofKind kind: UInt16) -> UInt64? {
        switch Kind(rawValue: kind) {
        case .apply, .image: ReloaderConnection.longest
        case .hello, .revert, .list: ReloaderConnection.shortest
        case nil: nil
        }
    }

    package var message: (kind: UInt16, payload: [UInt8]) {
        var writer = ReloaderWriter()
        let kind: Kind
        switch self {
        case .hello(let prepares):
            kind = .hello
            writer.put(prepares)
        case .image(let object, let path):
            kind = .image
            writer.put(path)
            writer.put(object)
        case .apply(let objects, let isDryRun, let limits):
            kind = .apply
            writer.put(limits)
            writer.put(isDryRun)
            writer.put(objects) { writer, object in
                writer.put(object.pair.new)
                writer.put(object.pair.base)
                writer.put(object.new)
                writer.put(object.base)
            }
        case .revert(let patches, let limits):
            kind = .revert
            writer.put(limits)
            writer.put(patches) { $0.put($1) }
        case .list: kind = .list
        }
        return (kind.rawValue, writer.bytes)
    }

    package init(kind: UInt16, payload: [UInt8]) throws(ReloaderError) {
        var reader = ReloaderReader(payload)
        switch Kind(rawValue: kind) {
        case .hello: self = .hello(prepares: try reader.flag())
        case .image:
            let path = try reader.text()
            self = .image(ofObject: try reader.blob(), path: path)
        case .apply:
            let limits = try reader.limits()
            let isDryRun = try reader.flag()
            let objects = try reader.list { (reader) throws(ReloaderError) in
                let pair = ObjectPair(new: try reader.text(), base: try reader.text())
                return ObjectContents(pair: pair, new: try reader.blob(), base: try reader.blob())
            }
            self = .apply(objects, isDryRun: isDryRun, limits)
        case .revert:
            let limits = try reader.limits()
            let patches = try reader.list { (reader) throws(ReloaderError) in try reader.number(UInt32.self) }
            self = .revert(patches, limits)
        case .list: self = .list
        case nil: throw .malformed("its kind is \(kind)")
        }
        try reader.end()
    }
}

extension ObjectContents {
    fileprivate init(pair: ObjectPair, new: [UInt8], base: [UInt8]) {
        self.pair = pair
        self.new = new
        self.base = base
    }
}

extension ReloaderReply {
    private enum Kind: UInt16 { case begun = 0x101, hello, image, applied, reverted, patches, failed }

    /// How long a message of a kind may be, in bytes; nil where there is none.
    package static func limit(ofKind kind: UInt16) -> UInt64? {
        Kind(rawValue: kind).map { _ in ReloaderConnection.shortest << 6 }
    }

    package var message: (kind: UInt16, payload: [UInt8]) {
        var writer = ReloaderWriter()
        let kind: Kind
        switch self {
        case .begun: kind = .begun
        case .hello(let pid, let images):
            kind = .hello
            writer.put(pid)
            writer.put(images) { writer, image in
                writer.put(image.path)
                writer.put(image.buildID)
                writer.put(image.isMain)
            }
        case .image(let path):
            kind = .image
            writer.put(path)
        case .applied(let objects):
            kind = .applied
            writer.put(objects.patch ?? 0)
            for texts in [objects.paths, objects.functions, objects.table, objects.kept, objects.notes] {
                writer.put(texts)
            }
            writer.put(objects.plan)
            writer.put(objects.summary != nil)
            if let summary = objects.summary { writer.put(summary) }
            writer.put(objects.disposed != nil)
            if let disposed = objects.disposed { writer.put(disposed) }
            writer.put(objects.steps) { writer, step in
                writer.put(step.name)
                writer.put(step.nanoseconds)
            }
        case .reverted(let summary):
            kind = .reverted
            writer.put(summary)
        case .patches(let patches):
            kind = .patches
            writer.put(patches) { writer, patch in
                writer.put(patch.id)
                writer.put(patch.isInForce)
                writer.put(patch.source)
                writer.put(patch.functions)
            }
        case .failed(let failure):
            kind = .failed
            let outcome: UInt8 =
                switch failure.outcome {
                case .refused: 0
                case .rolledBack: 1
                case .inconsistent: 2
                }
            writer.put(outcome)
            writer.put(failure.text)
            writer.put(failure.restartReasons)
        }
        return (kind.rawValue, writer.bytes)
    }

    package init(kind: UInt16, payload: [UInt8]) throws(ReloaderError) {
        var reader = ReloaderReader(payload)
        switch Kind(rawValue: kind) {
        case .begun: self = .begun
        case .hello:
            let pid = try reader.number(Int32.self)
            let images = try reader.list { (reader) throws(ReloaderError) in
                Image(path: try reader.text(), buildID: try reader.blob(), isMain: try reader.flag())
            }
            self = .hello(pid: pid, images: images)
        case .image: self = .image(try reader.optionalText())
        case .applied: self = .applied(try AppliedObjects(&reader))
        case .reverted: self = .reverted(try reader.summary())
        case .patches:
            let patches = try reader.list { (reader) throws(ReloaderError) in
                Patch(
                    id: try reader.number(), isInForce: try reader.flag(), source: try reader.text(),
                    functions: try reader.texts())
            }
            self = .patches(patches)
        case .failed:
            let outcome: PatchError.Outcome =
                switch try reader.number(UInt8.self) {
                case 0: .refused
                case 1: .rolledBack
                default: .inconsistent
                }
            self = .failed(Failure(outcome: outcome, text: try reader.text(), restartReasons: try reader.texts()))
        case nil: throw .malformed("its kind is \(kind)")
        }
        try reader.end()
    }
}

extension AppliedObjects {
    fileprivate init(_ reader: inout ReloaderReader) throws(ReloaderError) {
        let patch = try reader.number(UInt32.self)
        self.patch = patch == 0 ? nil : patch
        paths = try reader.texts()
        functions = try reader.texts()
        table = try reader.texts()
        kept = try reader.texts()
        notes = try reader.texts()
        plan = try reader.optionalText()
        summary = try reader.flag() ? try reader.summary() : nil
        disposed = try reader.flag() ? try reader.disposed() : nil
        steps = try reader.list { (reader) throws(ReloaderError) in
            Step(try reader.text(), nanoseconds: try reader.number())
        }
    }
}

extension ReloaderWriter {
    fileprivate mutating func put(_ limits: ReloaderLimits) {
        put(limits.timeout)
        put(limits.longestPause)
    }

    fileprivate mutating func put(_ disposed: PatchEngine.Disposed) {
        put(disposed.patches) { $0.put($1) }
        put(UInt64(clamping: disposed.bytes))
        put(disposed.obstacle)
        put(disposed.summary != nil)
        if let summary = disposed.summary { put(summary) }
    }

    fileprivate mutating func put(_ summary: CommitSummary) {
        for count in [
            summary.heldThreads, summary.movedThreads, summary.restartedCalls, summary.interruptedCalls, summary.holds,
        ] { put(UInt32(clamping: count)) }
        put(summary.pauseNanoseconds)
        put(summary.totalNanoseconds)
    }
}

extension ReloaderReader {
    fileprivate mutating func limits() throws(ReloaderError) -> ReloaderLimits {
        var limits = ReloaderLimits(timeout: .zero, longestPause: nil)
        limits.timeout = try number()
        limits.longestPause = try number()
        return limits
    }

    fileprivate mutating func disposed() throws(ReloaderError) -> PatchEngine.Disposed {
        var disposed = PatchEngine.Disposed()
        disposed.patches = try list { (reader) throws(ReloaderError) in try reader.number(UInt32.self) }
        disposed.bytes = Int(clamping: try number(UInt64.self))
        disposed.obstacle = try optionalText()
        disposed.summary = try flag() ? try summary() : nil
        return disposed
    }

    fileprivate mutating func summary() throws(ReloaderError) -> CommitSummary {
        var counts: [Int] = []
        for _ in 0..<5 { counts.append(Int(try number(UInt32.self))) }
        return CommitSummary(
            heldThreads: counts[0], movedThreads: counts[1], restartedCalls: counts[2], interruptedCalls: counts[3],
            pauseNanoseconds: try number(), holds: counts[4], totalNanoseconds: try number())
    }
}

extension ReloaderReply.Failure {
    /// The failure of an operation of the library.
    package init(_ error: PatchError) {
        self.init(
            outcome: error.outcome, text: error.description,
            restartReasons: error.cause.map { HotpatchObjects.restartReasons(of: $0) } ?? [])
    }
}

/// The path of the image of a process that an object belongs to.
package func imagePath(of object: ElfImage, in index: SymbolIndex) throws -> String? {
    LiveProgram.image(of: try ObjectFile(object), in: index)?.path
}
