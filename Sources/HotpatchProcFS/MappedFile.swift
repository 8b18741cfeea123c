import HotpatchMemory

/// Mappings of one file: what may be an image.
package struct MappedFile: Hashable, Sendable {
    /// Mappings of a file, after the first, that are looked at.
    private static let largestCount = 256

    /// In ascending order; the first maps the start of the file, where an image has its ELF header.
    package var regions: ArraySlice<Region>

    fileprivate init(startingAt start: Int, of regions: [Region]) {
        self.regions = regions[start...].prefix(Self.largestCount)
    }

    package var header: Region { regions[regions.startIndex] }
    package var path: String { header.path }
    package var inode: UInt64 { header.inode }

    /// The path without the kernel's remark that nothing leads there any more.
    package var cleanPath: String { path.hasSuffix(" (deleted)") ? String(path.dropLast(10)) : path }
}

extension ProcessMap {
    /// The mappings grouped by device, inode and path, in ascending order: each group starts with a mapping of file
    /// offset 0. Whether that is an ELF header, and how far the image reaches, only the memory and the file tell
    /// (`SymbolIndex`): a file mapped twice gives two groups, the first of which holds the mappings of both.
    package var mappedFiles: [MappedFile] {
        struct Key: Hashable {
            var major: UInt32
            var minor: UInt32
            var inode: UInt64
            var path: String
        }
        var byFile: [Key: [Region]] = [:]
        var order: [Key] = []
        for region in regions where region.inode != 0 && !region.path.hasPrefix("[") {
            let key = Key(
                major: region.deviceMajor, minor: region.deviceMinor, inode: region.inode, path: region.path)
            if byFile[key] == nil { order.append(key) }
            byFile[key, default: []].append(region)
        }
        var files: [MappedFile] = []
        for key in order {
            let all = byFile[key]!
            let starts = all.indices.filter { all[$0].fileOffset == 0 && all[$0].permissions.contains(.read) }
            // An image has a handful of mappings; a file may be mapped thousands of times.
            for start in starts { files.append(MappedFile(startingAt: start, of: all)) }
        }
        return files.sorted { $0.header.range.lowerBound < $1.header.range.lowerBound }
    }
}
