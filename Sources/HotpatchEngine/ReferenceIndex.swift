import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// What the code of images says of the entries of their functions. An image is read once, however many of its functions are
/// patched, and in however many transactions.
package final class ReferenceIndex {
    private final class Entry {
        let starts: [Address]
        var added: Set<Address> = []
        /// Ascending by target; nil before the image was read.
        var references: [Reference]?
        /// Where the stubs lie of entries whose detours fit the image, and that nothing in it stands in the way of.
        var fitting: [Address: Address] = [:]

        init(starts: [Address]) { self.starts = starts }
    }
    private var entries: [LoadedImage: Entry] = [:]
    /// Functions are patched image by image.
    private var latest: (image: LoadedImage, entry: Entry)?

    /// Code is read in pieces of so many bytes, which the processor's cache holds.
    private static let block = 1 << 16
    /// Pieces overlap, so that no instruction, and no pair of them (arm64), is cut in two.
    private static let overlap = 128
    /// Bytes of an image's code at most: what a target says of its size is not to be believed.
    private static let limit = 1 << 30
    /// References to entries at most: the 118 MB of liblldb's code have 78,000 that may be some.
    private static let mostReferences = 1 << 22

    package init() {}

    /// Forgets all other images.
    package func keep(_ images: [LoadedImage]) {
        let kept = Set(images)
        entries = entries.filter { kept.contains($0.key) }
        latest = nil
    }

    private func entry(of image: LoadedImage) -> Entry? {
        if let latest, latest.image === image { return latest.entry }
        guard let entry = entries[image] else { return nil }
        latest = (image, entry)
        return entry
    }

    /// Reads the image, unless it was read before with this entry.
    /// - Parameters:
    ///   - function: an entry; nil where none is asked for yet.
    ///   - memory: the code as it was before anything was patched.
    func read(
        _ image: LoadedImage, for function: Address? = nil, _ architecture: Architecture, in memory: some MemoryReader
    ) throws(PatchError) {
        let entry = self.entry(of: image) ?? Entry(starts: image.codeStarts())
        var added = entry.added
        if let function {
            let start = Self.lowerBound(entry.starts, function) { $0 }
            if start == entry.starts.count || entry.starts[start] != function { added.insert(function) }
        }
        if entry.references != nil, added.count == entry.added.count { return }
        let references = try Self.references(image, entry.starts + added, architecture, memory)
        do { try image.checkRead() } catch { throw .symbol(SymbolError(error)) }
        entry.references = references
        entry.added = added
        entries[image] = entry
    }

    /// Notes that the detour of an entry, which leads to a stub, was found to fit an image that was read.
    func note(_ entry: Address, fits image: LoadedImage, stub: Address) { self.entry(of: image)?.fitting[entry] = stub }

    /// Whether it was.
    func fits(_ entry: Address, _ image: LoadedImage, stub: Address) -> Bool {
        self.entry(of: image)?.fitting[entry] == stub
    }

    /// Where pieces of code begin in a range of an image that was read.
    func starts(in range: Range<Address>, of image: LoadedImage) -> ArraySlice<Address> {
        guard let entry = entry(of: image) else { return [] }
        let first = Self.lowerBound(entry.starts, range.lowerBound) { $0 }
        return entry.starts[first..<Self.lowerBound(entry.starts, range.upperBound) { $0 }]
    }

    /// What may refer to `places` in an image that was read, or jump to the entry there, but for displacements of 8 bits.
    /// - Parameter places: of an entry, up to `entrySpan` bytes, or of a hop, right before one.
    func references(to places: Range<Address>, of image: LoadedImage) -> ArraySlice<Reference> {
        guard let entry = entry(of: image) else { return [] }
        guard let references = entry.references else { return [] }
        let first = Self.lowerBound(references, places.lowerBound, \.target)
        let end = Self.lowerBound(references, places.upperBound, \.target)
        return references[first..<end]
    }

    /// What may refer to any places in an image, but for displacements of 8 bits. Reads the image.
    func search(
        for places: Range<Address>, in image: LoadedImage, _ architecture: Architecture, _ memory: some MemoryReader
    ) throws(PatchError) -> [Reference] {
        var targets = ReferenceTargets(in: places)
        targets.add(allTo: places)
        return try Self.references(to: targets, image, architecture, memory)
    }

    private static func references(
        _ image: LoadedImage, _ starts: [Address], _ architecture: Architecture, _ memory: some MemoryReader
    ) throws(PatchError) -> [Reference] {
        let ranges = image.executableRanges
        guard let first = ranges.first, let last = ranges.last else { return [] }
        guard last.upperBound - first.lowerBound <= limit else {
            throw .refused(
                image: image.path,
                "cannot patch \(image.path): \((last.upperBound - first.lowerBound) >> 20) MiB of it are executable, and only "
                    + "\(limit >> 20) MiB are searched for what leads into an entry. Patch what calls it.")
        }
        var targets = ReferenceTargets(in: first.lowerBound..<last.upperBound)
        for (row, start) in starts.enumerated() {
            if row & 4095 == 0, image.isOutOfTime { return [] }
            targets.add(jumpsTo: start)
            targets.add(allTo: start + 1..<start + architecture.entrySpan)
            targets.add(allTo: start - architecture.hopLength..<start)
        }
        return try references(to: targets, image, architecture, memory)
    }

    private static func references(
        to targets: ReferenceTargets, _ image: LoadedImage, _ architecture: Architecture, _ memory: some MemoryReader
    ) throws(PatchError) -> [Reference] {
        var found: [Reference] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: block + overlap, alignment: 16)
        defer { buffer.deallocate() }
        func read(_ range: Range<Address>, _ body: (UnsafeRawBufferPointer, Address) -> Void) throws(PatchError) {
            var at = range.lowerBound
            while at < range.upperBound, !image.isOutOfTime {
                let piece = UnsafeMutableRawBufferPointer(
                    rebasing: buffer[..<min(range.upperBound - at, block + overlap)])
                do throws(MemoryError) { try memory.read(at: at, into: piece) } catch {
                    throw .memory(error, doing: "read \(image.path)")
                }
                body(UnsafeRawBufferPointer(piece), at)
                if found.count > mostReferences {
                    throw .refused(
                        image: image.path,
                        "cannot patch \(image.path): more than \(mostReferences) branches lead into the first bytes of "
                            + "functions. No compiler writes such code. Patch what calls it.")
                }
                at += block
            }
        }
        for range in image.executableRanges {
            try read(range) { found += targets.references(architecture, in: $0, at: $1, reach: .near) }
        }
        for range in image.initializedData { try read(range) { found += targets.words(in: $0, at: $1) } }
        found.sort { ($0.target, $0.field) < ($1.target, $1.field) }
        return found
    }

    private static func lowerBound<Element>(
        _ elements: [Element], _ address: Address, _ key: (Element) -> Address
    ) -> Int {
        var low = 0
        var high = elements.count
        while low < high {
            let middle = (low + high) / 2
            if key(elements[middle]) < address { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
