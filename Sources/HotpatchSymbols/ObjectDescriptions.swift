import CHotpatchDw
import CHotpatchElf
import HotpatchELF

/// What DWARF says about the functions and variables that a file defines, by their symbols' names.
public struct ObjectDescriptions: Sendable {
    public struct Function: Hashable, Sendable {
        public var facts: DebugFacts
        /// Its arguments, and behind them what it captures, as they lie in its code.
        public var parameters: [Parameter]
        /// The name of its result's type, mangled where it is Swift's; nil where there is none.
        public var result: String?
        public var isSwift: Bool
    }

    public struct Parameter: Hashable, Sendable {
        public var name: String
        /// The name of its type, mangled where it is Swift's.
        public var type: String
        /// A `let`, which is held by value; a `var` that is captured is held by its address.
        public var isConstant: Bool
    }

    public private(set) var functions: [String: Function] = [:]
    /// Where each of them is declared in its source.
    public private(set) var lines: [String: Int] = [:]
    /// Variables of Swift that are constant: each `let`.
    public private(set) var constants: Set<String> = []

    /// Of structures, classes, unions and enumerations of C and C++: a line for each fact that code relies on.
    public private(set) var types: [String: [String]] = [:]

    /// Nil where the file has no DWARF, or there is nothing to read it with.
    public init?(of file: ElfImage, time: ReadingTime = ReadingTime()) {
        guard file.hasDebugInfo else { return nil }
        let read = file.debugging.withDwarf { dwarf in
            var result = ObjectDescriptions()
            result.read(dwarf, time, "the descriptions (DWARF) of \(file.path)")
            return result
        }
        guard let read, time.failure == nil else { return nil }
        self = read
    }

    private init() {}

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
        // What types of C and C++ are declared in, each with what that is in; the unit is the first.
        var scopes = [Scope()]
        var stack: [(die: Dwarf_Die, scope: Int)] = []
        var child = Dwarf_Die()
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
                if libdw.dwarf_hasattr(&die, UInt32(DW_AT_low_pc)) == 1, let name = Self.symbol(&die) {
                    inside = name
                    functions[name] = Self.function(&die, name, isSwift)
                    if let line = Self.number(&die, DW_AT_decl_line), line > 0 { lines[name] = Int(clamping: line) }
                }
            case DW_TAG_variable:
                // Only what has storage of its own has a linkage name.
                guard isSwift, let name = Self.text(&die, DW_AT_linkage_name) else { continue }
                if DebugFacts.isConstant(&die) == true { constants.insert(name) }
                continue
            case DW_TAG_structure_type where !isSwift, DW_TAG_class_type where !isSwift,
                DW_TAG_union_type where !isSwift,
                DW_TAG_enumeration_type where !isSwift:
                inside = Self.text(&die, DW_AT_name)
                if let own = Self.text(&die, DW_AT_linkage_name) ?? inside,
                    let size = Self.number(&die, DW_AT_byte_size)
                {
                    let facts = ["\(size) bytes"] + Self.members(of: &die)
                    let name = Self.name(own, in: scope, of: scopes)
                    // Two functions may have a type of one name each.
                    if types[name].map({ $0 != facts }) ?? false { types[name]! += facts } else { types[name] = facts }
                }
            case DW_TAG_namespace where !isSwift: inside = Self.text(&die, DW_AT_name)
            default: break
            }
            var inner = Dwarf_Die()
            if stack.count < 4096, libdw.dwarf_haschildren(&die) > 0, libdw.dwarf_child(&die, &inner) == 0 {
                if !isSwift, let inside, scopes[scope].depth < Scope.deepest {
                    scopes.append(Scope(name: inside, outer: scope, depth: scopes[scope].depth + 1))
                    scope = scopes.count - 1
                }
                stack.append((inner, scope))
            }
        }
    }

    /// A namespace, a type or a function that types are declared in.
    private struct Scope {
        var name = ""
        /// What that is declared in.
        var outer = 0
        var depth = 0

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
    private static func members(of die: inout Dwarf_Die) -> [String] {
        var facts: [String] = []
        DebugFacts.forEachChild(of: &die) { child in
            let name = text(&child, DW_AT_name) ?? ""
            switch Int(libdw.dwarf_tag(&child)) {
            case DW_TAG_member, DW_TAG_inheritance:
                // Static members have no place here.
                guard libdw.dwarf_hasattr(&child, UInt32(DW_AT_external)) != 1 else { return }
                let place = number(&child, DW_AT_data_member_location) ?? 0
                let bits = number(&child, DW_AT_data_bit_offset).map { " bit \($0)" } ?? ""
                let width = number(&child, DW_AT_bit_size).map { " of \($0) bits" } ?? ""
                facts.append("\(name): \(type(of: &child, isSwift: false) ?? "") at \(place)\(bits)\(width)")
            case DW_TAG_enumerator: facts.append("\(name) = \(number(&child, DW_AT_const_value) ?? 0)")
            case DW_TAG_subprogram:
                guard libdw.dwarf_hasattr(&child, UInt32(DW_AT_virtuality)) == 1 else { return }
                facts.append("virtual \(text(&child, DW_AT_linkage_name) ?? name)")
            default: break
            }
        }
        return facts
    }

    private static func number(_ die: inout Dwarf_Die, _ key: Int) -> UInt64? {
        var attribute = Dwarf_Attribute()
        var value: Dwarf_Word = 0
        guard libdw.dwarf_attr(&die, UInt32(key), &attribute) != nil,
            libdw.dwarf_formudata(&attribute, &value) == 0
        else { return nil }
        return UInt64(value)
    }

    /// As linkers know it: C has no mangled names.
    private static func symbol(_ die: inout Dwarf_Die) -> String? {
        text(&die, DW_AT_linkage_name) ?? text(&die, DW_AT_name)
    }

    private static func text(_ die: inout Dwarf_Die, _ key: Int) -> String? {
        var attribute = Dwarf_Attribute()
        guard libdw.dwarf_attr_integrate(&die, UInt32(key), &attribute) != nil,
            let text = libdw.dwarf_formstring(&attribute)
        else { return nil }
        return String(cString: text)
    }

    /// The name of something's type. A value of a generic Swift type is described as the one member of a structure without a name.
    private static func type(of die: inout Dwarf_Die, isSwift: Bool) -> String? {
        var (die, modifiers) = (die, "")
        for _ in 0..<16 {
            var attribute = Dwarf_Attribute()
            var type = Dwarf_Die()
            guard libdw.dwarf_attr_integrate(&die, UInt32(DW_AT_type), &attribute) != nil,
                libdw.dwarf_formref_die(&attribute, &type) != nil
            else { return modifiers.isEmpty ? nil : "void" + modifiers }
            if isSwift, let name = text(&type, DW_AT_linkage_name) { return name + modifiers }
            switch Int(libdw.dwarf_tag(&type)) {
            case DW_TAG_const_type: if !isSwift { modifiers = " const" + modifiers }
            case DW_TAG_volatile_type, DW_TAG_restrict_type, DW_TAG_atomic_type: break
            case DW_TAG_pointer_type: modifiers = "*" + modifiers
            case DW_TAG_reference_type: modifiers = "&" + modifiers
            case DW_TAG_rvalue_reference_type: modifiers = "&&" + modifiers
            case DW_TAG_subroutine_type: return "function" + modifiers
            default:
                if let name = text(&type, DW_AT_name) { return name + modifiers }
                var member: Dwarf_Die?
                DebugFacts.forEachChild(of: &type) { child in
                    if member == nil, libdw.dwarf_tag(&child) == DW_TAG_member { member = child }
                }
                guard let member else { return "" + modifiers }
                type = member
            }
            die = type
        }
        return nil
    }
}
