import CHotpatchElf
import HotpatchELF
import HotpatchMemory

/// What the callers of an async Swift function go by: where its code is, and how large a context they allocate for it. Its symbol is
/// the function's with `Tu` behind it (swift/include/swift/ABI/Executor.h, AsyncFunctionPointer).
struct AsyncRecord {
    static let size = 8

    /// In bytes.
    let contextSize: Int
    /// From the record.
    private let codeOffset: Int32

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let offset = bytes.value(Int32.self, at: 0), let size = bytes.value(UInt32.self, at: 4) else {
            return nil
        }
        codeOffset = offset
        contextSize = Int(size)
    }

    /// Whether the record, which lies at an address, is that of the code at another.
    func leads(from address: UInt64, to code: UInt64) -> Bool {
        address &+ UInt64(bitPattern: Int64(codeOffset)) == code
    }
}

extension ElfImage {
    /// The bytes of the context that callers of an async function of the file allocate for it; nil where it has no record.
    package func asyncContextSize(of function: ElfSymbol) -> Int? {
        guard !function.name.isEmpty else { return nil }
        return (function.name + "Tu").withBytes { name in
            for table in [dynamicTable, staticTable].compactMap(\.self) where table.count > 1 {
                for index in 1..<table.count {
                    let symbol = table[index]
                    guard symbol.type == UInt8(STT_OBJECT), symbol.isDefined, table.name(symbol)?.equals(name) == true,
                        let bytes = try? readFile(at: symbol.st_value, count: AsyncRecord.size),
                        let record = bytes.withUnsafeBytes(AsyncRecord.init),
                        record.leads(from: symbol.st_value, to: function.value)
                    else { continue }
                    return record.contextSize
                }
            }
            return nil
        }
    }
}

extension SymbolIndex {
    /// The bytes of the context that callers of an async function allocate for it, as its record in the process says; nil where it has
    /// none, as a function that is not async.
    package func asyncContextSize(of function: FunctionSymbol) -> Int? {
        guard let image = images.firstIndex(of: function.image) else { return nil }
        let bias = function.image.bias
        return (function.name + "Tu").withBytes { name in
            // Several files of a module may have private functions of one name.
            for definition in definitions(named: name, nil, only: image, code: false) {
                let linked = definition.symbol.st_value
                guard let bytes = try? memory.bytes(at: bias.address(ofLinked: linked), count: AsyncRecord.size),
                    let record = bytes.withUnsafeBytes(AsyncRecord.init),
                    record.leads(from: linked, to: bias.linked(function.symbolAddress))
                else { continue }
                return record.contextSize
            }
            return nil
        }
    }
}

/// Functions of the Swift runtime: how an async function gets the memory of a context, and gives it back.
package struct TaskAllocator: Sendable, Hashable {
    /// `swift_task_alloc`.
    package var allocate: Address
    /// `swift_task_dealloc`.
    package var deallocate: Address

    package init(allocate: Address, deallocate: Address) {
        self.allocate = allocate
        self.deallocate = deallocate
    }
}

extension SymbolIndex {
    /// The task allocator that a function uses: its own image's, where the runtime is linked statically, else the one that the
    /// dynamic linker would bind. Nil where there is none, or none that is known.
    package func taskAllocator(of function: FunctionSymbol) -> TaskAllocator? {
        func own(_ name: String) -> Address? {
            guard let image = images.firstIndex(of: function.image) else { return nil }
            let found = name.withBytes { definitions(named: $0, nil, only: image, code: true) }
            return found.first.map { function.image.bias.address(ofLinked: $0.symbol.st_value) }
        }
        for find in [own, { self.exportedAddress(of: $0) }] {
            guard let allocate = find("swift_task_alloc"), let deallocate = find("swift_task_dealloc") else { continue }
            return TaskAllocator(allocate: allocate, deallocate: deallocate)
        }
        return nil
    }
}

extension Demangling {
    /// Whether a text holds two characters of ASCII, one behind the other. Every function that is looked up to be patched is asked, and
    /// what the standard library searches with takes as long as the look-up.
    private static func holds(_ text: String, _ pair: StaticString) -> Bool {
        var last: UInt8 = 0
        for byte in text.utf8 {
            if last == pair.utf8Start[0], byte == pair.utf8Start[1] { return true }
            last = byte
        }
        return false
    }

    /// Whether a mangled name says that its function is async. The name of an accessor does not say.
    package static func saysAsync(_ mangled: String) -> Bool {
        guard holds(mangled, "Ya"), let text = demangle(mangled) else { return false }
        // The effects stand between the parameters and the result: `f(() async -> ()) async throws -> () -> ()`.
        var depth = 0
        var effects = ""
        for (index, character) in zip(text.indices, text) {
            switch character {
            case "(": depth += 1
            case ")":
                depth -= 1
                effects = ""
            // What stands behind it is the type of a property.
            case ":" where depth == 0 && effects.last == " ": return false
            case "-" where depth == 0 && text[index...].hasPrefix("-> "):
                return effects.split(separator: " ").contains("async")
            default: if depth == 0 { effects.append(character) }
            }
        }
        return false
    }
}
