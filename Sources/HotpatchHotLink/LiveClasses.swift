import HotpatchMemory

/// The classes of a process, by their metadata (swift/include/swift/ABI/Metadata.h, TargetClassMetadata without Objective-C): what lies in
/// images, what was linked later, and what the runtime has made of generic classes.
///
/// Nobody keeps a list of a class's subclasses; each of them holds the address of its superclass.
struct LiveClasses {
    /// From its superclass's metadata to that of each class.
    private var subclasses: [Address: [Address]] = [:]
    private let memory: any MemoryReader

    /// More is not read for one edit.
    private static let mostBytes = 4 << 30
    private static let chunk = 1 << 20
    /// From the address point to the first word that is not part of every class.
    private static let header = 56

    /// - Throws: `LinkError` where the memory of the process cannot be looked through.
    init(_ live: LiveProgram, for path: String) throws {
        memory = live.memory
        func refused(_ what: String) -> LinkError {
            .unsupported(
                path: path, what: "an override comes or goes, and the subclasses cannot be found: \(what)",
                remedy: "Restart.")
        }
        guard let ranges = live.writable() else { throw refused("nobody says which memory the process has") }
        let total = ranges.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) }
        guard total <= Self.mostBytes else {
            throw refused(
                "the process has \(total >> 20) MiB of writable memory, and \(Self.mostBytes >> 20) MiB are read")
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk + Self.header, alignment: 16)
        // No copy of a class may be found, now or later, where it is this process's memory that is read.
        defer {
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            buffer.deallocate()
        }
        let own = Self.range(of: buffer, in: memory)
        for range in ranges {
            var start = range.lowerBound
            while start < range.upperBound {
                let count = min(Self.chunk + Self.header, range.upperBound - start)
                let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                // What cannot be read is no metadata: a device's memory, or gone.
                if (try? memory.read(at: start, into: part)) != nil {
                    note(UnsafeRawBufferPointer(part), at: start, own)
                }
                start += Self.chunk
            }
        }
    }

    /// Where a buffer lies in the memory that is read into it; nil where that is another process's.
    private static func range(of buffer: UnsafeMutableRawBufferPointer, in memory: any MemoryReader) -> Range<Address>?
    {
        let mark = UInt64.random(in: 1 ... .max)
        buffer.storeBytes(of: mark, as: UInt64.self)
        let start = Address(UInt64(UInt(bitPattern: buffer.baseAddress)))
        guard (try? memory.value(UInt64.self, at: start)) == mark else { return nil }
        return start..<start + buffer.count
    }

    private mutating func note(_ bytes: UnsafeRawBufferPointer, at start: Address, _ own: Range<Address>?) {
        var offset = 0
        while offset + Self.header <= bytes.count, offset < Self.chunk {
            let place = offset
            offset += 8
            // The kind of a class is 0, and a superclass is somewhere.
            guard bytes.load(fromByteOffset: place, as: UInt64.self) == 0 else { continue }
            let superclass = bytes.load(fromByteOffset: place + 8, as: UInt64.self)
            guard superclass != 0, superclass % 8 == 0,
                // Flags: Swift's own reference counting; no instance begins before its address.
                bytes.load(fromByteOffset: place + 16, as: UInt32.self) & ~0xFD == 2,
                bytes.load(fromByteOffset: place + 20, as: UInt32.self) == 0,
                bytes.load(fromByteOffset: place + 40, as: UInt64.self) != 0
            else { continue }
            let size = bytes.load(fromByteOffset: place + 32, as: UInt32.self)
            let addressPoint = bytes.load(fromByteOffset: place + 36, as: UInt32.self)
            guard size >= UInt32(Self.header), size < 1 << 24, addressPoint >= 16, addressPoint < size,
                own?.contains(start + place) != true
            else { continue }
            subclasses[Address(superclass), default: []].append(start + place)
        }
    }

    /// The subclasses of a class, and theirs.
    /// - Throws: `LinkError` where several pieces of memory look like one class.
    func subclasses(of metadata: Address, for path: String) throws -> [Address] {
        var (result, next) = ([Address](), [metadata])
        var seen: Set<Address> = [metadata]
        while let superclass = next.popLast() {
            for found in subclasses[superclass] ?? [] where seen.insert(found).inserted {
                result.append(found)
                next.append(found)
            }
        }
        // A class has one, and a generic one has as many as it has arguments.
        var contents: Set<[UInt8]> = []
        for found in result {
            // Without the first word: this is no copy of a class.
            let size = (try? memory.value(UInt32.self, at: found + 32)).map(Int.init) ?? Self.header
            let addressPoint = (try? memory.value(UInt32.self, at: found + 36)).map(Int.init) ?? 0
            guard let bytes = try? memory.bytes(at: found + 8, count: max(0, size - addressPoint - 8)),
                contents.insert(bytes).inserted
            else {
                throw LinkError.unsupported(
                    path: path,
                    what:
                        "an override comes or goes, and the metadata of \(name(of: found)), a subclass, is there twice",
                    remedy: "Restart.")
            }
        }
        return result.sorted()
    }

    /// How many classes it inherits from.
    func depth(of metadata: Address) -> Int {
        var (depth, place) = (0, metadata)
        while depth < 1000, let next = superclass(of: place) { (depth, place) = (depth + 1, next) }
        return depth
    }

    func superclass(of metadata: Address) -> Address? {
        (try? memory.value(UInt64.self, at: metadata + 8)).flatMap { $0 == 0 ? nil : Address($0) }
    }

    /// As the class's descriptor says.
    func name(of metadata: Address) -> String {
        func text() throws -> String? {
            let descriptor = Address(try memory.value(UInt64.self, at: metadata + 40))
            let place = descriptor + 8
            let name = place + Int(try memory.value(Int32.self, at: place))
            let bytes = try memory.bytes(at: name, count: 64).prefix { $0 != 0 }
            return String(validating: bytes, as: UTF8.self)
        }
        return (try? text()).flatMap(\.self) ?? "a class at \(metadata)"
    }
}
