import CLibDw
import CLinux
import CPatch
import Glibc
import Memory
import PatchPlan

/// Unwinds stopped threads with libdw. Everything slow (finding the images, their symbols and call frame information) is done
/// by `init`, while the threads run.
///
/// libdw asks us for registers and memory, instead of the process: so that return addresses can be stripped of the signature
/// that an arm64 processor puts into them, and so that what a signal handler has interrupted can be unwound from the registers
/// in its signal frame, where libdw knows no way across.
final class StackUnwinder {
    private let session: OpaquePointer
    private let callbacks: UnsafeMutablePointer<Dwfl_Callbacks>
    private let threadCallbacks: UnsafeMutablePointer<Dwfl_Thread_Callbacks>
    private let subject: Subject
    let map: FrameMap
    /// Whether a C library was found that is not glibc.
    let foreignLibrary: String?

    /// - Throws: a sentence of libdw.
    init(pid: Int32, memory: ProcMemory) throws(UnwinderError) {
        callbacks = .allocate(capacity: 1)
        callbacks.initialize(to: Dwfl_Callbacks())
        callbacks.pointee.find_elf = dwfl_linux_proc_find_elf
        // No separate debug files: they would be read while a thread waits, or fetched from a server.
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
        guard dwfl_linux_proc_report(session, pid) == 0, dwfl_report_end(session, nil, nil) == 0,
            dwfl_attach_state(session, nil, pid, threadCallbacks, Unmanaged.passUnretained(subject).toOpaque())
        else {
            let error = UnwinderError()
            dwfl_end(session)
            callbacks.deallocate()
            threadCallbacks.deallocate()
            throw error
        }
        let collector = ImageCollector()
        dwfl_getmodules(
            session,
            { module, _, _, _, context in
                Unmanaged<ImageCollector>.fromOpaque(context!).takeUnretainedValue().add(module!)
                return 0
            }, Unmanaged.passUnretained(collector).toOpaque(), 0)
        map = FrameMap(images: collector.images)
        foreignLibrary = collector.foreignLibrary
    }

    deinit {
        dwfl_end(session)
        callbacks.deallocate()
        threadCallbacks.deallocate()
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
            let room = address % 8 == 0 ? 1024 - Int(address % 1024) : 8
            var words = [UInt64](repeating: 0, count: room / 8)
            let count = words.withUnsafeMutableBytes { memory.prefix(at: Address(address), into: $0) }
            guard count >= 8 else {
                hasFailed = true
                return nil
            }
            words.removeLast(words.count - count / 8)
            chunk = (address, words)
            return words[0] & ~signatureBits
        }

        /// Whether the instruction there returns from a signal handler in a way that libdw does not see through.
        func isSignalReturn(at address: UInt64) -> Bool {
            guard hp_signal_frames_are_ours() else { return false }
            var instructions: (UInt32, UInt32) = (0, 0)
            guard read(&instructions, at: address) else { return false }
            return withUnsafeBytes(of: instructions) {
                hp_is_signal_return($0.baseAddress!.assumingMemoryBound(to: UInt32.self))
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
            // Of a caller, an address inside the call.
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

private final class ImageCollector {
    var images: [FrameMap.Image] = []
    var foreignLibrary: String?

    func add(_ module: OpaquePointer) {
        var start: Dwarf_Addr = 0
        var end: Dwarf_Addr = 0
        guard let name = dwfl_module_info(module, nil, &start, &end, nil, nil, nil, nil).map({ String(cString: $0) }),
            start < end
        else { return }
        let file = name.split(separator: "/").last ?? ""
        var image = FrameMap.Image(range: start..<end, kind: .other, name: String(file))
        if file.hasPrefix("ld-musl") || file.hasPrefix("libc.musl") {
            foreignLibrary = "musl"
            image.kind = .loader
        } else if file.hasPrefix("libc.so") || file.hasPrefix("libc-2") || file.hasPrefix("libpthread") {
            image.kind = .libc
        } else if file.hasPrefix("ld-linux") || file.hasPrefix("ld-2") || file.hasPrefix("ld.so")
            || file.hasPrefix("ld64.so")
        {
            image.kind = .loader
        }
        addSymbols(of: module, to: &image)
        // Loaded now rather than in the middle of the first stop.
        var bias: Dwarf_Addr = 0
        _ = dwfl_module_eh_cfi(module, &bias)
        images.append(image)
    }

    private func addSymbols(of module: OpaquePointer, to image: inout FrameMap.Image) {
        let count = dwfl_module_getsymtab(module)
        guard count > 1 else { return }
        var exportsMalloc = false
        for index in 1..<count {
            var symbol = GElf_Sym()
            var address: GElf_Addr = 0
            guard let name = dwfl_module_getsym_info(module, index, &symbol, &address, nil, nil, nil) else { continue }
            let type = symbol.st_info & 0xf
            let isFunction = type == 2 || type == 10  // STT_FUNC, STT_GNU_IFUNC
            let isLocal = symbol.st_info >> 4 == 0
            guard isFunction, symbol.st_shndx != 0, address != 0 else { continue }
            let (end, overflow) = address.addingReportingOverflow(max(symbol.st_size, 1))
            if overflow { continue }
            if image.kind == .libc {
                if isLocal { continue }
                image.symbols.append(FrameMap.Symbol(range: address..<end, name: String(cString: name)))
            } else {
                let text = String(cString: name)
                guard FrameMap.isAllocator(text) else { continue }
                if text == "malloc", !isLocal { exportsMalloc = true }
                image.symbols.append(FrameMap.Symbol(range: address..<end, name: text))
            }
        }
        if exportsMalloc, image.kind == .other, image.name.contains(".so") { image.kind = .allocator }
    }
}
