import CPatchMachine
import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// The search of memory for words that lead into code: of one page of this process, which is all that its list of mappings tells of.
@Suite struct SearchTests {
    /// Nothing is there, and nobody else has words that lead there.
    private static let code = UInt64(0x5A5A_1234_5000)..<UInt64(0x5A5A_1234_7000)

    private final class Page {
        let start: UnsafeMutableRawPointer
        let size = sysconf(Int32(_SC_PAGESIZE))
        private let maps = tmpfile()!

        /// - Parameter hasCode: the list of mappings tells of the code, too.
        init(hasCode: Bool = true) {
            start = mmap(nil, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
            memset(start, 0, 2 * size)
            func line(_ range: Range<UInt64>, _ permissions: String) -> String {
                let ends = [range.lowerBound, range.upperBound].map { String($0, radix: 16) }
                return "\(ends[0])-\(ends[1]) \(permissions) 00000000 00:00 0 \n"
            }
            let address = UInt64(UInt(bitPattern: start))
            let text =
                (hasCode ? line(SearchTests.code, "r-xp") : "") + line(address..<address + UInt64(size), "rw-p")
            fputs(text, maps)
            fflush(maps)
        }

        deinit {
            munmap(start, 2 * size)
            fclose(maps)
        }

        func store(_ word: UInt64, at offset: Int) { start.storeBytes(of: word, toByteOffset: offset, as: UInt64.self) }

        /// - Parameter isOver: whether the time is over, when it is asked first.
        /// - Returns: the result, and the offset in the page of what was found, if anything.
        func search(isOver: Bool = false) throws -> (result: hp_search_result, place: Int?) {
            let pagemap = open("/proc/self/pagemap", O_RDONLY)
            let memory = open("/proc/self/mem", O_RDONLY)
            defer {
                close(pagemap)
                close(memory)
            }
            let words = HP_SEARCH_BUFFER / 8
            let buffer = UnsafeMutablePointer<UInt64>.allocate(capacity: words)
            defer { buffer.deallocate() }
            var range = hp_word_range(start: SearchTests.code.lowerBound, end: SearchTests.code.upperBound)
            var owner: UInt32 = 0
            var code = hp_searched_code()
            var search = hp_search()
            (search.maps, search.pagemap, search.memory) = (fileno(maps), pagemap, memory)
            search.page_size = UInt64(size)
            search.buffer = buffer
            search.is_over = { $0 != nil }
            search.context = isOver ? UnsafeMutableRawPointer(buffer) : nil
            return withUnsafePointer(to: &range) { range in
                withUnsafePointer(to: &owner) { owner in
                    withUnsafeMutablePointer(to: &code) { code in
                        (search.ranges, search.owners, search.range_count) = (range, owner, 1)
                        (search.code, search.code_count) = (code, 1)
                        hp_begin_search(&search)
                        let result = hp_search_memory(&search)
                        let found = code.pointee.found == HP_FOUND_WORD.rawValue
                        let place = found ? Int(code.pointee.place) - Int(bitPattern: start) : nil
                        return (result, place)
                    }
                }
            }
        }

        func expect(_ place: Int?, sourceLocation: SourceLocation = #_sourceLocation) throws {
            let found = try search()
            #expect(found.result == HP_SEARCH_DONE, sourceLocation: sourceLocation)
            #expect(found.place == place, sourceLocation: sourceLocation)
        }
    }

    @Test func findsAnAlignedWord() throws {
        for offset in [0, 64, 4088] {
            let page = Page()
            try page.expect(nil)
            page.store(Self.code.lowerBound + 0x123, at: offset)
            try page.expect(offset)
        }
    }

    @Test func honoursTheBoundsOfTheCode() throws {
        for (word, isFound) in [
            (Self.code.lowerBound - 1, false), (Self.code.lowerBound, true), (Self.code.upperBound - 1, true),
            (Self.code.upperBound, false),
        ] {
            let page = Page()
            page.store(word, at: 8)
            try page.expect(isFound ? 8 : nil)
        }
    }

    /// The upper 16 bits may hold a tag.
    @Test func findsATaggedAddress() throws {
        let page = Page()
        page.store(Self.code.lowerBound | 0xB400 << 48, at: 16)
        try page.expect(16)
    }

    @Test func ignoresInvertedAddresses() throws {
        let page = Page()
        for offset in stride(from: 0, to: 4096, by: 8) {
            page.store(~(Self.code.lowerBound + UInt64(offset)), at: offset)
        }
        try page.expect(nil)
    }

    @Test func ignoresWhatIsNotAligned() throws {
        let page = Page()
        withUnsafeBytes(of: Self.code.lowerBound) { (page.start + 67).copyMemory(from: $0.baseAddress!, byteCount: 8) }
        try page.expect(nil)
    }

    /// The second page is in no mapping of the list.
    @Test func searchesWhatIsMapped() throws {
        let page = Page()
        page.store(Self.code.lowerBound, at: page.size)
        try page.expect(nil)
    }

    @Test func endsWhenItIsTold() throws {
        let page = Page()
        page.store(Self.code.lowerBound, at: 0)
        let found = try page.search(isOver: true)
        #expect(found.result == HP_SEARCH_OVER && found.place == nil)
    }

    /// Whoever reads the list of another process's mappings than meant does not take that for a search.
    @Test func wantsToSeeTheCode() throws {
        let found = try Page(hasCode: false).search()
        #expect(found.result == HP_SEARCH_NO_MAPPINGS)
    }
}
