import CHotpatchDw

/// The libraries that stacks are unwound with are the ones that DWARF is read with: their handles pass from the one to the other, and a
/// program that is linked statically can load none.
@_cdecl("hp_linked_libdw")
func takeLinkedLibDw(_ functions: UnsafeMutablePointer<hp_libdw>) { hp_take_linked_libdw(functions) }
