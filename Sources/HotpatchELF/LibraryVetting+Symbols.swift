import CHotpatchElf
import HotpatchMemory

extension LibraryVetting {
    // MARK: Symbols

    func symbol(_ index: UInt32) throws(ReadError) -> Elf64_Sym {
        try value(
            Elf64_Sym.self, at: UInt64(index) * UInt64(SymbolTable.recordSize), of: symbols, "symbol \(index)")
    }

    /// Checks a symbol that the loader may look at.
    mutating func checkSymbol(_ index: UInt32) throws(ReadError) {
        guard checkedSymbols.insert(index).inserted else { return }
        let symbol = try symbol(index)
        let place = symbols.fileOffset + UInt64(index) * UInt64(SymbolTable.recordSize)
        try checkString(UInt64(symbol.st_name), "the name of symbol \(index)", from: place)
        if let versions {
            let version = try value(
                UInt16.self, at: UInt64(index) * 2, of: versions, "the version of symbol \(index)")
            guard version & 0x7FFF <= highestVersion else {
                throw malformed(
                    versions.fileOffset + UInt64(index) * 2,
                    "symbol \(index) is of version \(version & 0x7FFF), which no table has")
            }
        }
        guard symbol.isDefined else { return }
        switch symbol.type {
        case UInt8(STT_FUNC), UInt8(STT_GNU_IFUNC):
            // An indirect one is a resolver, which the loader calls.
            let isThere = symbol.type == UInt8(STT_FUNC) ? isCode(symbol.st_value) : isFunction(symbol.st_value)
            guard symbol.st_shndx != UInt16(SHN_ABS), isThere else {
                throw malformed(
                    place, "function \(name(of: symbol)) is at \(hex(symbol.st_value)), where the file has none")
            }
        case UInt8(STT_TLS):
            guard let threadLocal, symbol.st_value <= threadLocal.memorySize else {
                throw malformed(place, "\(name(of: symbol)) is thread-local, and lies outside of what the library has")
            }
        default: break
        }
    }

    func name(of symbol: Elf64_Sym) -> String {
        String(decoding: string(UInt64(symbol.st_name)), as: UTF8.self)
    }

    // MARK: Hash tables

    mutating func checkHashTables() throws(ReadError) {
        // How long the table is they say; its names, versions and values are checked as far.
        let (gnu, old) = (entry(DT_GNU_HASH), entry(DT_HASH))
        guard gnu != nil || old != nil else {
            throw malformed(dynamicOffset, "the dynamic section has no hash table of its symbols")
        }
        if let gnu { try checkGNUHash(gnu) }
        if let old { try checkOldHash(old) }
    }

    /// Four words, the filter, the buckets, the chains; a chain ends where a word is odd.
    private mutating func checkGNUHash(_ entry: (offset: UInt64, value: UInt64)) throws(ReadError) {
        let table = try table(at: entry.value, size: nil, of: "the hash table", from: entry.offset)
        func word(_ offset: UInt64) throws(ReadError) -> UInt32 {
            try value(UInt32.self, at: offset, of: table, "the hash table")
        }
        let (buckets, first) = (try word(0), try word(4))
        let (filter, shift) = (try word(8), try word(12))
        guard filter.nonzeroBitCount == 1, shift < 32 else {
            throw malformed(table.fileOffset + 8, "the hash table's filter has \(filter) words, shifted by \(shift)")
        }
        let bucketStart = 16 + UInt64(filter) * 8
        let chainStart = bucketStart + UInt64(buckets) * 4
        guard chainStart <= table.size else {
            throw malformed(table.fileOffset, "the hash table has \(buckets) buckets, and no room for them")
        }
        var last: UInt32?
        for index in 0..<UInt64(buckets) {
            if time.isOver(at: Int(index), "the hash table of \(image.path)") { return }
            let start = try word(bucketStart + index * 4)
            if start == 0 { continue }
            guard start >= first else {
                throw malformed(
                    table.fileOffset + bucketStart + index * 4, "a bucket leads to symbol \(start), before the first")
            }
            last = max(last ?? start, start)
        }
        guard var last else { return noteRead(table, size: chainStart) }
        // Each chain ends where this one does, or before.
        while try word(chainStart + UInt64(last - first) * 4) & 1 == 0 {
            if time.isOver(at: Int(last), "the hash table of \(image.path)") { return }
            last += 1
        }
        noteRead(table, size: chainStart + UInt64(last - first + 1) * 4)
        for index in first...last {
            if time.isOver(at: Int(index), "the symbols of \(image.path)") { return }
            try checkSymbol(index)
        }
    }

    /// Two words, the buckets, the chains: indexes of symbols, 0 at the end (gABI, "Hash Table").
    private mutating func checkOldHash(_ entry: (offset: UInt64, value: UInt64)) throws(ReadError) {
        let table = try table(at: entry.value, size: nil, of: "the hash table", from: entry.offset)
        func word(_ offset: UInt64) throws(ReadError) -> UInt32 {
            try value(UInt32.self, at: offset, of: table, "the hash table")
        }
        let (buckets, count) = (try word(0), try word(4))
        guard 8 + (UInt64(buckets) + UInt64(count)) * 4 <= table.size else {
            throw malformed(table.fileOffset, "the hash table has \(buckets) buckets and \(count) symbols, and no room")
        }
        noteRead(table, size: 8 + (UInt64(buckets) + UInt64(count)) * 4)
        // A symbol is in one chain, and once: what comes to one that another chain has had ends as that did.
        var isSeen = [Bool](repeating: false, count: Int(count))
        for bucket in 0..<UInt64(buckets) {
            if time.isOver(at: Int(bucket), "the hash table of \(image.path)") { return }
            var place = 8 + bucket * 4
            while case let index = try word(place), index != 0 {
                guard index < count, !isSeen[Int(index)] else {
                    throw malformed(table.fileOffset + place, "a chain of the hash table leads to symbol \(index)")
                }
                isSeen[Int(index)] = true
                try checkSymbol(index)
                place = 8 + (UInt64(buckets) + UInt64(index)) * 4
            }
        }
    }

    // MARK: Versions

    mutating func checkVersions() throws(ReadError) {
        let (defined, required) = (entry(DT_VERDEF), entry(DT_VERNEED))
        guard let numbers = entry(DT_VERSYM) else {
            if let (offset, _) = defined ?? required {
                throw malformed(offset, "it has versions, and no symbol has one")
            }
            return
        }
        guard defined != nil || required != nil else {
            throw malformed(numbers.offset, "its symbols have versions, and no table says which")
        }
        versions = try table(at: numbers.value, size: nil, of: "the table of versions", from: numbers.offset)
        if let required { try checkNeededVersions(required) }
        if let defined { try checkDefinedVersions(defined) }
    }

    /// A chain of records, each with a chain of versions; the next record is so many bytes on.
    private mutating func checkNeededVersions(_ entry: (offset: UInt64, value: UInt64)) throws(ReadError) {
        let table = try table(at: entry.value, size: nil, of: "the versions that it needs", from: entry.offset)
        let files = needed.map { string($0.value) }
        var offset: UInt64 = 0
        var budget = 0x8000
        while true {
            let record = try value(Elf64_Verneed.self, at: offset, of: table, "a needed version")
            let place = table.fileOffset + offset
            guard record.vn_version == 1 else {
                throw malformed(place, "a needed version of format \(record.vn_version)")
            }
            try checkString(UInt64(record.vn_file), "the library of a needed version", from: place)
            // The loader takes it for granted, and ends the process.
            guard files.contains(where: { $0.equals(string(UInt64(record.vn_file))) }) else {
                throw malformed(place, "it needs a version of a library that it does not need")
            }
            var inner = offset + UInt64(record.vn_aux)
            while true {
                let version = try value(Elf64_Vernaux.self, at: inner, of: table, "a needed version")
                try checkVersion(
                    version.vna_other, name: version.vna_name, hash: version.vna_hash, from: table.fileOffset + inner)
                neededVersions.insert(UInt64(version.vna_name))
                budget -= 1
                guard budget > 0 else { throw malformed(place, "the versions that it needs have no end") }
                if version.vna_next == 0 { break }
                inner += UInt64(version.vna_next)
            }
            noteRead(table, size: inner + UInt64(MemoryLayout<Elf64_Vernaux>.size))
            if record.vn_next == 0 { return }
            offset += UInt64(record.vn_next)
        }
    }

    func needsVersion(_ name: StaticString) -> Bool {
        neededVersions.contains {
            let version = string($0)
            return version.count == name.utf8CodeUnitCount && version.starts(with: name)
        }
    }

    private mutating func checkDefinedVersions(_ entry: (offset: UInt64, value: UInt64)) throws(ReadError) {
        let table = try table(at: entry.value, size: nil, of: "the versions that it defines", from: entry.offset)
        var offset: UInt64 = 0
        for _ in 0..<0x8000 {
            let record = try value(Elf64_Verdef.self, at: offset, of: table, "a defined version")
            let place = table.fileOffset + offset
            guard record.vd_version == 1 else {
                throw malformed(place, "a defined version of format \(record.vd_version)")
            }
            let name = try value(
                Elf64_Verdaux.self, at: offset + UInt64(record.vd_aux), of: table, "the name of a defined version")
            try checkVersion(record.vd_ndx, name: name.vda_name, hash: record.vd_hash, from: place)
            noteRead(table, size: offset + UInt64(MemoryLayout<Elf64_Verdef>.size))
            if record.vd_next == 0 { return }
            offset += UInt64(record.vd_next)
        }
        throw malformed(table.fileOffset, "the versions that it defines have no end")
    }

    private mutating func checkVersion(
        _ number: UInt16, name: UInt32, hash: UInt32, from place: UInt64
    ) throws(ReadError) {
        try checkString(UInt64(name), "the name of a version", from: place)
        // The loader compares hashes first; names only then, which a version that no record describes has none of.
        guard hash == Self.hash(string(UInt64(name))) else {
            throw malformed(place, "a version's hash is not that of its name")
        }
        highestVersion = max(highestVersion, number & 0x7FFF)
    }

    /// The hash of names of versions, and of the older hash table (gABI, "Hash Table").
    private static func hash(_ name: UnsafeRawBufferPointer) -> UInt32 {
        var hash: UInt32 = 0
        for byte in name {
            hash = hash << 4 &+ UInt32(byte)
            hash ^= hash >> 24 & 0xF0
        }
        return hash & 0x0FFF_FFFF
    }
}
