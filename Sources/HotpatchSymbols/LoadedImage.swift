import CHotpatchElf
import Glibc
import HotpatchELF
import HotpatchMemory

/// An ELF file as it is mapped in a process.
public final class LoadedImage: Sendable {
    /// As the process maps it, without a root; ` (deleted)` is cut off.
    public let path: String
    /// The last component of the path.
    package let name: String
    /// It is the executable that the process runs, no library.
    public let isMainProgram: Bool
    package let bias: LoadBias
    /// The mappings from the first to the last byte of the image, those of other files and anonymous ones included.
    package let regions: [Region]
    /// From the first to the last byte of the image.
    package let range: Range<Address>
    /// The mappings among them that are executable.
    package let executableMappings: [Range<Address>]
    /// The file, read: the one that is mapped, or what the process has in memory of it where that cannot be opened any more.
    public let elf: ElfImage
    package var buildID: [UInt8] { elf.buildID }
    /// Its file cannot be read, or is another by now: only what it exports is known.
    package var isFromMemory: Bool { elf.isFromMemory }

    let symbols: ImageSymbols
    let copies: CopyFinder
    private let lazyDebugElf: Lazy<ElfImage?>

    init(
        path: String, isMainProgram: Bool, bias: LoadBias, regions: [Region], range: Range<Address>, elf: ElfImage,
        symbols: ImageSymbols, debugFiles: DebugFiles
    ) {
        self.path = path
        name = path.split(separator: "/").last.map(String.init) ?? path
        self.isMainProgram = isMainProgram
        self.bias = bias
        self.regions = regions
        self.range = range
        executableMappings = regions.filter { $0.permissions.contains(.execute) }.map(\.range)
        self.elf = elf
        self.symbols = symbols
        let debugElf = Lazy { symbols.tables.debugElf ?? debugFiles.debugFile(of: elf, imagePath: path) }
        lazyDebugElf = debugElf
        copies = CopyFinder(symbols.time) { elf.hasDebugInfo ? elf : debugElf.get() }
    }

    /// - Throws: `ReadError.outOfTime` where what is known of it was cut short.
    package func checkRead() throws(ReadError) { try symbols.time.check() }

    /// Whether the time for reading the process is over: for whoever reads the image's code.
    package var isOutOfTime: Bool { symbols.time.isOver("the branches of \(path)") }

    /// The separate debug file, where one is installed. Looked for at the first use; never on the network.
    package var debugElf: ElfImage? { lazyDebugElf.get() }

    /// True of ld.so, whose own copies of libc's functions nothing else calls.
    package var isDynamicLinker: Bool {
        let name = elf.soname ?? self.name
        return name.hasPrefix("ld-linux") || name.hasPrefix("ld64.") || name.hasPrefix("ld-musl")
            || name.hasPrefix("ld-2.")
    }

    /// Whether `spec` names this image: its path, file name or soname, or one of the two up to the version: `libc` names
    /// `libc.so.6` and `libc-2.31.so`.
    package func matches(_ spec: String) -> Bool {
        if spec == path || spec == name || spec == elf.soname { return true }
        for name in [name, elf.soname ?? ""] where name.count > spec.count && name.hasPrefix(spec) {
            let rest = name.utf8.dropFirst(spec.utf8.count)
            if rest.first == UInt8(ascii: ".") { return true }
            if rest.first == UInt8(ascii: "-"), let digit = rest.dropFirst().first, (0x30...0x39).contains(digit) {
                return true
            }
        }
        return false
    }

    /// Whether code at the address belongs to the image and is not a PLT stub.
    func isFunctionCode(_ address: Address) -> Bool {
        guard range.contains(address) else { return false }
        let linked = bias.linked(address)
        guard elf.executableSegment(containing: linked) != nil else { return false }
        guard let section = elf.section(containing: linked) else { return elf.sections.isEmpty }
        return section.isExecutable && !section.name.hasPrefix(".plt") && !section.name.hasPrefix(".iplt")
    }
}

extension LoadedImage: Hashable {
    /// Whether both are the same file at the same place.
    public static func == (left: LoadedImage, right: LoadedImage) -> Bool {
        left === right
            || (left.bias == right.bias && left.path == right.path && left.elf.identity == right.elf.identity)
    }
    /// Feeds the place to a hasher.
    /// - Parameter hasher: is fed.
    public func hash(into hasher: inout Hasher) { hasher.combine(bias) }
}
