import CHotpatchDw
import Testing

/// A handle of libelf goes from what reads frame information to what unwinds with it: of the same library, and of one that need not be found.
@Suite struct LinkedLibDwTests {
    @Test func whatUnwindsHasTheLibrariesLinkedIn() {
        var functions = hp_libdw()
        #expect(hp_use_linked_libdw(&functions))
        #expect(functions.is_there)
        #expect(functions.elf_memory != nil)
    }
}
