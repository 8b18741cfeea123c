import HotpatchPlan

/// What an edit does to the numbers of the lines below it, which functions hold that say where they fail (`#line`).
struct LineShift {
    private let field: FixupRow?
    /// By the new object's names: the numbers of the line that a function is declared in, before and after.
    private var declared: [String: (old: Int, new: Int)] = [:]
    /// The functions in both objects, ascending by line.
    private var order: [String] = []

    /// - Parameter renamed: the name that something of the new object has in the old one.
    init(_ lines: (old: [String: Int], new: [String: Int]), _ architecture: Architecture, renamed: (String) -> String) {
        // An immediate operand, as relocations of absolute values have it.
        let name = architecture == .x86_64 ? "R_X86_64_32" : "R_AARCH64_MOVW_UABS_G0"
        field = FixupTable(architecture).rows.first { $0.name == name }
        for (name, new) in lines.new {
            if let old = lines.old[renamed(name)] { declared[name] = (old, new) }
        }
        let places = declared
        order = declared.keys.sorted { (places[$0]!.new, $0) < (places[$1]!.new, $1) }
    }

    /// Whether the code of a function differs in nothing but such numbers. Each has grown, or shrunk, by as much as the function has moved, or
    /// what stands behind it: that lies between the two where lines were inserted inside. And it is the number of a line of the function.
    func explains(_ old: [UInt8], _ new: [UInt8], of function: String) -> Bool {
        guard let field, old.count == new.count, let place = declared[function] else { return false }
        // What is inside of it has a name that begins with its own.
        let next = order.first { declared[$0]!.new > place.new && !$0.hasPrefix(function) }.flatMap { declared[$0] }
        let moved = place.new - place.old
        let behind = next.map { $0.new - $0.old } ?? moved
        let shifts = min(moved, behind)...max(moved, behind)
        let lines = place.old...max(place.old, next?.old ?? .max)
        var position = 0
        while position < old.count {
            guard old[position] != new[position] else {
                position += 1
                continue
            }
            let starts = field.isInstruction ? [position & ~3] : Array(max(0, position - 3)...position)
            let end = starts.first { start in
                guard let before = number(in: old, at: start), let after = number(in: new, at: start) else {
                    return false
                }
                return lines.contains(before) && after != before && shifts.contains(after - before)
                    && isSame(old, new, besides: start)
            }
            guard let end else { return false }
            position = end + field.byteCount
        }
        return true
    }

    private func number(in code: [UInt8], at start: Int) -> Int? {
        (try? field?.read(code, at: start)).map { Int($0.value) }
    }

    /// Whether the bytes of a field that are no part of its number are the same.
    private func isSame(_ old: [UInt8], _ new: [UInt8], besides start: Int) -> Bool {
        guard let field, start + field.byteCount <= old.count else { return false }
        var (left, right) = (Array(old[start..<start + field.byteCount]), Array(new[start..<start + field.byteCount]))
        guard (try? field.write(0, into: &left, at: 0)) != nil, (try? field.write(0, into: &right, at: 0)) != nil else {
            return false
        }
        return left == right
    }
}
