import HotpatchMemory
import HotpatchPlan

/// The entry of a function that the process did not have: a jump to where a word says. All that refers to the function leads here, from
/// whatever was linked when, so that a later object replaces it by changing the word.
enum EntryStub {
    /// What the identity map calls the word of the entry at an address.
    static func slotName(_ entry: Address) -> String { "slot of \(entry)" }

    /// Where an entry leads.
    static func destination(of entry: Address, _ live: LiveProgram) -> Address? {
        guard let slot = live.identity(slotName(entry)) else { return nil }
        return (try? live.memory.value(UInt64.self, at: slot)).map { Address($0) }
    }

    /// The code that runs behind an entry: where that leads, or what is entered there with a larger context.
    static func code(behind entry: Address, _ live: LiveProgram) -> Address? {
        destination(of: entry, live).map {
            AsyncThunk.replacement(at: $0, live.architecture, in: live.memory) ?? $0
        }
    }
}
