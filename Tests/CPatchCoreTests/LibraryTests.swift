#if arch(x86_64)
    import CPatchCore
    import Glibc
    import HotpatchExpectations
    import Testing

    /// Every exported function of real libraries, as they are mapped in this process.
    @Suite(.serialized) struct LibraryTests {
        /// The share of functions that must be movable. What is refused in these are loops back into the first five bytes
        /// (sem_trywait, CRYPTO_atomic_or): refused for cause.
        static let floor = 0.995

        @Test(arguments: ["libc.so.6", "libcrypto.so.3", "libstdc++.so.6", "libm.so.6"])
        func everyExportedFunction(_ name: String) throws {
            guard let library = Library(name) else {
                try #require(name == "libcrypto.so.3", "\(name) is a part of every system")
                print("skipped: \(name) is not installed")
                return
            }
            var counts: [UInt32: Int] = [:]
            var durations: [Duration] = []
            var bytes = 0
            var instructions = 0
            for function in library.functions {
                bytes += function.length
                instructions += checkLengths(function)
                let start = ContinuousClock.now
                let relocation = relocate(function)
                durations.append(ContinuousClock.now - start)
                counts[relocation.refusal.reason.rawValue, default: 0] += 1
                if relocation.succeeded { checkStub(relocation, function) }
            }
            let moved = counts[HP_OK.rawValue] ?? 0
            print(
                "\(name): \(library.functions.count) functions, \(bytes) bytes, \(instructions) instructions; moved \(moved)"
            )
            // Only in a release build is this a measure; the copy of the bytes is counted, too.
            print("    median \(durations.sorted()[durations.count / 2])")
            for (reason, count) in counts.sorted(by: { $0.key < $1.key }) where reason != HP_OK.rawValue {
                print("    \(count): \(String(cString: hp_reason_text(hp_reason(reason))))")
            }
            #expect(library.functions.count > 400)
            #expect(Double(moved) >= Self.floor * Double(library.functions.count))
        }

        private func relocate(_ function: Library.Function) -> Relocation {
            let stub = (function.address & ~15) + 0x1000_0000
            return Relocation(
                Array(UnsafeBufferPointer(start: function.pointer, count: function.available)),
                functionLength: function.length,
                entry: function.address, stub: stub, slot: stub + 0x10_0000)
        }

        /// The decoder reads the stub as a whole number of instructions, and within the budget of 64 bytes.
        private func checkStub(_ relocation: Relocation, _ function: Library.Function) {
            let text = disassemble(relocation.moved, at: (function.address & ~15) + 0x1000_0008)
            #expect(!text.contains("(bad)"), "\(function.address): \(hex(relocation.moved))")
            #expect(relocation.raw.stub_length <= 64)
        }

        /// The core's own table of lengths against the decoder, on every instruction that the decoder knows.
        private func checkLengths(_ function: Library.Function) -> Int {
            var at = 0
            var count = 0
            var text: CChar = 0
            while at < function.length {
                let code = function.pointer + at
                let left = function.length - at
                let decoded = hp_disassemble(HP_ARCH_X86_64, code, left, function.address + UInt64(at), &text, 1)
                if decoded == 0 { return count }
                let own = hp_instruction_length(HP_ARCH_X86_64, code, left)
                let bytes = Array(UnsafeBufferPointer(start: code, count: decoded))
                expect(own, equals: decoded, "\(hex(bytes))")
                at += decoded
                count += 1
            }
            return count
        }
    }

    /// A library's dynamic symbols, read from memory (elf(5)).
    private struct Library {
        struct Function {
            var pointer: UnsafePointer<UInt8>
            var length: Int
            /// Up to the next function, or the alignment of functions.
            var available: Int
            var address: UInt64 { UInt64(UInt(bitPattern: pointer)) }
        }

        private(set) var functions: [Function] = []

        init?(_ name: String) {
            // What dlopen returns is a struct link_map (dlinfo(3)): l_addr, l_name, l_ld, …
            guard let map = dlopen(name, RTLD_NOW) else { return nil }
            let base = map.load(as: UInt.self)
            var dynamic = map.load(fromByteOffset: 16, as: UnsafeRawPointer.self)
            var tags: [Int: UnsafeRawPointer] = [:]  // Elf64_Dyn: tag, value
            while case let tag = dynamic.load(as: Int.self), tag != 0 {
                tags[tag] = UnsafeRawPointer(bitPattern: dynamic.load(fromByteOffset: 8, as: UInt.self))
                dynamic += 16
            }
            let symbolTag = 6
            let hashTag = 0x6fff_fef5  // DT_SYMTAB, DT_GNU_HASH
            guard let symbols = tags[symbolTag], let hash = tags[hashTag] else { return nil }

            var lengths: [UInt: Int] = [:]
            for index in 0..<Self.symbolCount(hash.assumingMemoryBound(to: UInt32.self)) {
                // Elf64_Sym: name 4, info 1, other 1, section 2, value 8, size 8
                let symbol = symbols + index * 24
                let isFunction = symbol.load(fromByteOffset: 4, as: UInt8.self) & 15 == 2
                let isDefined = symbol.load(fromByteOffset: 6, as: UInt16.self) != 0
                let size = symbol.load(fromByteOffset: 16, as: Int.self)
                guard isFunction, isDefined, size > 0 else { continue }
                lengths[base + symbol.load(fromByteOffset: 8, as: UInt.self)] = size
            }
            let starts = lengths.keys.sorted()
            for (index, start) in starts.enumerated() {
                let length = lengths[start]!
                var end = (start + UInt(length) + 15) & ~15
                if index + 1 < starts.count { end = min(end, starts[index + 1]) }
                functions.append(
                    Function(
                        pointer: UnsafePointer(bitPattern: start)!, length: length,
                        available: max(length, Int(end) - Int(start))))
            }
        }

        /// The hash table is the only thing that tells how many symbols there are: the end of the last bucket's chain.
        private static func symbolCount(_ hash: UnsafePointer<UInt32>) -> Int {
            let buckets = hash + 4 + Int(hash[2]) * 2
            let chains = buckets + Int(hash[0])
            let first = Int(hash[1])
            var last = (0..<Int(hash[0])).map { Int(buckets[$0]) }.max() ?? 0
            while last >= first, chains[last - first] & 1 == 0 { last += 1 }
            return last + 1
        }
    }
#endif
