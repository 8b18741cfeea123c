/// The records of a file in LLVM's bitstream container format (https://llvm.org/docs/BitCodeFormat.html), one block deep.
///
/// Abbreviations that a BLOCKINFO block defines for others are not supported: what the Swift frontend writes about dependencies has none.
struct CompilerBitstream {
    struct Record: Equatable {
        var code: UInt64
        /// Without the blob.
        var operands: [UInt64]
        var blob: Range<Int>?
    }

    struct Malformed: Error {
        var what: String
    }

    private enum Operand {
        case literal(UInt64)
        case fixed(Int)
        case variable(Int)
        case array
        case character
        case blob
    }

    private let bytes: [UInt8]
    /// In bits.
    private var position: Int
    private var abbreviations: [[Operand]] = []

    /// - Parameter magic: what the file begins with.
    init(_ bytes: [UInt8], magic: [UInt8]) throws(Malformed) {
        guard bytes.starts(with: magic) else { throw Malformed(what: "it does not begin as it should") }
        self.bytes = bytes
        position = magic.count * 8
    }

    /// Calls `body` with each record of the blocks of this number.
    mutating func read(block wanted: UInt64, _ body: (Record) throws(Malformed) -> Void) throws(Malformed) {
        while position + 32 <= bytes.count * 8 {
            guard try bits(2) == 1 else { throw Malformed(what: "a block is expected") }
            let block = try variable(8)
            let width = Int(try variable(4))
            try align()
            let words = try bits(32)
            let end = position + Int(words) * 32
            guard width >= 2, width <= 32, end <= bytes.count * 8 else { throw Malformed(what: "a block is too long") }
            if block == wanted {
                try read(width: width, end: end, body)
            }
            position = end
        }
    }

    private mutating func read(
        width: Int, end: Int, _ body: (Record) throws(Malformed) -> Void
    ) throws(Malformed) {
        abbreviations = []
        while position < end {
            let id = try bits(width)
            switch id {
            case 0: return
            case 1: throw Malformed(what: "a block lies in another")
            case 2: abbreviations.append(try abbreviation())
            case 3:
                let code = try variable(6)
                let count = try variable(6)
                guard count <= UInt64(bytes.count) * 8 else { throw Malformed(what: "a record is too long") }
                var operands: [UInt64] = []
                for _ in 0..<count { operands.append(try variable(6)) }
                try body(Record(code: code, operands: operands))
            default:
                guard id - 4 < UInt64(abbreviations.count) else {
                    throw Malformed(what: "a record is of no known shape")
                }
                try body(try record(abbreviations[Int(id - 4)]))
            }
        }
    }

    private mutating func abbreviation() throws(Malformed) -> [Operand] {
        var operands: [Operand] = []
        let count = try variable(5)
        guard count <= 64 else { throw Malformed(what: "the shape of a record is too long") }
        while operands.count < count {
            if try bits(1) == 1 {
                operands.append(.literal(try variable(8)))
                continue
            }
            switch try bits(3) {
            case 1, 2:
                position -= 3
                let isFixed = try bits(3) == 1
                let width = Int(try variable(5))
                guard width <= 64, isFixed || width >= 2 else { throw Malformed(what: "a number is too wide") }
                operands.append(isFixed ? .fixed(width) : .variable(width))
            case 3: operands.append(.array)
            case 4: operands.append(.character)
            case 5: operands.append(.blob)
            default: throw Malformed(what: "an operand is of no known kind")
            }
        }
        return operands
    }

    private mutating func record(_ shape: [Operand]) throws(Malformed) -> Record {
        var values: [UInt64] = []
        var blob: Range<Int>?
        var index = 0
        while index < shape.count {
            let operand = shape[index]
            index += 1
            switch operand {
            case .array:
                guard index == shape.count - 1 else { throw Malformed(what: "an array is not the last operand") }
                let count = try variable(6)
                guard count <= UInt64(bytes.count) * 8 else { throw Malformed(what: "an array is too long") }
                for _ in 0..<count { values.append(try scalar(shape[index])) }
                index = shape.count
            case .blob:
                let count = try variable(6)
                try align()
                guard count <= UInt64(bytes.count - position / 8) else { throw Malformed(what: "a blob is too long") }
                blob = position / 8..<position / 8 + Int(count)
                position += Int(count) * 8
                try align()
            default: values.append(try scalar(operand))
            }
        }
        guard let code = values.first else { throw Malformed(what: "a record is empty") }
        return Record(code: code, operands: Array(values.dropFirst()), blob: blob)
    }

    private mutating func scalar(_ operand: Operand) throws(Malformed) -> UInt64 {
        switch operand {
        case .literal(let value): return value
        case .fixed(let width): return try bits(width)
        case .variable(let width): return try variable(width)
        case .character:
            let alphabet = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._".utf8)
            return UInt64(alphabet[Int(try bits(6))])
        case .array, .blob: throw Malformed(what: "an array holds no numbers")
        }
    }

    private mutating func align() throws(Malformed) {
        position = (position + 31) / 32 * 32
        guard position <= bytes.count * 8 else { throw Malformed(what: "it ends too early") }
    }

    private mutating func bits(_ count: Int) throws(Malformed) -> UInt64 {
        guard count <= 64, position + count <= bytes.count * 8 else { throw Malformed(what: "it ends too early") }
        var value: UInt64 = 0
        var done = 0
        while done < count {
            let offset = position & 7
            let taken = min(8 - offset, count - done)
            value |= (UInt64(bytes[position >> 3]) >> UInt64(offset) & (1 << UInt64(taken) - 1)) << UInt64(done)
            position += taken
            done += taken
        }
        return value
    }

    private mutating func variable(_ width: Int) throws(Malformed) -> UInt64 {
        var value: UInt64 = 0
        var shift = 0
        while true {
            let piece = try bits(width)
            let more = piece >> UInt64(width - 1) & 1
            guard shift < 64 else { throw Malformed(what: "a number is too large") }
            value |= (piece & (1 << UInt64(width - 1) - 1)) << UInt64(shift)
            if more == 0 { return value }
            shift += width - 1
        }
    }

    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
}
