import CHotpatchElf
import CPatchCore
import HotpatchELF
import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// Where a thread-local variable lies in each thread.
enum ThreadLocal: Hashable, Sendable {
    /// Among the program's own, so far from their start.
    case program(offset: UInt64)
    /// Among those of a library, so far from their start.
    case library(ThreadLocalModule, offset: UInt64)
    /// In a block that an earlier object has brought.
    case placed(block: Address, offset: UInt64)
    /// In a section of these objects, which becomes a block.
    case new(ObjectLinker.SectionPlace, offset: UInt64)

    /// Whether the loader does not know of it.
    var isOurs: Bool {
        switch self {
        case .program, .library: false
        case .placed, .new: true
        }
    }

    /// From the start of what it lies in.
    var offset: UInt64 {
        switch self {
        case .program(let offset), .library(_, let offset), .placed(_, let offset), .new(_, let offset): offset
        }
    }

    func moved(by count: Int) -> ThreadLocal {
        let count = UInt64(bitPattern: Int64(count))
        return switch self {
        case .program(let offset): .program(offset: offset &+ count)
        case .library(let module, let offset): .library(module, offset: offset &+ count)
        case .placed(let block, let offset): .placed(block: block, offset: offset &+ count)
        case .new(let section, let offset): .new(section, offset: offset &+ count)
        }
    }

    /// What the identity map calls the pair of words that finds a variable: of a file, or of all.
    static func identity(_ name: String, file: String?) -> String { "thread-local \(file ?? "") \(name)" }
}

/// A routine that finds thread-locals (cpatch_fixup.h, hp_thread_local_routine).
enum ThreadLocalRoutine: UInt32, CaseIterable, Hashable, Sendable {
    case address, fixed, descriptor, forget

    /// Nil where the architecture has none.
    func code(_ architecture: Architecture) -> [UInt8]? {
        var code: UnsafeRawPointer?
        let count = hp_thread_local_code(architecture.core, hp_thread_local_routine(rawValue), &code)
        return code.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: count)) }
    }
}

/// Words that code finds a variable by.
struct ThreadLocalSlot: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// What is given to __tls_get_addr: a module and an offset.
        case pair
        /// S − TP.
        case word
        /// A function, and what it needs.
        case descriptor
    }
    var kind: Kind
    var variable: ThreadLocal
    var addend: Int64

    var words: Int {
        switch kind {
        case .pair: Int(HP_THREAD_LOCAL_PAIR_WORDS)
        case .word: 1
        case .descriptor: Int(HP_THREAD_LOCAL_DESCRIPTOR_WORDS)
        }
    }

    /// The pair that a variable is found by.
    init(pairOf variable: ThreadLocal, addend: Int64 = 0) {
        (kind, self.variable, self.addend) = (.pair, variable, addend)
    }

    /// That of its variable.
    var pair: ThreadLocalSlot { ThreadLocalSlot(pairOf: variable, addend: addend) }

    /// Nil where a place of this kind holds no address of such words.
    init?(_ row: FixupRow, _ variable: ThreadLocal, addend: Int64) {
        switch row.subject {
        case .moduleSlots: kind = .pair
        case .localModuleSlots: kind = .pair
        case .threadPointerSlot: kind = .word
        case .descriptorSlots: kind = .descriptor
        default: return nil
        }
        // The start of what the variable lies in.
        self.variable =
            row.subject == .localModuleSlots ? variable.moved(by: -Int(Int64(bitPattern: variable.offset))) : variable
        self.addend = row.addendInSlot ? addend : 0
    }
}

extension FixupRow {
    var isThreadLocal: Bool {
        switch subject {
        case .threadPointerOffset, .moduleOffset, .threadPointerSlot, .moduleSlots, .localModuleSlots, .descriptorSlots:
            true
        default: false
        }
    }
}

extension LiveProgram {
    /// The functions that blocks of thread-locals need, as `HP_THREAD_LOCAL_BLOCK_WORDS` has them.
    static let blockFunctions = [
        "pthread_getspecific", "pthread_setspecific", "aligned_alloc", "pthread_key_delete",
    ]

    /// Where the process has a thread-local variable that a file defines, or one that others can name, where the file is nil; nil where it
    /// has none.
    /// - Parameter isElsewhere: whether it may be one of another image, for nothing that is linked defines it.
    /// - Throws: `LinkError` where it has several, or nobody can tell where.
    func threadLocal(_ name: String, file: String?, isElsewhere: Bool = false, for path: String) throws -> ThreadLocal?
    {
        func refused(_ what: String) -> LinkError { .unsupported(path: path, what: what, remedy: "Restart.") }
        let found = index.threadLocals(named: name, in: image)
        let own = found.filter { file == nil ? !$0.isOfOneFile : $0.file == file }
        if own.isEmpty, let pair = identity(ThreadLocal.identity(name, file: file)) {
            guard let block = try? memory.value(UInt64.self, at: pair),
                let offset = try? memory.value(UInt64.self, at: pair + 8)
            else { throw refused("the thread-local variable \(name) of an earlier object cannot be found") }
            return .placed(block: Address(block), offset: offset)
        }
        // The files may have been called otherwise when the program was linked.
        let possible = own.isEmpty && file != nil ? found : own
        guard possible.count <= 1 else { throw refused("\(image.path) has several thread-local variables \(name)") }
        var owner = image
        if file == nil, !possible.isEmpty || isElsewhere, !image.isMainProgram || possible.isEmpty {
            // The first that lets others use it has it for all (gABI, Shared Object Dependencies); what is looked for from the program on.
            let exporting = index.images(exportingThreadLocal: name)
            if let first = exporting.first, possible.isEmpty || exporting.contains(image) {
                guard exporting.count == 1 || first.isMainProgram else {
                    let paths = exporting.map(\.path).joined(separator: ", ")
                    throw refused("the thread-local variable \(name) is one of several libraries (\(paths))")
                }
                owner = first
            }
        }
        let symbols =
            owner == image ? possible : index.threadLocals(named: name, in: owner).filter { !$0.isOfOneFile }
        guard let symbol = symbols.first else { return nil }
        if owner.isMainProgram { return .program(offset: symbol.offset) }
        guard let module = index.threadLocalModule(of: owner, memory: memory) else {
            throw refused(
                "the thread-local variable \(name) is one of \(owner.path), whose dynamic linker does not say where it lies"
            )
        }
        return .library(module, offset: symbol.offset)
    }

    /// S − TP of a variable that has the same one in each thread.
    func threadPointerOffset(of variable: ThreadLocal) -> UInt64? {
        switch variable {
        case .program(let offset): threadPointerOffset(offset)
        // "ELF Handling For Thread-Local Storage", variants II and I.
        case .library(let module, let offset):
            module.distance.map { architecture == .x86_64 ? offset &- $0 : offset &+ $0 }
        case .placed, .new: nil
        }
    }

    /// S − TP of the program's own thread-locals, as its linker has laid them out: below the thread pointer on x86_64, and above it on
    /// arm64 ("ELF Handling For Thread-Local Storage", variants II and I). Nil where the program has none.
    private func threadPointerOffset(_ offset: UInt64) -> UInt64? {
        guard let program = index.images.first(where: \.isMainProgram),
            let segment = program.elf.segments.first(where: { $0.type == UInt32(PT_TLS) })
        else { return nil }
        let mask = max(1, segment.alignment) &- 1
        switch architecture {
        case .x86_64:
            let end = segment.address &+ segment.memorySize
            return offset &- segment.memorySize &- ((0 &- end) & mask)
        case .arm64: return offset &+ 16 &+ ((segment.address &- 16) & mask)
        }
    }
}
