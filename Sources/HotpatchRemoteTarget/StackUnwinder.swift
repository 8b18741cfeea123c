import CHotpatchDw
import CHotpatchLinux
import CPatchCore
import CPatchMachine
import Glibc
import HotpatchELF
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols

/// Unwinds stopped threads with libdw. Everything slow (finding the images, their symbols and call frame information) is done
/// by `init`, while the threads run.
///
/// libdw asks us for everything. For images: it gets those whose files are known to be the mapped ones, of each its call frame
/// information alone (`FrameTable`), and never looks for a file, or at a header in the target's memory, itself. What lies elsewhere
/// belongs to no image, and a thread with a frame there is not borrowed. For registers and memory: so that return addresses can be
/// stripped of the signature that an arm64 processor puts into them, and so that what a signal handler has interrupted can be
/// unwound from the registers in its signal frame, where libdw knows no way across.
final class StackUnwinder {
    private let session: OpaquePointer
    private let callbacks: UnsafeMutablePointer<Dwfl_Callbacks>
    private let threadCallbacks: UnsafeMutablePointer<Dwfl_Thread_Callbacks>
    private let subject: Subject
    /// What libdw's handles read.
    private let frameTables: [FrameTable]
    let map: FrameMap
    /// Whether a C library was found that is not glibc.
    let foreignLibrary: String?

    /// - Parameters:
    ///   - current: what the process has mapped now.
    ///   - memory: of the process, read while threads are held.
    ///   - symbols: of the process; images that it has loaded since are read.
    ///   - known: what is known of them.
    /// - Throws: a sentence of libdw.
    init(
        of process: RemoteProcess, mapping current: ProcessMap, memory: ProcMemory, symbols: SymbolIndex,
        known: KnownImages = KnownImages()
    ) throws {
        let images = symbols.loadedImages(in: current)
        callbacks = .allocate(capacity: 1)
        callbacks.initialize(to: Dwfl_Callbacks())
        callbacks.pointee.find_elf = { _, userData, _, _, _, elf in
            let table = userData?.pointee.map { Unmanaged<FrameTable>.fromOpaque($0).takeUnretainedValue() }
            elf?.pointee = table?.handle()
            return -1
        }
        callbacks.pointee.find_debuginfo = { _, _, _, _, _, _, _, _ in -1 }
        subject = Subject(memory: memory)
        threadCallbacks = .allocate(capacity: 1)
        threadCallbacks.initialize(to: Subject.callbacks)
        guard let session = dwfl_begin(callbacks) else {
            callbacks.deallocate()
            threadCallbacks.deallocate()
            throw UnwinderError()
        }
        self.session = session

        var tables: [FrameTable] = []
        func report(_ name: String, _ range: Range<Address>, _ table: FrameTable?) {
            guard let table,
                let module = dwfl_report_module(session, name, range.lowerBound.rawValue, range.upperBound.rawValue)
            else { return }
            var userData: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
            _ = dwfl_module_info(module, &userData, nil, nil, nil, nil, nil, nil)
            userData?.pointee = Unmanaged.passUnretained(table).toOpaque()
            tables.append(table)
        }
        for image in images { report(image.path, image.range, image.elf.frameTable) }
        var described = known.describe(images, Self.describe)
        // The kernel's functions in every process: those of the target, where they are the same as ours.
        if let region = current.regions.first(where: { $0.path == "[vdso]" }),
            let table = FrameTable(ofSharedObject: region, memory: memory)
        {
            report(region.path, region.range, table)
            let range = region.range.lowerBound.rawValue..<region.range.upperBound.rawValue
            described.append(FrameMap.Image(range: range, kind: .other, name: region.path))
        }
        frameTables = tables
        map = FrameMap(images: described)
        foreignLibrary = images.contains { Self.isMusl($0.name) } ? "musl" : nil

        guard dwfl_report_end(session, nil, nil) == 0,
            dwfl_attach_state(session, nil, process.pid, threadCallbacks, Unmanaged.passUnretained(subject).toOpaque())
        else { throw UnwinderError() }  // everything is initialised: deinit ends the session
        // Read now rather than in the middle of the first stop.
        dwfl_getmodules(
            session,
            { module, _, _, _, _ in
                var bias: Dwarf_Addr = 0
                _ = dwfl_module_eh_cfi(module!, &bias)
                return 0
            }, nil, 0)
    }

    deinit {
        dwfl_end(session)
        callbacks.deallocate()
        threadCallbacks.deallocate()
    }

    private static func isMusl(_ file: String) -> Bool { file.hasPrefix("ld-musl") || file.hasPrefix("libc.musl") }

    /// What the vetting asks of an image: its kind, and its functions as far as they matter.
    private static func describe(_ image: LoadedImage) -> FrameMap.Image {
        let file = image.name
        var result = FrameMap.Image(
            range: image.range.lowerBound.rawValue..<image.range.upperBound.rawValue, kind: .other, name: file,
            file: image.elf)
        if isMusl(file) || file.hasPrefix("ld-linux") || file.hasPrefix("ld-2") || file.hasPrefix("ld.so")
            || file.hasPrefix("ld64.so")
        {
            result.kind = .loader
        } else if file.hasPrefix("libc.so") || file.hasPrefix("libc-2") || file.hasPrefix("libpthread") {
            result.kind = .libc
        }
        var exportsMalloc = false
        image.elf.forEachFunction(exportedOnly: result.kind == .libc) { bytes, value, size, binding in
            let start = image.bias.address(ofLinked: value).rawValue
            let (end, overflow) = start.addingReportingOverflow(max(size, 1))
            if overflow { return }
            let isLibc = result.kind == .libc
            guard isLibc || FrameMap.isAllocator(bytes) else { return }
            let symbol = FrameMap.Symbol(range: start..<end, bytes: bytes)
            if !isLibc, binding != .local, symbol.name == "malloc" { exportsMalloc = true }
            result.symbols.append(symbol)
        }
        if exportsMalloc, result.kind == .other, file.contains(".so") { result.kind = .allocator }
        return result
    }

    struct Stack {
        /// Innermost first.
        var frames: [FrameKind] = []
        /// The unwinding ended at the thread's start.
        var isComplete = false
    }

    /// Unwinds a stopped thread.
    /// - Parameter signatureBits: of code addresses.
    func unwind(_ tracee: Tracees.Tracee, signatureBits: UInt64, limit: Int = 512) -> Stack {
        subject.signatureBits = signatureBits
        subject.registers = tracee.registers
        subject.begin()
        var frames: [FrameKind] = []
        while true {
            let walk = Walk(map: map, subject: subject, limit: limit - frames.count)
            let result = dwfl_getthread_frames(
                session, tracee.tid,
                { frame, context in
                    guard let frame else { return 1 }
                    return Unmanaged<Walk>.fromOpaque(context!).takeUnretainedValue().add(frame)
                }, Unmanaged.passUnretained(walk).toOpaque())
            frames += walk.frames
            if walk.isAmbiguous { return Stack() }
            guard let interrupted = walk.interrupted else {
                return Stack(frames: frames, isComplete: result == 0 && !subject.hasFailed)
            }
            guard subject.enter(signalFrame: interrupted) else { return Stack() }
            frames.append(.signalReturn)
        }
    }

    /// What libdw unwinds: registers of a thread, or of what one of its signal handlers has interrupted, and memory.
    private final class Subject {
        /// Reads `/proc/PID/mem`, which does not wait for a page that a thread of the target would have to provide (userfaultfd(2)).
        let memory: ProcMemory
        var registers = hp_registers()
        var signatureBits: UInt64 = 0
        /// The part of a page that was read last: frames lie side by side.
        private var chunk: (address: UInt64, words: [UInt64]) = (0, [])

        init(memory: ProcMemory) { self.memory = memory }

        /// Memory could not be read. libdw takes that for the thread's start, unless its own error is set, which we cannot.
        private(set) var hasFailed = false

        func begin() {
            chunk.words = []
            hasFailed = false
        }

        /// A word without the signature that it has if it is a return address. What else is saved on a stack may lose bits by this,
        /// but nothing by which frames are found.
        func word(at address: UInt64) -> UInt64? {
            let offset = address &- chunk.address
            if address % 8 == 0, offset / 8 < chunk.words.count { return chunk.words[Int(offset / 8)] & ~signatureBits }
            // To the end of a kibibyte, which no page boundary cuts.
            let length = address % 8 == 0 ? 1024 - Int(address % 1024) : 8
            var words = [UInt64](repeating: 0, count: length / 8)
            let count = words.withUnsafeMutableBytes { memory.prefix(at: Address(address), into: $0) }
            guard count >= 8 else {
                hasFailed = true
                return nil
            }
            chunk = (address, words)
            return words[0] & ~signatureBits
        }

        /// Whether the instruction there returns from a signal handler in a way that libdw does not see through.
        func isSignalReturn(at address: UInt64) -> Bool {
            guard hp_signal_frames_are_ours() else { return false }
            var instructions: (UInt32, UInt32) = (0, 0)
            guard read(&instructions, at: address) else { return false }
            return withUnsafeBytes(of: instructions) {
                hp_is_signal_return(
                    Architecture.current.core, $0.baseAddress!.assumingMemoryBound(to: UInt32.self))
            }
        }

        private func read<T: BitwiseCopyable>(_ value: inout T, at address: UInt64) -> Bool {
            withUnsafeMutableBytes(of: &value) { read($0, at: address) }
        }

        private func read(_ buffer: UnsafeMutableRawBufferPointer, at address: UInt64) -> Bool {
            memory.prefix(at: Address(address), into: buffer) == buffer.count
        }

        /// Goes on with the registers that the kernel has saved in a signal frame.
        /// - Returns: whether that is one: it holds a PC as the kernel saves them, and the stack continues above it.
        func enter(signalFrame stackPointer: UInt64) -> Bool {
            var saved = hp_registers()
            var neighbours = [UInt64](repeating: 0, count: Int(HP_NEIGHBOURS))
            let pc = stackPointer &+ UInt64(HP_SIGNAL_FRAME_PC)
            guard read(&saved, at: stackPointer &+ UInt64(HP_SIGNAL_FRAME_REGISTERS)),
                neighbours.withUnsafeMutableBytes({ read($0, at: pc &- UInt64(HP_NEIGHBOURS_BELOW * 8)) }),
                Architecture.current.isSavedPC(between: neighbours), hp_registers_sp(&saved) > stackPointer
            else { return false }
            registers = saved
            return true
        }

        static let callbacks: Dwfl_Thread_Callbacks = {
            var callbacks = Dwfl_Thread_Callbacks()
            // One thread at a time: it is in `registers`.
            callbacks.next_thread = { _, _, _ in 0 }
            callbacks.get_thread = { _, _, context, argument in
                argument?.pointee = context
                return true
            }
            callbacks.memory_read = { _, address, result, context in
                guard let word = subject(context).word(at: address) else { return false }
                result?.pointee = word
                return true
            }
            callbacks.set_initial_registers = { thread, context in
                let subject = subject(context)
                var words = [UInt64](repeating: 0, count: Int(HP_DWARF_REGISTERS))
                hp_registers_to_dwarf(&subject.registers, &words)
                for index in words.indices { words[index] &= ~subject.signatureBits }
                guard dwfl_thread_state_registers(thread!, 0, UInt32(words.count), words) else { return false }
                dwfl_thread_state_register_pc(thread!, hp_registers_pc(&subject.registers))
                return true
            }
            return callbacks
        }()

        private static func subject(_ context: UnsafeMutableRawPointer?) -> Subject {
            Unmanaged<Subject>.fromOpaque(context!).takeUnretainedValue()
        }
    }

    /// The frames up to the thread's start, or to the next signal frame.
    private final class Walk {
        var frames: [FrameKind] = []
        var isAmbiguous = false
        /// Where the stack pointer was when a handler returned.
        var interrupted: UInt64?
        let map: FrameMap
        let subject: Subject
        let limit: Int

        init(map: FrameMap, subject: Subject, limit: Int) {
            self.map = map
            self.subject = subject
            self.limit = limit
        }

        func add(_ frame: OpaquePointer) -> Int32 {
            var pc: Dwarf_Addr = 0
            var isActivation = false
            guard frames.count < limit, dwfl_frame_pc(frame, &pc, &isActivation) else { return 1 }
            if subject.isSignalReturn(at: pc) {
                // Stopped in the return itself, or the handler is this function's caller.
                var stackPointer: Dwarf_Word = 0
                if dwfl_frame_reg(frame, UInt32(HP_DWARF_SP), &stackPointer) != 0 { isAmbiguous = true }
                interrupted = stackPointer
                return 1
            }
            // libdw calls two frames activations beside the innermost: what a handler returns to, and what was interrupted.
            let isReturn = isActivation && !frames.isEmpty && frames.last != .signalReturn
            // A return with no interrupted frame behind it: the return itself was stopped or interrupted.
            if !isActivation, frames.last == .signalReturn { isAmbiguous = true }
            // In a caller, an address inside the call.
            let place = isActivation ? pc : pc &- 1
            frames.append(isReturn ? .signalReturn : map.kind(at: place))
            return hasFrameInformation(frame, at: place) ? 0 : 1
        }

        /// Without call frame information libdw follows frame pointers, and on some machines those lead across signal frames.
        private func hasFrameInformation(_ frame: OpaquePointer, at address: UInt64) -> Bool {
            guard hp_signal_frames_are_ours() else { return true }
            var bias: Dwarf_Addr = 0
            var information: OpaquePointer?
            let session = dwfl_thread_dwfl(dwfl_frame_thread(frame))
            guard let module = dwfl_addrmodule(session, address), let table = dwfl_module_eh_cfi(module, &bias),
                dwarf_cfi_addrframe(table, address &- bias, &information) == 0
            else { return false }
            free(UnsafeMutableRawPointer(information))
            return true
        }
    }
}

struct UnwinderError: Error, CustomStringConvertible {
    let description: String
    init() { description = dwfl_errmsg(-1).map { String(cString: $0) } ?? "libdw failed" }
}
