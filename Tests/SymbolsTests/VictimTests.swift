import Glibc
import HotpatchELF
import HotpatchExpectations
import HotpatchMemory
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport
import Testing

/// Other processes, read from outside.
@Suite struct VictimTests {
    let workshop: Workshop

    init() throws { workshop = try Workshop() }

    @Test(arguments: [["-O1"], ["-O1", "-no-pie"], ["-O1", "-static"], ["-O1", "-Wl,-z,noseparate-code"]])
    func readsAnotherProcess(_ options: [String]) throws {
        let path = try workshop.build("program", ["symbols_program.c"], options)
        let victim = try Victim(path)
        let index = try victim.index()
        expect(index.images.first?.isMainProgram, equals: true)
        expect(index.images.first?.path, equals: path)
        let memory = try ProcMemory(pid: victim.pid, writable: false)
        for name in ["twice", "file_scoped", "weak_one", "main"] {
            let function = try index.function(named: name, in: "program")
            let linked = function.image.bias.linked(function.address)
            let expected = try function.image.elf.readFile(at: linked, count: function.size)
            try expect(memory.bytes(at: function.address, count: function.size), equals: expected, "\(name)")
            expect(index.function(containing: function.address + 1)?.symbol, equals: function)
        }
        let counter = try index.dataSymbol(named: "counter_value")
        try expect(memory.value(Int32.self, at: counter.address), equals: 42)
        expect(index.images[0].elf.isStatic, equals: options.contains("-static"))
        // An indirect function of libc, in the static program bound by IRELATIVE relocations alone.
        let length = try index.function(named: "strlen")
        #expect(length.isIndirect)
        #expect(length.address != length.symbolAddress)
    }

    @Test func strippedProgram() throws {
        let path = try workshop.build("stripped", ["symbols_program.c"], ["-O1", "-s", "-rdynamic"])
        let victim = try Victim(path)
        let index = try victim.index()
        // -rdynamic: what other images may bind to stays in .dynsym; the rest is gone.
        #expect(try index.function(named: "twice", in: path).isExported)
        expect(symbolError { try index.function(named: "file_scoped", in: path) }.map(isNotFound), equals: true)
        #expect(index.images[0].elf.symbols.isEmpty)
        // Code without a symbol is not blamed on the symbol before it.
        let whole = try workshop.build("whole", ["symbols_program.c"], ["-O1", "-rdynamic"])
        let hidden = try #require(try ElfImage(path: whole).symbols.first { $0.name == "file_scoped" })
        let address = index.images[0].bias.address(ofLinked: hidden.value)
        #expect(index.function(containing: address + 1) == nil)
        let twice = try index.function(named: "twice", in: path)
        #expect(index.extent(of: twice).available < 64, "the next function's frame information ends it")
    }

    @Test(arguments: ["build-id", "link", "link in .debug"])
    func separateDebugFile(_ place: String) throws {
        let path = try workshop.build("program", ["symbols_program.c"], ["-g", "-Wl,--build-id=sha1"])
        let debug = workshop.file("program.debug")
        try runTool(["objcopy", "--only-keep-debug", path, debug])
        let elf = try ElfImage(path: path)
        expect(elf.buildID.count, equals: 20)
        try runTool(["strip", path])
        switch place {
        case "build-id":
            let hex = elf.buildID.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
            let folder = workshop.file(".build-id/\(hex[0])")
            try runTool(["mkdir", "-p", folder])
            try runTool(["mv", debug, "\(folder)/\(hex[1...].joined()).debug"])
        default:
            try runTool(["objcopy", "--add-gnu-debuglink=\(debug)", path])
            if place != "link" {
                try runTool(["mkdir", workshop.file(".debug")])
                try runTool(["mv", debug, workshop.file(".debug/program.debug")])
            }
        }
        let victim = try Victim(path)
        let image = try victim.index(debugDirectories: [workshop.path]).images[0]
        #expect(!image.elf.hasDebugInfo)
        #expect(image.elf.symbols.isEmpty)
        let found = try #require(image.debugElf)
        #expect(found.hasDebugInfo)
        #expect(found.symbols.contains { $0.name == "file_scoped" })
        expect(found.buildID, equals: elf.buildID)
        // A stripped program is looked up in the names of its debug file.
        let index = try victim.index(debugDirectories: [workshop.path])
        let function = try index.function(named: "file_scoped")
        expect(index.image(containing: function.address), equals: index.images[0])
        #expect(!function.isExported)
    }

    @Test func wrongDebugFileIsIgnored() throws {
        let path = try workshop.build("program", ["symbols_program.c"], ["-g", "-Wl,--build-id=none"])
        let debug = workshop.file("program.debug")
        try runTool(["objcopy", "--only-keep-debug", path, debug])
        try runTool(["objcopy", "--strip-all", "--add-gnu-debuglink=\(debug)", path])
        let victim = try Victim(path)
        // Right by its checksum; then another file of that name.
        #expect(try victim.index().images[0].debugElf != nil)
        try workshop.build("program.debug", ["symbols_twin.c"], ["-g", "-shared", "-fPIC"])
        #expect(try victim.index().images[0].debugElf == nil)
    }

    @Test func refreshSeesLoadedLibraries() throws {
        let victim = try Victim(try workshop.build("program", ["symbols_program.c"]))
        let before = try victim.index()
        let library = try workshop.library("libtwin.so", ["symbols_twin.c"])
        expect(symbolError { try before.function(named: "in_two_images") }.map(isNotFound), equals: true)
        try victim.load(library)
        let after = try before.refreshed(map: ProcessMap(pid: victim.pid))
        try expect(after.function(named: "in_two_images").image.path, equals: library)
        expect(after.images.count, equals: before.images.count + 1)
        // What stayed is the very same, and so are its symbols.
        #expect(after.images[0] === before.images[0])
        try expect(after.function(named: "twice"), equals: before.function(named: "twice"))
        expect(symbolError { try before.function(named: "in_two_images") }.map(isNotFound), equals: true)
    }

    @Test func deletedProgram() throws {
        let path = try workshop.build("program", ["symbols_program.c"])
        let victim = try Victim(path)
        try runTool(["rm", path])
        let index = try victim.index()
        #expect(index.problems.isEmpty, "\(index.problems)")
        #expect(try index.function(named: "twice").image.isMainProgram)
        expect(index.images[0].path, equals: path)
    }

    /// Rebuilt in place while it runs: the names of the new file would point into the middle of the old code.
    @Test func replacedLibraryIsReported() throws {
        let victim = try Victim(try workshop.build("program", ["symbols_program.c"]))
        let library = try workshop.library("libtwin.so", ["symbols_twin.c"], ["-Wl,--build-id=sha1"])
        try victim.load(library)
        let other = try workshop.library("other.so", ["symbols_scopes.c"], ["-Wl,--build-id=sha1"])
        try runTool(["mv", other, library])
        let index = try victim.index()
        if let image = index.images.first(where: { $0.path == library }) {
            // With the right to follow /proc/PID/map_files the mapped file itself is read.
            #expect(image.elf.dynamicSymbols.contains { $0.name == "in_two_images" })
            #expect(!image.elf.dynamicSymbols.contains { $0.name == "aliased" })
        } else {
            #expect(index.problems.contains { $0.description.contains(library) })
        }
    }

    @Test func endedProcess() throws {
        let victim = try Victim(try workshop.build("program", ["symbols_program.c"]))
        let map = try ProcessMap(pid: victim.pid)
        let memory = try ProcMemory(pid: victim.pid, writable: false)
        kill(victim.pid, SIGKILL)
        var info = siginfo_t()
        expect(waitid(P_PID, id_t(victim.pid), &info, WEXITED | WNOWAIT), equals: 0)
        #expect(symbolError { try ProcessMap(pid: victim.pid) } != nil)
        #expect(symbolError { try SymbolIndex(map: map, memory: memory) } != nil)
    }
}
