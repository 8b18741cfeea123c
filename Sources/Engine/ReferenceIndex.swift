import Memory
import PatchPlan
import Symbols

/// What the code of images says of the entries of their functions. An image is read once, however many of its functions are
/// patched, and in however many transactions.
public final class ReferenceIndex {
    private struct Entry {
        var starts: [Address]
        var added: Set<Address> = []
        /// Ascending by target.
        var references: [Reference]
    }
    private var entries: [LoadedImage: Entry] = [:]

    /// Code is read in pieces of so many bytes, so that a large image takes little memory.
    private static let block = 1 << 20
    /// Pieces overlap, so that no instruction, and no pair of them (arm64), is cut in two.
    private static let overlap = 128
    /// Bytes of an image's code at most: what a target says of its size is not to be believed.
    private static let limit = 1 << 30

    public init() {}

    /// Forgets all other images.
    public func keep(_ images: [LoadedImage]) {
        let kept = Set(images)
        entries = entries.filter { kept.contains($0.key) }
    }

    /// Everything in the image that may jump to the first of `places`, or refer to another of them, but for displacements of 8
    /// bits.
    /// - Parameters:
    ///   - places: from the entry on, `entrySpan` bytes at most.
    ///   - memory: the code as it was before anything was patched.
    func references(
        to places: Range<Address>, of image: LoadedImage, _ architecture: Architecture, in memory: some MemoryReader
    ) throws(PatchError) -> ArraySlice<Reference> {
        var entry = entries[image] ?? Entry(starts: image.codeStarts(), references: [])
        let start = Self.lowerBound(entry.starts, places.lowerBound) { $0 }
        let isKnown = start < entry.starts.count && entry.starts[start] == places.lowerBound
        if entries[image] == nil || !isKnown && !entry.added.contains(places.lowerBound) {
            if !isKnown { entry.added.insert(places.lowerBound) }
            entry.references = try Self.read(image, entry.starts + entry.added, architecture, memory)
            entries[image] = entry
        }
        let first = Self.lowerBound(entry.references, places.lowerBound, \.target)
        let end = Self.lowerBound(entry.references, places.upperBound, \.target)
        return entry.references[first..<end]
    }

    private static func read(
        _ image: LoadedImage, _ starts: [Address], _ architecture: Architecture, _ memory: some MemoryReader
    ) throws(PatchError) -> [Reference] {
        let ranges = image.executableRanges
        guard let first = ranges.first, let last = ranges.last else { return [] }
        guard last.upperBound - first.lowerBound <= limit else {
            throw .target(
                "cannot patch \(image.path): \((last.upperBound - first.lowerBound) >> 20) MiB of it are executable, and only "
                    + "\(limit >> 20) MiB are searched for what leads into an entry. Patch what calls it.")
        }
        var wanted = WantedPlaces(in: first.lowerBound..<last.upperBound)
        for start in starts {
            wanted.add(jumpsTo: start)
            wanted.add(allTo: start + 1..<start + architecture.entrySpan)
        }
        var found: [Reference] = []
        func read(_ range: Range<Address>, _ body: (_ bytes: [UInt8], _ address: Address) -> Void) throws(PatchError) {
            var at = range.lowerBound
            while at < range.upperBound {
                let count = min(range.upperBound - at, block + overlap)
                do throws(MemoryError) { body(try memory.bytes(at: at, count: count), at) } catch {
                    throw .memory(error, doing: "read \(image.path)")
                }
                at += block
            }
        }
        for range in ranges {
            try read(range) { found += wanted.references(architecture, in: $0, at: $1, reach: .near) }
        }
        for range in image.initializedData { try read(range) { found += wanted.words(in: $0, at: $1) } }
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
