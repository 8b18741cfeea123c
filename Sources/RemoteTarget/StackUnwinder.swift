import CLibDw
import Glibc
import Memory

/// Unwinds stopped threads with libdw. Everything slow (finding the images, their symbols and call frame information) is done
/// by `init`, while the threads run.
final class StackUnwinder {
    private let session: OpaquePointer
    private let callbacks: UnsafeMutablePointer<Dwfl_Callbacks>
    let map: FrameMap
    /// Whether a C library was found that is not glibc.
    let foreignLibrary: String?

    /// - Throws: a sentence of libdw.
    init(pid: Int32) throws(UnwinderError) {
        callbacks = .allocate(capacity: 1)
        callbacks.initialize(to: Dwfl_Callbacks())
        callbacks.pointee.find_elf = dwfl_linux_proc_find_elf
        // No separate debug files: they would be read while a thread waits, or fetched from a server.
        callbacks.pointee.find_debuginfo = { _, _, _, _, _, _, _, _ in -1 }
        guard let session = dwfl_begin(callbacks) else {
            callbacks.deallocate()
            throw UnwinderError()
        }
        self.session = session
        guard dwfl_linux_proc_report(session, pid) == 0, dwfl_report_end(session, nil, nil) == 0,
            dwfl_linux_proc_attach(session, pid, true) == 0
        else {
            let error = UnwinderError()
            dwfl_end(session)
            callbacks.deallocate()
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
    }

    struct Stack {
        /// Innermost first.
        var frames: [FrameKind] = []
        /// The unwinding ended at the thread's start.
        var isComplete = false
    }

    /// Unwinds a thread that this very thread has stopped.
    func unwind(_ tid: Int32, limit: Int = 512) -> Stack {
        let walk = Walk(map: map, limit: limit)
        let result = dwfl_getthread_frames(
            session, tid,
            { frame, context in
                let walk = Unmanaged<Walk>.fromOpaque(context!).takeUnretainedValue()
                var pc: Dwarf_Addr = 0
                var isActivation = false
                guard let frame else { return 1 }
                guard walk.frames.count < walk.limit, dwfl_frame_pc(frame, &pc, &isActivation) else { return 1 }
                // libdw calls two frames activations beside the innermost: what a handler returns to, and what was interrupted.
                let isReturn = isActivation && !walk.frames.isEmpty && walk.frames.last != .signalReturn
                // A return with no interrupted frame behind it: the return itself was stopped or interrupted.
                if !isActivation, walk.frames.last == .signalReturn { walk.isAmbiguous = true }
                // Of a caller, an address inside the call.
                walk.frames.append(isReturn ? .signalReturn : walk.map.kind(at: isActivation ? pc : pc &- 1))
                return 0
            }, Unmanaged.passUnretained(walk).toOpaque())
        return Stack(frames: walk.isAmbiguous ? [] : walk.frames, isComplete: result == 0)
    }

    private final class Walk {
        var frames: [FrameKind] = []
        var isAmbiguous = false
        let map: FrameMap
        let limit: Int

        init(map: FrameMap, limit: Int) {
            self.map = map
            self.limit = limit
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
