import CHotpatchDw
import CHotpatchElf
import HotpatchELF

/// What DWARF says about the functions and variables that a file defines, by their symbols' names.
package struct ObjectDescriptions: Sendable {
    package struct Function: Hashable, Sendable {
        package var facts: DebugFacts
        /// Its arguments, and behind them what it captures, as they lie in its code.
        package var parameters: [Parameter]
        /// The name of its result's type, mangled where it is Swift's; nil where there is none.
        package var result: String?
        package var isSwift: Bool
    }

    package struct Parameter: Hashable, Sendable {
        package var name: String
        /// The name of its type, mangled where it is Swift's.
        package var type: String
        /// A `let`, which is held by value; a `var` that is captured is held by its address.
        package var isConstant: Bool
    }

    package private(set) var functions: [String: Function] = [:]
    /// Where each of them is declared in its source.
    package private(set) var lines: [String: Int] = [:]
    /// Variables of Swift that are constant: each `let`.
    package private(set) var constants: Set<String> = []

    /// Structures, classes, unions and enumerations of C and C++: a line for each fact that code relies on.
    package private(set) var types: [String: [String]] = [:]
    /// Variables of C and C++ that no function has for itself. The first dimension of an array is left out, which its size tells.
    package private(set) var variables: [String: Variable] = [:]

    /// The source that it was compiled of: a full path, or what the compiler was given.
    package private(set) var source: String?

    /// What a compiler was asked to leave out of it: types of variables, arguments and members.
    package private(set) var gap: Gap?

    package enum Gap: Hashable, Sendable {
        /// They are in another file (-gsplit-dwarf).
        case elsewhere
        /// Only lines are described, for backtraces (-g1, -gline-tables-only).
        case linesOnly
    }

    package struct Variable: Hashable, Sendable {
        package var type: String
        /// Its bits mean a number to whoever reads as many of them.
        package var isInteger: Bool
    }

    /// Nil where the file has no DWARF, or there is nothing to read it with.
    package init?(of file: ElfImage, time: ReadingTime = ReadingTime()) {
        guard file.hasDebugInfo else { return nil }
        let read = file.debugging.withDwarf { dwarf in
            var result = ObjectDescriptions()
            result.symbols = Self.symbols(of: file)
            result.read(dwarf, time, "the descriptions (DWARF) of \(file.path)")
            return result
        }
        guard let read, time.failure == nil else { return nil }
        self = read
    }

    private init() {}

    /// The names of an object's functions by where `DebugSections` puts them.
    private var symbols: [UInt64: [String]] = [:]

    private static func symbols(of file: ElfImage) -> [UInt64: [String]] {
        guard file.fileType == UInt16(ET_REL), let table = file.staticTable else { return [:] }
        var result: [UInt64: [String]] = [:]
        for index in 0..<table.count where table[index].type == UInt8(STT_FUNC) {
            guard let name = table.rawName(table[index]), table[index].st_shndx != 0 else { continue }
            let address = file.codeAddress(inSection: Int(table[index].st_shndx), table[index].st_value)
            result[address, default: []].append(String(decoding: name, as: UTF8.self))
        }
        return result
    }

    private mutating func read(_ dwarf: OpaquePointer, _ time: ReadingTime, _ subject: String) {
        var offset: Dwarf_Off = 0
        var next: Dwarf_Off = 0
        var headerSize = 0
        while !time.isOver(subject), libdw.dwarf_nextcu(dwarf, offset, &next, &headerSize, nil, nil, nil) == 0 {
            var unit = Dwarf_Die()
            if libdw.dwarf_offdie(dwarf, offset &+ Dwarf_Off(headerSize), &unit) != nil {
                read(unit: &unit, time, subject)
            }
            guard next > offset else { break }
            offset = next
        }
    }

    /// Depth first with a stack of its own: the nesting comes from the file.
    private mutating func read(unit: inout Dwarf_Die, _ time: ReadingTime, _ subject: String) {
        let isSwift = libdw.dwarf_srclang(&unit) == DW_LANG_Swift
        let isCxx = Self.cxx.contains(Int(libdw.dwarf_srclang(&unit)))
        // What types of C and C++ are declared in, each with what that is in; the unit is the first.
        var scopes = [Scope()]
        var stack: [(die: Dwarf_Die, scope: Int)] = []
        var child = Dwarf_Die()
        // DW_AT_dwo_name, and what it was before DWARF 5, which older headers do not name. Units without code of their own name modules that
        // they import: those have no DW_AT_addr_base.
        func has(_ attributes: UInt32...) -> Bool { attributes.contains { libdw.dwarf_hasattr(&unit, $0) == 1 } }
        if has(0x76, 0x2130), has(UInt32(DW_AT_low_pc), UInt32(DW_AT_ranges), 0x73, 0x2133) { gap = .elsewhere }
        if Self.text(&unit, DW_AT_producer)?.contains(" -g1") == true { gap = gap ?? .linesOnly }
        let hasCode = has(UInt32(DW_AT_low_pc), UInt32(DW_AT_ranges))
        if source == nil, hasCode, let name = Self.text(&unit, DW_AT_name) {
            let folder = name.hasPrefix("/") ? nil : Self.text(&unit, DW_AT_comp_dir)
            source = (folder.map { $0 + "/" } ?? "") + name
        }
        let isKnown = isSwift || isCxx || Self.c.contains(Int(libdw.dwarf_srclang(&unit)))
        var hasFunction = false
        defer { if hasCode, isKnown, !hasFunction { gap = gap ?? .linesOnly } }
        guard libdw.dwarf_child(&unit, &child) == 0 else { return }
        stack.append((child, 0))
        var row = 0
        while !time.isOver(at: row, subject), var (die, scope) = stack.popLast() {
            row &+= 1
            var sibling = Dwarf_Die()
            if libdw.dwarf_siblingof(&die, &sibling) == 0 { stack.append((sibling, scope)) }
            var inside: String?
            switch Int(libdw.dwarf_tag(&die)) {
            case DW_TAG_subprogram:
                // Functions inside others are described inside them.
                inside = Self.symbol(&die) ?? ""
                if libdw.dwarf_hasattr(&die, UInt32(DW_AT_low_pc)) == 1, let name = symbol(ofCode: &die, isCxx) {
                    functions[name] = Self.function(&die, name, isSwift)
                    hasFunction = true
                    // The declaration tells the line of what a class declares.
                    let line = Self.number(&die, DW_AT_decl_line, isInherited: isCxx)
                    if let line, line > 0 { lines[name] = Int(clamping: line) }
                }
            case DW_TAG_variable:
                guard isSwift else {
                    read(variable: &die, in: scope, of: scopes)
                    continue
                }
                // Only what has storage of its own has a linkage name.
                guard let name = Self.text(&die, DW_AT_linkage_name) else { continue }
                if DebugFacts.isConstant(&die) == true { constants.insert(name) }
                continue
            case DW_TAG_structure_type where !isSwift, DW_TAG_class_type where !isSwift,
                DW_TAG_union_type where !isSwift,
                DW_TAG_enumeration_type where !isSwift:
                inside = Self.text(&die, DW_AT_name)
                if let own = Self.text(&die, DW_AT_linkage_name) ?? inside {
                    add(type: &die, Self.name(own, in: scope, of: scopes))
                }
            case DW_TAG_typedef where !isSwift:
                // C has no other name for most of its types: `typedef struct { … } point`.
                if var type = Self.referred(from: &die), Self.isAggregate(&type), Self.text(&type, DW_AT_name) == nil,
                    Self.text(&type, DW_AT_linkage_name) == nil, let own = Self.text(&die, DW_AT_name)
                {
                    add(type: &type, Self.name(own, in: scope, of: scopes))
                }
            case DW_TAG_namespace where !isSwift: inside = Self.text(&die, DW_AT_name)
            default: break
            }
            var inner = Dwarf_Die()
            if stack.count < 4096, libdw.dwarf_haschildren(&die) > 0, libdw.dwarf_child(&die, &inner) == 0 {
                if !isSwift, let inside, scopes[scope].depth < Scope.deepest {
                    let isFunction = scopes[scope].isFunction || libdw.dwarf_tag(&die) == DW_TAG_subprogram
                    scopes.append(
                        Scope(name: inside, outer: scope, depth: scopes[scope].depth + 1, isFunction: isFunction))
                    scope = scopes.count - 1
                }
                stack.append((inner, scope))
            }
        }
    }

    private static let c = [DW_LANG_C, DW_LANG_C89, DW_LANG_C99, DW_LANG_C11, 0x2c]
    private static let cxx = [
        DW_LANG_C_plus_plus, DW_LANG_C_plus_plus_03, DW_LANG_C_plus_plus_11, DW_LANG_C_plus_plus_14,
        // The languages C++17 and C++20, which older headers do not name.
        0x2a, 0x2b,
    ]

    /// As linkers know it. C has no mangled names; g++ tells none of lambdas, and of templates that are made for them.
    private func symbol(ofCode die: inout Dwarf_Die, _ isCxx: Bool) -> String? {
        if let name = Self.text(&die, DW_AT_linkage_name) { return name }
        let name = Self.text(&die, DW_AT_name)
        var low: Dwarf_Addr = 0
        let found = libdw.dwarf_lowpc(&die, &low) == 0 ? symbols[UInt64(low)] : nil
        if let name, found?.contains(name) ?? !isCxx { return name }
        return found?.first
    }

    private mutating func add(type die: inout Dwarf_Die, _ name: String) {
        guard let size = Self.number(&die, DW_AT_byte_size) else { return }
        let facts = ["\(size) bytes"] + Self.members(of: &die)
        // Two functions may have a type of one name each.
        if types[name].map({ $0 != facts }) ?? false { types[name]! += facts } else { types[name] = facts }
    }

    private mutating func read(variable die: inout Dwarf_Die, in scope: Int, of scopes: [Scope]) {
        // What a function has for itself may be no variable at all in the next object: an optimiser's choice.
        guard !scopes[scope].isFunction, libdw.dwarf_hasattr(&die, UInt32(DW_AT_declaration)) != 1,
            let own = Self.text(&die, DW_AT_linkage_name) ?? Self.text(&die, DW_AT_name),
            let type = Self.type(of: &die, isSwift: false, isVariable: true)
        else { return }
        variables[Self.name(own, in: scope, of: scopes)] = Variable(type: type, isInteger: Self.isInteger(&die))
    }

    /// A namespace, a type or a function that types are declared in.
    private struct Scope {
        var name = ""
        /// What that is declared in.
        var outer = 0
        var depth = 0
        var isFunction = false

        /// No source nests types so deeply, but a file can say that it does: each name has all of these in it.
        static let deepest = 32
    }

    /// A type's name with those of what it is declared in: templates have types of one name in each of their instances.
    private static func name(_ own: String, in scope: Int, of scopes: [Scope]) -> String {
        var (name, scope) = (own, scope)
        while scope != 0 {
            name = scopes[scope].name + "::" + name
            scope = scopes[scope].outer
        }
        return name
    }

    private static func function(_ die: inout Dwarf_Die, _ name: String, _ isSwift: Bool) -> Function {
        let facts = DebugFacts(function: &die, hasValue: !["fC", "fc", "Z"].contains(where: name.hasSuffix))
        var parameters: [Parameter] = []
        DebugFacts.forEachChild(of: &die) { child in
            guard libdw.dwarf_tag(&child) == DW_TAG_formal_parameter else { return }
            let isConstant = DebugFacts.isConstant(&child) == true
            parameters.append(
                Parameter(
                    name: text(&child, DW_AT_name) ?? "", type: type(of: &child, isSwift: isSwift) ?? "",
                    isConstant: isConstant))
        }
        return Function(
            facts: facts, parameters: parameters, result: type(of: &die, isSwift: isSwift), isSwift: isSwift)
    }

    /// Members, bases and virtual functions, each with where it is; constants with their values.
    private static func members(of die: inout Dwarf_Die, _ nesting: Nesting = Nesting()) -> [String] {
        var facts: [String] = []
        DebugFacts.forEachChild(of: &die) { child in
            guard nesting.next() else { return }
            let name = text(&child, DW_AT_name) ?? ""
            switch Int(libdw.dwarf_tag(&child)) {
            case DW_TAG_member, DW_TAG_inheritance:
                // Static members have no place here.
                guard libdw.dwarf_hasattr(&child, UInt32(DW_AT_external)) != 1 else { return }
                let place = number(&child, DW_AT_data_member_location) ?? 0
                let bits = number(&child, DW_AT_data_bit_offset).map { " bit \($0)" } ?? ""
                let width = number(&child, DW_AT_bit_size).map { " of \($0) bits" } ?? ""
                let type = type(of: &child, isSwift: false, nesting: nesting) ?? ""
                facts.append("\(name): \(type) at \(place)\(bits)\(width)")
            case DW_TAG_enumerator: facts.append("\(name) = \(number(&child, DW_AT_const_value) ?? 0)")
            case DW_TAG_subprogram:
                guard libdw.dwarf_hasattr(&child, UInt32(DW_AT_virtuality)) == 1 else { return }
                facts.append("virtual \(text(&child, DW_AT_linkage_name) ?? name)")
            default: break
            }
        }
        return facts
    }

    /// - Parameter isInherited: also where something else says it, which this is the definition of.
    private static func number(_ die: inout Dwarf_Die, _ key: Int, isInherited: Bool = false) -> UInt64? {
        var attribute = Dwarf_Attribute()
        var value: Dwarf_Word = 0
        let found =
            isInherited
            ? libdw.dwarf_attr_integrate(&die, UInt32(key), &attribute)
            : libdw.dwarf_attr(&die, UInt32(key), &attribute)
        guard found != nil,
            libdw.dwarf_formudata(&attribute, &value) == 0
        else { return nil }
        return UInt64(value)
    }

    /// The name that other names may begin with.
    private static func symbol(_ die: inout Dwarf_Die) -> String? {
        text(&die, DW_AT_linkage_name) ?? text(&die, DW_AT_name)
    }

    private static func text(_ die: inout Dwarf_Die, _ key: Int) -> String? {
        var attribute = Dwarf_Attribute()
        guard libdw.dwarf_attr_integrate(&die, UInt32(key), &attribute) != nil,
            let text = libdw.dwarf_formstring(&attribute)
        else { return nil }
        let name = String(cString: text)
        return key == DW_AT_name && name.utf8.count < 8192 && name.utf8.contains(UInt8(ascii: ":"))
            ? withoutPlaces(name) : name
    }

    /// A name without the lines of what has none in it, which clang tells: `_Head_base<0UL, (lambda at main.cpp:97:36), false>`.
    private static func withoutPlaces(_ name: String) -> String {
        let bytes = Array(name.utf8)
        var result: [UInt8] = []
        var position = 0
        func isNumber(endingAt end: Int) -> Int? {
            var start = end
            while start > 0, bytes[start - 1] >= UInt8(ascii: "0"), bytes[start - 1] <= UInt8(ascii: "9") { start -= 1 }
            return start < end && start > 0 && bytes[start - 1] == UInt8(ascii: ":") ? start - 1 : nil
        }
        while position < bytes.count {
            if bytes[position...].starts(with: " at ".utf8),
                let end = bytes[position...].indices.first(where: { index in
                    bytes[index] == UInt8(ascii: ")")
                        && isNumber(endingAt: index).flatMap { isNumber(endingAt: $0) }.map { $0 > position } ?? false
                })
            {
                position = end
            }
            result.append(bytes[position])
            position += 1
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// What DW_AT_type leads to.
    private static func referred(from die: inout Dwarf_Die) -> Dwarf_Die? {
        var attribute = Dwarf_Attribute()
        var type = Dwarf_Die()
        guard libdw.dwarf_attr_integrate(&die, UInt32(DW_AT_type), &attribute) != nil,
            libdw.dwarf_formref_die(&attribute, &type) != nil
        else { return nil }
        return type
    }

    /// Whether something is a plain number, of whatever width.
    private static func isInteger(_ die: inout Dwarf_Die) -> Bool {
        var current: Dwarf_Die? = referred(from: &die)
        for _ in 0..<16 {
            guard var type = current else { return false }
            switch Int(libdw.dwarf_tag(&type)) {
            case DW_TAG_const_type, DW_TAG_volatile_type, DW_TAG_atomic_type, DW_TAG_typedef:
                current = referred(from: &type)
            case DW_TAG_base_type:
                let encodings = [DW_ATE_signed, DW_ATE_unsigned, DW_ATE_signed_char, DW_ATE_unsigned_char]
                return number(&type, DW_AT_encoding).map { encodings.contains(Int($0)) } ?? false
            default: return false
            }
        }
        return false
    }

    private static func isAggregate(_ die: inout Dwarf_Die) -> Bool {
        [DW_TAG_structure_type, DW_TAG_class_type, DW_TAG_union_type, DW_TAG_enumeration_type].contains(
            Int(libdw.dwarf_tag(&die)))
    }

    /// How deep what has no name lies in what has none, whose members tell what it is. No source nests them deeply, or has many, but a file
    /// can say that one holds itself, a thousand times.
    private final class Nesting {
        var depth = 0
        private var left = 4096

        /// Goes one deeper; nil where that is enough.
        func inside<R>(_ body: () -> R) -> R? {
            guard depth < 4, left > 0 else { return nil }
            depth += 1
            defer { depth -= 1 }
            return body()
        }

        /// Whether one member more is looked at.
        func next() -> Bool {
            guard depth > 0 else { return true }
            left -= 1
            return left > 0
        }
    }

    /// The name of something's type. A value of a generic Swift type is described as the one member of a structure without a name. In C and
    /// C++ the name is what code relies on: what a `typedef` stands for, without `const`.
    /// - Parameter isVariable: it is that of a variable, which has the first dimension of an array for itself.
    private static func type(
        of die: inout Dwarf_Die, isSwift: Bool, isVariable: Bool = false, nesting: Nesting = Nesting()
    ) -> String? {
        var (die, modifiers, isFirst) = (die, "", isVariable)
        var alias: String?
        for _ in 0..<32 {
            guard var type = referred(from: &die) else { return modifiers.isEmpty ? nil : "void" + modifiers }
            if isSwift, let name = text(&type, DW_AT_linkage_name) { return name + modifiers }
            let tag = Int(libdw.dwarf_tag(&type))
            switch tag {
            case DW_TAG_const_type, DW_TAG_volatile_type, DW_TAG_restrict_type, DW_TAG_atomic_type: break
            case DW_TAG_pointer_type: modifiers = "*" + modifiers
            case DW_TAG_reference_type: modifiers = "&" + modifiers
            case DW_TAG_rvalue_reference_type: modifiers = "&&" + modifiers
            case DW_TAG_array_type where !isSwift: modifiers = dimensions(of: &type, isFirst: isFirst) + modifiers
            case DW_TAG_typedef where !isSwift: alias = text(&type, DW_AT_name)
            case DW_TAG_subroutine_type:
                guard !isSwift else { return "function" + modifiers }
                return (nesting.inside { signature(of: &type, nesting) } ?? "function") + modifiers
            default:
                if let name = text(&type, DW_AT_name) { return name + modifiers }
                if !isSwift {
                    guard isAggregate(&type) else { return (alias ?? "") + modifiers }
                    if let name = alias ?? text(&type, DW_AT_linkage_name) { return name + modifiers }
                    let members = nesting.inside { Self.members(of: &type, nesting) } ?? []
                    return "{ \(members.joined(separator: "; ")) }" + modifiers
                }
                var member: Dwarf_Die?
                DebugFacts.forEachChild(of: &type) { child in
                    if member == nil, libdw.dwarf_tag(&child) == DW_TAG_member { member = child }
                }
                guard let member else { return "" + modifiers }
                type = member
            }
            if tag != DW_TAG_typedef { alias = nil }
            if ![DW_TAG_typedef, DW_TAG_const_type, DW_TAG_volatile_type, DW_TAG_atomic_type].contains(tag) {
                isFirst = false
            }
            die = type
        }
        return nil
    }

    /// The dimensions of an array: `[2][3]`.
    private static func dimensions(of array: inout Dwarf_Die, isFirst: Bool) -> String {
        var result = ""
        DebugFacts.forEachChild(of: &array) { child in
            guard libdw.dwarf_tag(&child) == DW_TAG_subrange_type else { return }
            let count = number(&child, DW_AT_count) ?? number(&child, DW_AT_upper_bound).map { $0 &+ 1 }
            result += isFirst && result.isEmpty ? "[]" : "[\(count.map(String.init) ?? "")]"
        }
        return result
    }

    /// The signature of what a pointer to a function leads to: `int(char, void*)`.
    private static func signature(of type: inout Dwarf_Die, _ nesting: Nesting) -> String {
        var parameters: [String] = []
        DebugFacts.forEachChild(of: &type) { child in
            guard nesting.next() else { return }
            switch Int(libdw.dwarf_tag(&child)) {
            case DW_TAG_formal_parameter:
                parameters.append(self.type(of: &child, isSwift: false, nesting: nesting) ?? "")
            case DW_TAG_unspecified_parameters: parameters.append("...")
            default: break
            }
        }
        let result = self.type(of: &type, isSwift: false, nesting: nesting) ?? "void"
        return "\(result)(\(parameters.joined(separator: ", ")))"
    }
}
