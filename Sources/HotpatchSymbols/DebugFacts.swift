import CHotpatchDw
import CHotpatchElf
import HotpatchELF
import HotpatchMemory

/// What DWARF says about a Swift function that its symbol leaves out. Measured with Swift 6.3.1, at -Onone and -O.
package struct DebugFacts: Hashable, Sendable {
    package enum SelfUse: Hashable, Sendable {
        case borrowed
        /// `mutating`.
        case mutated
        /// `consuming`.
        case consumed
    }

    /// What a method does with `self`.
    ///
    /// Decided by the description of `self` in the function: a formal parameter of a `DW_TAG_const_type` is a `let`, which the
    /// function borrows; of any other type it is a `var`, which is the caller's: `inout`. A `consuming` method keeps `self` in a
    /// variable of its own, and has no such parameter; an optimised one may have lost the parameter for another reason. This says
    /// nothing about an initialiser or static member, whose `self` is another thing. The old `__consuming` reads like a borrow.
    ///
    /// Nil where `self` is not described.
    package var selfUse: SelfUse?

    /// Whether the function throws: a `DW_TAG_thrown_type` in its description. Nil where its result is not described either, as
    /// with -gline-tables-only.
    package var throwsError: Bool?

    /// Whether its compilation unit is optimised: `DW_AT_APPLE_optimized`, which every Swift unit has that was not compiled with
    /// -Onone. Nil for a unit in another language: other compilers do not say.
    package var isOptimised: Bool?
}

extension SymbolIndex {
    /// What DWARF says about a Swift function; nil where there is none that describes it.
    ///
    /// Reads the compilation unit that the function lies in, each time.
    package func debugFacts(of function: FunctionSymbol) -> DebugFacts? {
        let image = function.image
        let linked = image.bias.linked(function.address)
        let file = image.elf.hasDebugInfo ? image.elf : image.debugElf
        guard let file else { return nil }
        let subject = "the descriptions (DWARF) of \(file.path)"
        return file.debugging.withDwarf {
            DebugFacts(dwarf: $0, name: function.name, linked: linked, time, subject)
        } ?? nil
    }
}

extension DebugFacts {
    /// `DW_AT_APPLE_optimized`, which libdw's header does not have (llvm/BinaryFormat/Dwarf.def).
    private static let optimized: UInt32 = 0x3FE1

    init?(dwarf: OpaquePointer, name: String, linked: UInt64, _ time: ReadingTime, _ subject: String) {
        var offset: Dwarf_Off = 0
        var next: Dwarf_Off = 0
        var headerSize = 0
        while !time.isOver(subject), libdw.dwarf_nextcu(dwarf, offset, &next, &headerSize, nil, nil, nil) == 0 {
            var unit = Dwarf_Die()
            if libdw.dwarf_offdie(dwarf, offset &+ Dwarf_Off(headerSize), &unit) != nil,
                libdw.dwarf_haspc(&unit, linked) == 1,
                var function = Self.function(in: &unit, name, linked, time, subject)
            {
                self.init(function: &function, hasValue: !["fC", "fc", "Z"].contains(where: name.hasSuffix))
                if libdw.dwarf_srclang(&unit) == DW_LANG_Swift {
                    isOptimised = libdw.dwarf_hasattr(&unit, Self.optimized) == 1
                    // What the variable of a consuming method looks like, a `var self = self` does too.
                    if isOptimised == true, selfUse == .consumed { selfUse = nil }
                }
                return
            }
            guard next > offset else { break }
            offset = next
        }
        return nil
    }

    init(function: inout Dwarf_Die, hasValue: Bool) {
        var attribute = Dwarf_Attribute()
        let hasResult = libdw.dwarf_attr_integrate(&function, UInt32(DW_AT_type), &attribute) != nil
        throwsError = hasResult ? false : nil
        var isVariable = false
        var scope: Dwarf_Die? = function
        // The code's own description first, then what it is an instance or the definition of. A file can make a ring of these.
        for _ in 0..<4 {
            guard var current = scope else { break }
            Self.forEachChild(of: &current) { child in
                switch Int(libdw.dwarf_tag(&child)) {
                case DW_TAG_thrown_type: throwsError = true
                case DW_TAG_formal_parameter where selfUse == nil && Self.isSelf(&child):
                    selfUse = Self.isConstant(&child).map { $0 ? .borrowed : .mutated }
                case DW_TAG_variable where Self.isSelf(&child):
                    isVariable = isVariable || Self.isConstant(&child) == false
                default: break
                }
            }
            scope =
                Self.reference(&current, UInt32(DW_AT_abstract_origin))
                ?? Self.reference(&current, UInt32(DW_AT_specification))
        }
        if selfUse == nil, isVariable { selfUse = .consumed }
        if !hasValue { selfUse = nil }
    }

    /// The description of the code at an address, of this name: aliases and merged functions share addresses. Functions of types
    /// lie in the unit's namespaces and types. Depth first with a stack of its own: the nesting comes from the file.
    private static func function(
        in unit: inout Dwarf_Die, _ name: String, _ linked: UInt64, _ time: ReadingTime, _ subject: String
    ) -> Dwarf_Die? {
        var stack: [Dwarf_Die] = []
        var child = Dwarf_Die()
        guard libdw.dwarf_child(&unit, &child) == 0 else { return nil }
        stack.append(child)
        var row = 0
        while !time.isOver(at: row, subject), var die = stack.popLast() {
            row &+= 1
            var sibling = Dwarf_Die()
            if libdw.dwarf_siblingof(&die, &sibling) == 0 { stack.append(sibling) }
            if libdw.dwarf_tag(&die) == DW_TAG_subprogram {
                var low: Dwarf_Addr = 0
                if libdw.dwarf_lowpc(&die, &low) == 0, low == linked, linkageName(&die) == name { return die }
                continue
            }
            var inner = Dwarf_Die()
            if stack.count < 4096, libdw.dwarf_haschildren(&die) > 0, libdw.dwarf_child(&die, &inner) == 0 {
                stack.append(inner)
            }
        }
        return nil
    }

    private static func linkageName(_ die: inout Dwarf_Die) -> String? {
        var attribute = Dwarf_Attribute()
        guard libdw.dwarf_attr_integrate(&die, UInt32(DW_AT_linkage_name), &attribute) != nil,
            let text = libdw.dwarf_formstring(&attribute)
        else { return nil }
        return String(cString: text)
    }

    private static func isSelf(_ die: inout Dwarf_Die) -> Bool {
        var attribute = Dwarf_Attribute()
        guard libdw.dwarf_attr_integrate(&die, UInt32(DW_AT_name), &attribute) != nil,
            let text = libdw.dwarf_formstring(&attribute)
        else { return false }
        return String(cString: text) == "self"
    }

    /// Whether the type of a parameter or variable is constant; nil where it has none.
    static func isConstant(_ die: inout Dwarf_Die) -> Bool? {
        var attribute = Dwarf_Attribute()
        var type = Dwarf_Die()
        guard libdw.dwarf_attr_integrate(&die, UInt32(DW_AT_type), &attribute) != nil,
            libdw.dwarf_formref_die(&attribute, &type) != nil
        else { return nil }
        return libdw.dwarf_tag(&type) == DW_TAG_const_type
    }

    private static func reference(_ die: inout Dwarf_Die, _ key: UInt32) -> Dwarf_Die? {
        var attribute = Dwarf_Attribute()
        var result = Dwarf_Die()
        guard libdw.dwarf_attr(&die, key, &attribute) != nil, libdw.dwarf_formref_die(&attribute, &result) != nil else {
            return nil
        }
        return result
    }

    static func forEachChild(of die: inout Dwarf_Die, _ body: (inout Dwarf_Die) -> Void) {
        var child = Dwarf_Die()
        guard libdw.dwarf_haschildren(&die) > 0, libdw.dwarf_child(&die, &child) == 0 else { return }
        while true {
            body(&child)
            var sibling = Dwarf_Die()
            guard libdw.dwarf_siblingof(&child, &sibling) == 0 else { return }
            child = sibling
        }
    }
}
