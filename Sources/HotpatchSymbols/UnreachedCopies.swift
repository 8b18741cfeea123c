import CHotpatchDw
import CHotpatchElf
import Glibc
import HotpatchELF
import HotpatchMemory

/// A copy of a function's code that a patch of the function does not change.
public struct UnreachedCopy: Hashable, Sendable, CustomStringConvertible {
    /// How a copy came to be, and where it is.
    public enum Kind: Hashable, Sendable {
        /// Inlined at `address` into the function `into` (mangled); file and line of the call where DWARF tells them.
        case inlined(into: String, file: String?, line: Int?, address: Address)
        /// A clone or specialisation with a symbol of its own (mangled).
        case specialised(name: String, address: Address)
    }
    /// How it came to be, and where it is.
    public var kind: Kind

    /// Readable: the copy's, or that of the function it is part of.
    var name: String {
        switch kind {
        case .inlined(let name, _, _, _), .specialised(let name, _): Demangling.demangle(name) ?? name
        }
    }

    /// Where it is, by readable names.
    public var description: String {
        switch kind {
        case .inlined(let into, let file, let line, let address):
            let place = file.map { " (\($0)\(line.map { ":\($0)" } ?? ""))" } ?? ""
            return "inlined into \(Demangling.demangle(into) ?? into) at \(address)\(place)"
        case .specialised(let name, let address):
            return "specialised as \(Demangling.demangle(name) ?? name) at \(address)"
        }
    }
}

/// What is known about the copies of a function.
public enum UnreachedCopies: Hashable, Sendable {
    /// Those that DWARF and the symbols tell: a lower bound, as compilers do not describe every copy.
    case known([UnreachedCopy])
    /// There is no DWARF: these are the clones with symbols; inlined copies are unknown.
    case symbolsOnly([UnreachedCopy])
    /// Neither DWARF nor `.symtab`: nothing can be said.
    case unknown

    /// Those that are known.
    public var copies: [UnreachedCopy] {
        switch self {
        case .known(let copies), .symbolsOnly(let copies): copies
        case .unknown: []
        }
    }
}

extension SymbolIndex {
    /// Copies of a function that the compiler made in the function's own image.
    package func unreachedCopies(of function: FunctionSymbol) -> UnreachedCopies {
        let image = function.image
        let inlined = image.copies.copies(
            of: function.name, at: image.bias.linked(function.address), isFileScoped: function.binding == .local
        ).map { sites in
            sites.map { site in
                UnreachedCopy(
                    kind: .inlined(
                        into: site.into, file: site.file, line: site.line,
                        address: image.bias.address(ofLinked: site.address)))
            }
        }
        if inlined == nil, image.symbols.tables.staticTable == nil { return .unknown }
        let all = specialised(function) + (inlined ?? [])
        return inlined == nil ? .symbolsOnly(all) : .known(all)
    }

    private func specialised(_ function: FunctionSymbol) -> [UnreachedCopy] {
        let symbols = function.image.symbols
        let own = function.image.bias.linked(function.address)
        return function.name.withBytes { name in
            symbols.functions.enumerated().compactMap { row, record in
                if time.isOver(at: row, symbols.subject) { return nil }
                let other = symbols.name(record.reference)
                guard other.count > name.count, record.value != own,
                    UnsafeRawBufferPointer(rebasing: other[..<name.count]).equals(name),
                    Self.isCopy(other, ofNameWith: name.count)
                else { return nil }
                return UnreachedCopy(
                    kind: .specialised(
                        name: String(decoding: other, as: UTF8.self),
                        address: function.image.bias.address(ofLinked: record.value)))
            }
        }
    }

    /// Whether a name that begins with a function's, of `length` bytes, is that of a copy of the function.
    static func isCopy(_ name: UnsafeRawBufferPointer, ofNameWith length: Int) -> Bool {
        guard name.count > length else { return false }
        return Demangler.language(name) == .swift ? isSwiftCopy(name, length) : isClone(name, length)
    }

    /// What GCC and LLVM add to the name of a function whose body they have changed for some callers.
    static let cloneSuffixes: [StaticString] = [".constprop.", ".isra.", ".part.", ".clone.", ".specialized."]

    /// Also where only the name was changed. `.cold` is a part of the function that only the function jumps to, not a copy.
    private static func isClone(_ name: UnsafeRawBufferPointer, _ end: Int) -> Bool {
        guard name[end] == UInt8(ascii: "."),
            name.starts(with: ".llvm.", at: end) || cloneSuffixes.contains(where: { name.starts(with: $0, at: end) })
        else { return false }
        let suffix = UnsafeRawBufferPointer(rebasing: name[end...])
        return suffix.firstIndex(of: ".cold") == nil
    }

    /// Specialisations (`Tg5`, `TG5`, `Tf…n_n`, …) and merged bodies (`Tm`) keep the name of what they come from as a prefix.
    private static func isSwiftCopy(_ name: UnsafeRawBufferPointer, _ end: Int) -> Bool {
        var demangler = Demangler()
        return demangler.demangle(name) { text in
            text.starts(with: "merged ") || text.starts(with: "generic specialization <")
                || text.starts(with: "generic not re-abstracted specialization <")
                || text.starts(with: "function signature specialization <")
        } ?? false
    }
}

/// The inlined calls of an image, read from its DWARF once.
final class CopyFinder: Sendable {
    struct Site: Hashable, Sendable {
        var into: String
        var file: String?
        var line: Int?
        /// Link-time.
        var address: UInt64
    }
    /// Sites by the offset of the DIE they come from (the abstract origin): each unit has one of its own for a function.
    private struct Sites: Sendable {
        var byOrigin: [Dwarf_Off: [Site]] = [:]
        var originsByName: [String: Set<Dwarf_Off>] = [:]
        /// By the address of the out-of-line code with the same origin.
        var originsByAddress: [UInt64: Set<Dwarf_Off>] = [:]
    }
    private let sites: Lazy<Sites?>

    /// `file` gives what holds the image's DWARF.
    init(_ time: ReadingTime, _ file: @escaping @Sendable () -> ElfImage?) {
        sites = Lazy {
            guard let elf = file() else { return nil }
            return elf.debugging.withDwarf { Self.read($0, time, "the descriptions (DWARF) of \(elf.path)") }
        }
    }

    /// Nil where there is no DWARF. The address finds the origin in the function's own unit, which alone counts for a
    /// file-scoped function: another file's may have the same name.
    func copies(of name: String, at linked: UInt64, isFileScoped: Bool) -> [Site]? {
        guard let sites = sites.get() else { return nil }
        var origins = sites.originsByAddress[linked] ?? []
        if !isFileScoped || origins.isEmpty { origins.formUnion(sites.originsByName[name] ?? []) }
        return Set(origins.flatMap { sites.byOrigin[$0] ?? [] }).sorted { $0.address < $1.address }
    }

    private static func read(_ dwarf: OpaquePointer, _ time: ReadingTime, _ subject: String) -> Sites {
        var sites = Sites()
        var offset: Dwarf_Off = 0
        var next: Dwarf_Off = 0
        var headerSize = 0
        while !time.isOver(subject), libdw.dwarf_nextcu(dwarf, offset, &next, &headerSize, nil, nil, nil) == 0 {
            var unit = Dwarf_Die()
            if libdw.dwarf_offdie(dwarf, offset &+ Dwarf_Off(headerSize), &unit) != nil {
                walk(unit, &sites, time, subject)
            }
            guard next > offset else { break }
            offset = next
        }
        return sites
    }

    /// Depth first with a stack of its own: the nesting comes from the file.
    private static func walk(_ unit: Dwarf_Die, _ sites: inout Sites, _ time: ReadingTime, _ subject: String) {
        var unit = unit
        var stack: [(die: Dwarf_Die, function: String?)] = []
        var child = Dwarf_Die()
        guard libdw.dwarf_child(&unit, &child) == 0 else { return }
        stack.append((child, nil))
        var row = 0
        while !time.isOver(at: row, subject), var (die, enclosing) = stack.popLast() {
            row &+= 1
            var sibling = Dwarf_Die()
            if libdw.dwarf_siblingof(&die, &sibling) == 0 { stack.append((sibling, enclosing)) }
            let tag = libdw.dwarf_tag(&die)
            if tag == DW_TAG_subprogram {
                enclosing = name(&die) ?? enclosing
                var low: Dwarf_Addr = 0
                if libdw.dwarf_lowpc(&die, &low) == 0, var origin = origin(&die) {
                    sites.originsByAddress[low, default: []].insert(libdw.dwarf_dieoffset(&origin))
                }
            }
            if tag == DW_TAG_inlined_subroutine { record(&die, &unit, enclosing, &sites) }
            var inner = Dwarf_Die()
            if stack.count < 4096, libdw.dwarf_haschildren(&die) > 0, libdw.dwarf_child(&die, &inner) == 0 {
                stack.append((inner, enclosing))
            }
        }
    }

    private static func record(
        _ die: inout Dwarf_Die, _ unit: inout Dwarf_Die, _ enclosing: String?, _ sites: inout Sites
    ) {
        guard var origin = origin(&die), let address = entry(&die) else { return }
        let offset = libdw.dwarf_dieoffset(&origin)
        let site = Site(into: enclosing ?? "", file: callFile(&die, &unit), line: callLine(&die), address: address)
        sites.byOrigin[offset, default: []].append(site)
        if let name = name(&origin) { sites.originsByName[name, default: []].insert(offset) }
    }

    private static func origin(_ die: inout Dwarf_Die) -> Dwarf_Die? {
        var attribute = Dwarf_Attribute()
        var origin = Dwarf_Die()
        guard libdw.dwarf_attr(&die, UInt32(DW_AT_abstract_origin), &attribute) != nil,
            libdw.dwarf_formref_die(&attribute, &origin) != nil
        else { return nil }
        return origin
    }

    /// The linkage name, or the plain name where there is none (C).
    private static func name(_ die: inout Dwarf_Die) -> String? {
        var attribute = Dwarf_Attribute()
        for key in [DW_AT_linkage_name, DW_AT_MIPS_linkage_name, DW_AT_name] {
            if libdw.dwarf_attr_integrate(&die, UInt32(key), &attribute) != nil,
                let text = libdw.dwarf_formstring(&attribute)
            {
                return String(cString: text)
            }
        }
        return nil
    }

    private static func entry(_ die: inout Dwarf_Die) -> UInt64? {
        var address: Dwarf_Addr = 0
        if libdw.dwarf_entrypc(&die, &address) == 0 { return address }
        var base: Dwarf_Addr = 0
        var end: Dwarf_Addr = 0
        return libdw.dwarf_ranges(&die, 0, &base, &address, &end) > 0 ? address : nil
    }

    private static func callLine(_ die: inout Dwarf_Die) -> Int? {
        var attribute = Dwarf_Attribute()
        var value: Dwarf_Word = 0
        guard libdw.dwarf_attr(&die, UInt32(DW_AT_call_line), &attribute) != nil,
            libdw.dwarf_formudata(&attribute, &value) == 0
        else {
            return nil
        }
        return Int(clamping: value)
    }

    private static func callFile(_ die: inout Dwarf_Die, _ unit: inout Dwarf_Die) -> String? {
        var attribute = Dwarf_Attribute()
        var index: Dwarf_Word = 0
        var files: OpaquePointer?
        var count = 0
        guard libdw.dwarf_attr(&die, UInt32(DW_AT_call_file), &attribute) != nil,
            libdw.dwarf_formudata(&attribute, &index) == 0,
            libdw.dwarf_getsrcfiles(&unit, &files, &count) == 0, index < UInt64(count),
            let path = libdw.dwarf_filesrc(files, Int(index), nil, nil)
        else { return nil }
        return String(cString: path)
    }
}
