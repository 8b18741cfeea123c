import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// Whether code or symbols elsewhere in an image stand in the way of a detour.
///
/// - A jump or a call into the overwritten bytes, wherever it comes from: glibc's `mempcpy` goes on in `memmove`, and the parts
///   that compilers move away as rarely run (`name.cold`) go back.
/// - An address of one of these bytes, taken by code, held by data, or given a name: a signal handler may compare a PC with it.
/// - A jump to the entry from a part of the function: the loop it closes would run the replacement once more. A jump from
///   another function is a call in tail position, and meant to reach the replacement.
///
/// The part of a function is told by its name, or, where files are stripped, by jumps both ways: the function into the piece of
/// code, and that back to the entry. Two functions without names that call each other in tail position look the same, and
/// are refused without need.
struct ReferenceCheck {
    let architecture: Architecture
    let image: LoadedImage
    let function: Address
    let extent: (length: Int, available: Int)
    let patchAddress: Address
    var detourLength: Int
    /// As it was before anything was patched.
    let code: PageSnapshot
    /// The function's, mangled: most functions are refused by nobody, and so named nowhere.
    let name: String

    /// From the entry to the end of what is overwritten.
    var places: Range<Address> { function..<patchAddress + detourLength }
    private var inside: Range<Address> { patchAddress + 1..<patchAddress + detourLength }
    /// What the function's own scan has looked through.
    private var own: Range<Address> {
        function..<function + max(extent.length > 0 ? extent.length : extent.available, places.upperBound - function)
    }

    /// - Parameters:
    ///   - near: what may refer to `places` with more than 8 bits.
    ///   - branches: whether branches into the overwritten bytes count.
    func refusal(near: ArraySlice<Reference>, branches: Bool = true) throws(MemoryError) -> Refusal? {
        if let label = image.label(in: inside) {
            var refusal = Refusal(reason: .nameInside, address: label.address)
            refusal.place = (Demangling.demangle(label.name) ?? label.name, "")
            return refusal
        }
        var targets = ReferenceTargets(in: places)
        targets.add(jumpsTo: function)
        targets.add(jumpsTo: patchAddress)
        targets.add(allTo: inside)
        func first(of references: some Sequence<Reference>) throws(MemoryError) -> Refusal? {
            for reference in references {
                if let refusal = try refusal(for: reference), branches || refusal.reason != .foreignBranch {
                    return refusal
                }
            }
            return nil
        }
        if let refusal = try first(of: near) { return refusal }
        return try first(of: short(to: targets))
    }

    /// Whether code elsewhere leads to any of some places in the function, or anything names them or holds their address.
    /// - Parameter near: what may refer to them with more than 8 bits.
    func isReached(_ places: Range<Address>, near: [Reference]) throws(MemoryError) -> Bool {
        if image.label(in: places) != nil { return true }
        var targets = ReferenceTargets(in: places)
        targets.add(allTo: places)
        for reference in try near + short(to: targets) {
            if reference.kind != .address, own.contains(reference.field) { continue }
            if reference.kind == .word { return true }
            if try instruction(of: reference, in: image.code(containing: reference.field)) != nil { return true }
        }
        return false
    }

    /// What lies so near that 8 bits reach.
    private func short(to targets: ReferenceTargets) throws(MemoryError) -> [Reference] {
        let places = targets.range
        let range = mapping(of: places.lowerBound)
        let start = max(range.lowerBound, places.lowerBound - ReferenceTargets.shortReach)
        let end = min(range.upperBound, places.upperBound + ReferenceTargets.shortReach)
        guard start < end else { return [] }
        return try code.withBytes(at: start, count: end - start) {
            targets.references(architecture, in: $0, at: start, reach: .short)
        }
    }

    private func refusal(for reference: Reference) throws(MemoryError) -> Refusal? {
        // In its own bytes only addresses are news, and none in those that are moved.
        if places.contains(reference.field) || reference.kind != .address && own.contains(reference.field) {
            return nil
        }
        let isInside = inside.contains(reference.target)
        guard isInside || reference.kind == .jump && [function, patchAddress].contains(reference.target) else {
            return nil
        }
        if reference.kind == .word {
            var refusal = Refusal(
                reason: .foreignAddress, address: reference.field, operand: reference.target,
                bytes: try code.bytes(at: reference.field, count: 8))
            refusal.place = ("data", place(reference.target))
            return refusal
        }
        let piece = image.code(containing: reference.field)
        guard let instruction = try instruction(of: reference, in: piece) else { return nil }
        if isInside {
            return try refusal(
                reference.kind != .address ? .foreignBranch : .foreignAddress, reference, instruction, in: piece)
        }
        return try isPart(piece, around: reference.field)
            ? refusal(.partToEntry, reference, instruction, in: piece) : nil
    }

    /// Whether the last bytes before the start of a piece of code are padding that is nobody's, so that a short jump may go on
    /// through them: the piece before ends above them, and is not run on into them; nothing names them or leads there.
    /// - Parameters:
    ///   - previous: where the piece before starts.
    ///   - near: what may refer to a hop with more than 8 bits.
    func isHop(
        before start: Address, behind previous: Address, near: (Range<Address>) -> ArraySlice<Reference>
    ) throws(MemoryError) -> Bool {
        let hop = start - architecture.hopLength..<start
        guard hop.lowerBound.roundedDown(to: 4096) == (start - 1).roundedDown(to: 4096),  // written whole or not at all
            let piece = image.code(containing: previous), piece.range.lowerBound == previous,
            piece.range.upperBound <= hop.lowerBound, start - previous < Self.longestPiece,
            image.label(in: hop) == nil
        else { return false }
        let bytes = try code.bytes(at: previous, count: start - previous)
        let padding = architecture.freePadding(in: bytes, behind: piece.range.upperBound - previous)
        guard piece.range.upperBound + padding == start else { return false }
        var targets = ReferenceTargets(in: hop)
        targets.add(allTo: hop)
        for reference in try near(hop) + short(to: targets) where hop.contains(reference.target) {
            if reference.kind == .word { return false }
            if hop.contains(reference.field) { continue }
            if try instruction(of: reference, in: image.code(containing: reference.field)) != nil { return false }
        }
        return true
    }

    /// Bytes of a piece of code that are read to check a reference, at most: sizes come from files.
    private static let longestPiece = 1 << 20

    /// The instruction that a reference is part of; nil where it is none. Where the start of the piece of code is not known, or
    /// something unknown stands before the reference, it counts in doubt.
    private func instruction(
        of reference: Reference, in piece: LoadedImage.Code?
    ) throws(MemoryError) -> (address: Address, length: Int)? {
        let end = min(reference.field + 16, mapping(of: reference.field).upperBound)
        func verdict(from start: Address) throws(MemoryError) -> Reference.Verdict {
            reference.verdict(architecture, in: try code.bytes(at: start, count: end - start), at: start)
        }
        if let piece, reference.field - piece.range.lowerBound < Self.longestPiece {
            switch try verdict(from: piece.range.lowerBound) {
            case .real(let address, let length): return (address, length)
            case .none: return nil
            case .unknown: break
            }
        }
        // Walks that start anywhere soon meet the instructions that there are. It counts where any of them does.
        let lowest = mapping(of: reference.field).lowerBound
        for distance in 48..<64 {
            let start = max(lowest, reference.field - distance)
            if case .real(let address, let length) = try verdict(from: start) { return (address, length) }
        }
        return piece == nil ? nil : (reference.field, 0)
    }

    /// The executable mapping that an address lies in; empty where none does.
    private func mapping(of address: Address) -> Range<Address> {
        image.executableMappings.first { $0.contains(address) } ?? address..<address
    }

    /// Whether a piece of code belongs to the function although it lies elsewhere.
    private func isPart(_ piece: LoadedImage.Code?, around address: Address) throws(MemoryError) -> Bool {
        if let name = piece?.name {
            guard let suffix = name.start(ofPart: ".cold") else { return false }
            return image.names(at: function).contains(String(name[..<suffix]))
        }
        // No name, so it may be a part; it is where the function jumps there.
        let range = piece?.range ?? address - 4096..<address + 4096
        guard range.upperBound - range.lowerBound <= Self.longestPiece else { return true }
        var targets = ReferenceTargets(in: range)
        for place in 0..<range.upperBound - range.lowerBound { targets.add(jumpsTo: range.lowerBound + place) }
        let body = try code.bytes(at: function, count: extent.length > 0 ? extent.length : extent.available)
        for reach in [ReferenceTargets.Reach.near, .short] {
            for reference in targets.references(architecture, in: body, at: function, reach: reach)
            where reference.verdict(architecture, in: body, at: function) != .none { return true }
        }
        return false
    }

    private func refusal(
        _ reason: Refusal.Reason, _ reference: Reference, _ instruction: (address: Address, length: Int),
        in piece: LoadedImage.Code?
    ) throws(MemoryError) -> Refusal {
        let bytes = try code.bytes(at: instruction.address, count: instruction.length)
        var refusal = Refusal(
            reason: reason, address: instruction.address, operand: reference.target, bytes: bytes,
            instruction: architecture.disassemble(bytes, at: instruction.address).first?.text ?? "")
        var source = "code that no symbol names"
        if let piece, let name = piece.name {
            source = Demangling.demangle(name) ?? name
            let distance = instruction.address - piece.range.lowerBound
            if distance > 0 { source += "+0x\(String(distance, radix: 16))" }
        }
        refusal.place = (source, place(reference.target))
        return refusal
    }

    /// "memmove+0x3".
    private func place(_ target: Address) -> String {
        let readable = Demangling.demangle(name) ?? name
        return target == function ? readable : "\(readable)+0x\(String(target - function, radix: 16))"
    }
}

extension String {
    /// Where a suffix that compilers add begins: as a word between dots.
    fileprivate func start(ofPart part: String) -> String.Index? {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(part) {
                let rest = self[index...].dropFirst(part.count)
                if rest.isEmpty || rest.first == "." { return index }
            }
            index = self.index(after: index)
        }
        return nil
    }
}
