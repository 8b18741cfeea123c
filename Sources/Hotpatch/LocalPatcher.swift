import CHotpatchLinux
import CPatch
import HotpatchELF
import HotpatchEngine
import Glibc
import HotpatchLocalTarget
import HotpatchMemory
import HotpatchObjects
import HotpatchProcFS
import HotpatchSwiftCall
import HotpatchSymbols
import Synchronization

/// The one patcher of this process: its engine, and an index of its symbols that is brought up to date when libraries come and go.
struct LocalPatcher: ~Copyable {
    let target = LocalTarget()
    private var cached: (index: SymbolIndex, own: OwnCode, libraries: Libraries)?
    private let references = ReferenceIndex()
    private let ledger = KnownLedger()
    private var time = ReadingTime()

    /// Counters of the dynamic linker: libraries loaded and unloaded so far (dl_iterate_phdr(3)).
    private struct Libraries: Equatable {
        var loaded: UInt64 = 0
        var unloaded: UInt64 = 0

        static var current: Libraries {
            let counters = linux_library_counters()
            return Libraries(loaded: counters.loaded, unloaded: counters.unloaded)
        }
    }

    mutating func index() throws(PatchError) -> SymbolIndex { try symbols().index }

    private mutating func symbols() throws(PatchError) -> (index: SymbolIndex, own: OwnCode) {
        let libraries = Libraries.current
        if let cached, cached.libraries == libraries { return (cached.index, cached.own) }
        do {
            let map = try target.processMap()
            let index =
                try cached?.index.refreshed(map: map)
                ?? SymbolIndex(map: map, memory: target.memory, root: "", time: time)
            let own = OwnCode(index: index)
            try time.check()
            cached = (index, own, libraries)
            references.keep(index.images)
            return (index, own)
        } catch let error as ReadError {
            throw .symbol(SymbolError(error))
        } catch {
            throw .target("cannot read the symbols of this process: \(error)")
        }
    }

    mutating func engine() throws(PatchError) -> PatchEngine {
        let (index, own) = try symbols()
        let program = index.images.first { $0.isMainProgram }?.path ?? ""
        return PatchEngine(target: target, program: program, references: references, ledger: ledger) {
            hp_is_own_code($0.address.rawValue) || own.contains($0)
        }
    }

    mutating func function(_ name: String, in image: String?) throws(PatchError) -> FunctionSymbol {
        let index = try index()
        do throws(SymbolError) { return try index.function(named: name, in: image) } catch { throw .symbol(error) }
    }

    /// What an async function needs to run in another's place: see `AsyncContext`.
    mutating func context(
        of other: FunctionSymbol, for function: FunctionSymbol
    ) throws(PatchError) -> AsyncContext.Larger? {
        let index = try index()
        return try AsyncContext(
            own: index.asyncContextSize(of: function), replacement: index.asyncContextSize(of: other)
        )
        .larger(for: function, by: other.name, in: index)
    }

    /// The function that a function value comes from.
    /// - Throws: `PatchError` (`type`) where that cannot be told.
    mutating func function<F>(of value: F) throws(PatchError) -> FunctionSymbol {
        guard let words = FunctionValue(value) else {
            throw .type("\(F.self) is not a Swift function type. Pass the function's name.")
        }
        let index = try index()
        let isAsync = FunctionConvention.isAsync(F.self)
        func symbol(_ value: FunctionValue) -> FunctionSymbol? {
            let found = index.function(containing: Address(UInt64(value.entry(isAsync: isAsync))))
            return found?.offset == 0 ? found?.symbol : nil
        }
        func refusal(_ why: String) -> PatchError { .type("the function of a value cannot be told. \(why)") }
        var value = words
        var symbolOfValue = symbol(value)
        var origin = FunctionValueOrigin(entry: symbolOfValue?.demangledName)
        if origin == .captured {
            guard let captured = value.captured else {
                throw refusal("Its context is unknown. Pass the function's name.")
            }
            value = captured
            symbolOfValue = symbol(value)
            origin = FunctionValueOrigin(entry: symbolOfValue?.demangledName)
        }
        switch origin {
        case .itself:
            guard let symbolOfValue, value.context == 0 else {
                throw refusal("It has a context. Pass the function's name.")
            }
            return symbolOfValue
        case .named(let name): return try function(name, in: nil)
        case .captured: throw refusal("It is converted twice. Pass the function's name.")
        case .unknown(let why): throw refusal(why)
        }
    }

    /// A replacement by names and addresses of this process.
    struct ResolvedReplacement: Sendable {
        var function: FunctionSymbol
        var address: Address
        var name: String
        var original: Address?
        /// The context of an async function that needs a larger one than callers allocate.
        var context: AsyncContext.Larger?
        /// What a method that a closure replaces does with `self`.
        var selfUse: Patch.SelfUse?
        /// What could not be verified of it.
        var note: String?
    }

    /// - Parameter leavesOutRefused: whether a function that cannot be patched is left out, and told of in the receipt, instead of being the
    ///   end of all.
    mutating func apply(
        _ wanted: [ResolvedReplacement], leavesOutRefused: Bool = false
    ) throws(PatchError) -> Receipt {
        let index = try index()
        try checkExecutable(wanted.map(\.address))
        let replacements = wanted.map {
            Replacement(
                function: $0.function, extent: index.extent(of: $0.function), address: $0.address, name: $0.name,
                originalPointer: $0.original, context: $0.context)
        }
        let origin = PatchRecord.Origin(fromOutside: false, pid: linux_getpid(), uid: linux_getuid())
        let names = Set(wanted.map(\.function.name))
        let notes = wanted.flatMap { wanted in
            index.functionsOfSameCode(as: wanted.function).filter { !names.contains($0.name) }.map {
                "the patch of \(wanted.function.demangledName) also changes \($0.demangledName), which is the same code"
            }
        }
        var request = PatchRequest(replacements: replacements, origin: origin, notes: notes)
        request.leavesOutRefused = leavesOutRefused
        var receipt = try engine().apply(request)
        receipt.notes += interruptionNote(receipt.summary).map { [$0] } ?? []
        return receipt
    }

    /// Links edited objects into this process.
    /// - Returns: a receipt; nil where they change nothing.
    mutating func apply(_ objects: [ObjectPair]) throws(PatchError) -> (linked: LinkedObjects, receipt: Receipt?) {
        let linked = try link(objects)
        if linked.changesNothing { return (linked, nil) }
        let request = linked.request(origin: .init(fromOutside: false, pid: linux_getpid(), uid: linux_getuid()))
        var receipt = try engine().apply(request)
        receipt.notes += receipt.problems + (interruptionNote(receipt.summary).map { [$0] } ?? [])
        _ = try engine().disposeOfDeadCode(after: receipt)
        return (linked, receipt)
    }

    /// Links edited objects against what this process has. Nothing is touched.
    /// - Parameter contents: what the files hold; nil for what lies at their paths.
    mutating func link(
        _ objects: [ObjectPair], contents: [ObjectContents]? = nil
    ) throws(PatchError) -> LinkedObjects {
        let (index, engine) = (try index(), try engine())
        let ledger = try engine.state()
        let linked: LinkedObjects
        do {
            linked = try LinkedObjects(
                objects, contents: contents, architecture: target.architecture, index: index,
                map: try target.processMap(), ledger: ledger, memory: target.memory)
        } catch { throw .linking(error) }
        if linked.changesNothing { return linked }
        do { try time.check() } catch { throw .symbol(SymbolError(error)) }
        return linked
    }

    /// "2 system calls …"; nil where none was interrupted.
    private func interruptionNote(_ summary: CommitSummary) -> String? {
        let count = summary.interruptedCalls
        guard count > 0 else { return nil }
        return "\(count) system call\(count == 1 ? "" : "s") of other threads returned EINTR for being held"
    }

    /// A replacement that is not code would end the process at the first call.
    private func checkExecutable(_ addresses: [Address]) throws(PatchError) {
        let map: ProcessMap
        do { map = try target.processMap() } catch let error as ReadError {
            throw .symbol(SymbolError(error))
        } catch {
            throw .target("cannot read the mappings of this process: \(error)")
        }
        for address in addresses where map.region(containing: address)?.permissions.contains(.execute) != true {
            throw .type(
                "\(address) is not in executable memory, so it cannot replace a function. Pass the address of a function."
            )
        }
    }

    static func isInForce(_ patch: UInt32) throws(PatchError) -> Bool {
        try with { (patcher) throws(PatchError) in try patcher.engine().state().patch(patch)?.state == .applied }
    }

    /// Reverts the patches in force that satisfy `isWanted`, and frees code that nothing leads into any more.
    mutating func revert(where isWanted: (PatchRecord, LedgerState) -> Bool) throws(PatchError) {
        let engine = try engine()
        _ = try engine.revert(where: isWanted)
        _ = try engine.disposeOfDeadCode()
    }

    static func revert(_ patch: UInt32) throws(PatchError) {
        try with { (patcher) throws(PatchError) in
            let engine = try patcher.engine()
            _ = try engine.revert([patch])
            _ = try engine.disposeOfDeadCode()
        }
    }

    /// Runs `body` with the patcher, which no other thread uses meanwhile. A function that a patch calls runs inside, and is refused.
    /// - Parameter options: nil for those of the process.
    static func with<T: Sendable>(
        options: LocalTarget.Options? = nil, _ body: (inout LocalPatcher) throws(PatchError) -> T
    ) throws(PatchError) -> T {
        let current = ProcessPatcher.current
        let thread = linux_gettid()
        if current.user.load(ordering: .relaxed) == thread { throw .nested(pid: current.pid, thread: thread) }
        var result: Result<T, PatchError>?
        operate {
            result = current.patcher.withLock { patcher in
                current.user.store(thread, ordering: .relaxed)
                defer { current.user.store(0, ordering: .relaxed) }
                let options = options ?? Self.options.value
                patcher.target.options = options
                patcher.time.begin(options.readingTimeout)
                let result: Result<T, PatchError>
                do throws(PatchError) { result = .success(try body(&patcher)) } catch { result = .failure(error) }
                patcher.time.finish()
                return patcher.counting(result)
            }
        }
        return try result!.get()
    }

    private static func operate(_ body: () -> Void) {
        withoutActuallyEscaping(body) { body in
            var body = body
            withUnsafeMutablePointer(to: &body) { pointer in
                hp_operate({ $0!.assumingMemoryBound(to: (() -> Void).self).pointee() }, pointer)
            }
        }
    }

    /// Forgets what was not read to its end, and tells of that instead of what it looked like. Nothing is read behind a commit, which
    /// asks before, too.
    private mutating func counting<T>(_ result: Result<T, PatchError>) -> Result<T, PatchError> {
        guard let failure = time.failure else { return result }
        (cached, time) = (nil, ReadingTime())
        references.keep([])
        if case .failure(let error) = result, error.outcome != .refused { return result }
        return .failure(.symbol(SymbolError(failure)))
    }

    static let options = SharedOptions()
}

/// The patcher of one process. After fork(2) the child has another: a thread that it does not have may have held this one's lock.
final class ProcessPatcher: Sendable {
    let pid = linux_getpid()
    fileprivate let patcher = Mutex(LocalPatcher())
    /// The thread that uses it; 0 where none does. A thread that asks sees at least what it has written itself.
    fileprivate let user = Atomic<Int32>(0)
    /// Through which others may ask it.
    let reloader = Mutex<ReloaderServer?>(nil)

    /// Never released: the process, or one that forked it, may be inside.
    private static let newest = Atomic<Unmanaged<ProcessPatcher>?>(nil)

    static var current: ProcessPatcher {
        let known = newest.load(ordering: .acquiring)
        let pid = linux_getpid()
        if let known, known._withUnsafeGuaranteedRef({ $0.pid == pid }) { return known.takeUnretainedValue() }
        let created = Unmanaged.passRetained(ProcessPatcher())
        let (exchanged, original) = newest.compareExchange(
            expected: known, desired: created, ordering: .acquiringAndReleasing)
        if exchanged { return created.takeUnretainedValue() }
        created.release()
        return original!.takeUnretainedValue()
    }
}
