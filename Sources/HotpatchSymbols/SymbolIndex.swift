import Glibc
import HotpatchELF
import HotpatchMemory
import HotpatchProcFS

/// The functions of a process by name and by address.
///
/// Which function a name means:
/// 1. The exact mangled name, optionally with a version (`memcpy@GLIBC_2.2.5`, `memcpy@@GLIBC_2.14`); without one, the
///    version that programs are linked against today, or the only one there is.
/// 2. Otherwise a demangled Swift or C++ name, from the most to the least exact of: full, without the result, without the
///    types of the arguments (`Shop.price(of:)`), bare (`Shop.price`, `ns::Class::method`).
/// 3. Either with the source file of a static function (`helper@main.c`); or an address at which a function begins, as it is in the
///    process (`0x401136`) or in an image (`libshop.so+0x1136`).
///
/// Among the definitions of one name **inside an image**, one that other files can name hides the file-scoped ones, and a
/// strong one hides weak ones; several file-scoped ones are ambiguous. Definitions **in several images** are ambiguous, even
/// where the dynamic linker binds them all to the first: calls inside the other images may not go through it. The
/// exception is the dynamic linker itself: ld.so's own copies of malloc and the like do not count where another image
/// defines the name. PLT stubs have no symbol, and are never an answer.
///
/// Building costs about a microsecond a symbol; demangled names are computed at the first query that needs them.
public final class SymbolIndex: Sendable {
    /// In the order in which the dynamic linker looks names up: the program first; images it does not know of last.
    public let images: [LoadedImage]
    /// Libraries that a patcher had the process load: none of the program's images, and not searched.
    package let patchLibraries: [LoadedImage]
    /// Images that are left out, and why.
    package let problems: [ReadError]
    package let map: ProcessMap
    /// The files of the process.
    package let files: TargetFiles

    let memory: any MemoryReader
    let names: NameTable
    let demangledIndex: Lazy<DemangledIndex>
    /// Indices of `images` in ascending order of address.
    let byAddress: [Int]
    /// What the resolvers of indirect functions chose, by the resolver's address.
    let implementations = Locked<[Address: Address]>([:])

    let debugDirectories: [String]

    /// For reading all of it. What was cut short does not count: see `ReadingTime.check`.
    package let time: ReadingTime

    /// Budgets of what a process can make us do: images, bytes read of all of them, and their symbols. Those beyond are a problem.
    private static let largestCount = 1 << 14
    private static let largestShare = 2 << 30
    private static let largestSymbolCount = 1 << 25

    /// Reads the images of a process.
    ///
    /// - Parameters:
    ///   - root: the process's root directory, `/proc/PID/root`; empty for this process.
    ///   - debugDirectories: where separate debug files are installed, below `root`.
    /// - Throws: never for a single image (see `problems`); `noProcess` where there is not one image to be read.
    public convenience init(
        map: ProcessMap, memory: any MemoryReader, root: String = "", debugDirectories: [String] = ["/usr/lib/debug"],
        time: ReadingTime = ReadingTime()
    ) throws(ReadError) {
        try self.init(
            map: map, memory: memory, files: TargetFiles(pid: map.pid, root: root), debugDirectories: debugDirectories,
            reusing: [], time: time)
    }

    /// The index for a newer map of the same process, after dlopen or dlclose: files that did not change are not read
    /// again. Symbols of either index compare equal where they are.
    package func refreshed(map: ProcessMap) throws(ReadError) -> SymbolIndex {
        try SymbolIndex(
            map: map, memory: memory, files: files, debugDirectories: debugDirectories,
            reusing: images + patchLibraries, time: time)
    }

    /// Every image that a newer map of the same process shows, patch libraries among them; nothing is looked up by name. Those that
    /// cannot be read are left out.
    package func loadedImages(in map: ProcessMap) -> [LoadedImage] {
        Self.read(map, memory, files, debugDirectories: debugDirectories, reusing: images + patchLibraries, time)
            .images
    }

    private init(
        map: ProcessMap, memory: any MemoryReader, files: TargetFiles, debugDirectories: [String],
        reusing known: [LoadedImage], time: ReadingTime
    ) throws(ReadError) {
        let (images, problems) = Self.read(
            map, memory, files, debugDirectories: debugDirectories, reusing: known, time)
        try time.check()
        guard !images.isEmpty else { throw problems.first ?? .noProcess(pid: map.pid) }

        (self.images, patchLibraries) = Self.inLoadOrder(images, memory)
        self.problems = problems
        self.map = map
        self.memory = memory
        self.files = files
        self.debugDirectories = debugDirectories
        self.time = time
        let ordered = self.images
        byAddress = ordered.indices.sorted { ordered[$0].range.lowerBound < ordered[$1].range.lowerBound }
        names = NameTable(groups: ordered.map(\.symbols.hashes), time)
        demangledIndex = Lazy { DemangledIndex(ordered, time) }
        try time.check()
    }

    private static func read(
        _ map: ProcessMap, _ memory: any MemoryReader, _ files: TargetFiles, debugDirectories: [String],
        reusing known: [LoadedImage], _ time: ReadingTime
    ) -> (images: [LoadedImage], problems: [ReadError]) {
        let loader = ImageLoader(
            files: MappedFiles(files: files, memory: memory),
            debugFiles: DebugFiles(files: files, directories: debugDirectories, time: time))
        var known = Dictionary(
            known.compactMap { image in image.elf.identity.map { ($0, image) } },
            uniquingKeysWith: { first, _ in first })
        var elves = known.mapValues(\.elf)
        var images: [LoadedImage] = []
        var problems: [ReadError] = []
        var claimed = Address.null
        var (count, bytesRead, symbols) = (0, 0, 0)
        for file in map.mappedFiles where file.header.range.lowerBound >= claimed {
            if time.isOver("the symbols of \(file.cleanPath)") { break }
            guard loader.files.isProgram(file) || file.regions.contains(where: { $0.permissions.contains(.execute) }),
                loader.isImage(file.header)
            else { continue }
            guard count < largestCount, bytesRead < largestShare, symbols < largestSymbolCount else {
                problems.append(
                    .unsupported(
                        path: file.cleanPath,
                        what:
                            "it and what is mapped above it is left out: \(count) images with \(symbols) symbols, of which "
                            + "\(bytesRead) bytes were read, are as many as are looked at"))
                break
            }
            count += 1
            do throws(ReadError) {
                let image = try Self.image(
                    file, loader, map, known, &elves, isFirst: !images.contains(where: \.isMainProgram), time)
                guard let image else { continue }
                claimed = image.range.upperBound
                bytesRead += image.elf.bytes.bytesRead
                symbols += image.symbols.hashes.count
                images.append(image)
                if let identity = image.elf.identity, known[identity] == nil { known[identity] = image }
            } catch {
                problems.append(error)
            }
        }
        return (images, problems)
    }

    private static func image(
        _ file: MappedFile, _ loader: ImageLoader, _ map: ProcessMap,
        _ known: [FileIdentity: LoadedImage], _ elves: inout [FileIdentity: ElfImage], isFirst: Bool,
        _ time: ReadingTime
    ) throws(ReadError) -> LoadedImage? {
        let path = file.cleanPath
        var same: LoadedImage?
        let elf: ElfImage
        do throws(ReadError) {
            let opened = try loader.files.open(file)
            same = known[opened.identity]
            let identity = opened.identity
            if let read = elves[identity] {
                elf = read
            } else {
                elf = try ElfImage(opened, path: path) { () throws(ReadError) in try loader.files.open(file) }
                // A process can map one file thousands of times.
                elves[identity] = elf
            }
        } catch {
            switch error {
            case .unreadable, .replaced: break
            // What its path leads to now: a directory, a FIFO.
            case .unsupported where file.header.path.hasSuffix(" (deleted)"): break
            default: throw error
            }
            guard !loader.files.isOverwritten(file),
                let mapped = try? ElfImage(mapped: Array(file.regions), memory: loader.files.memory, path: path)
            else { throw error }
            elf = mapped
        }
        guard let (bias, range, regions) = ImageLoader.placement(of: elf, header: file.header, in: map) else {
            return nil
        }
        if let same, same.bias == bias, same.path == path, same.regions == regions { return same }
        let symbols =
            same?.symbols ?? ImageSymbols(elf, time: time) { loader.debugFiles.debugFile(of: elf, imagePath: path) }
        return LoadedImage(
            path: path, isMainProgram: isFirst && loader.files.isProgram(file), bias: bias, regions: regions,
            range: range,
            elf: elf, symbols: symbols, debugFiles: loader.debugFiles)
    }

    /// The images in load order, and the patch libraries.
    private static func inLoadOrder(
        _ images: [LoadedImage], _ memory: any MemoryReader
    ) -> (images: [LoadedImage], patchLibraries: [LoadedImage]) {
        guard let program = images.first(where: \.isMainProgram) else { return (images, []) }
        var rank: [LoadBias: Int] = [:]
        let entries = LinkMap.entries(program: program, memory: memory)
        for (index, entry) in entries.enumerated() where rank[entry.bias] == nil { rank[entry.bias] = index }
        let patches = Set(entries.filter(\.isPatchLibrary).map(\.bias))
        let patchLibraries = images.filter { patches.contains($0.bias) }
        let images = images.filter { !patches.contains($0.bias) }
        func order(_ image: LoadedImage) -> Int { image.isMainProgram ? -1 : rank[image.bias] ?? Int.max }
        let ordered = images.enumerated().sorted { left, right in
            let orders = (order(left.element), order(right.element))
            return orders.0 != orders.1 ? orders.0 < orders.1 : left.offset < right.offset
        }.map(\.element)
        return (ordered, patchLibraries)
    }

    /// The image whose address range an address lies in.
    package func image(containing address: Address) -> LoadedImage? {
        imageIndex(containing: address).map { images[$0] }
    }

    func imageIndex(containing address: Address) -> Int? {
        var low = 0
        var high = byAddress.count
        while low < high {
            let middle = (low + high) / 2
            if images[byAddress[middle]].range.upperBound > address { high = middle } else { low = middle + 1 }
        }
        guard low < byAddress.count, images[byAddress[low]].range.contains(address) else { return nil }
        return byAddress[low]
    }
}
