import HotpatchSymbols

/// What a coroutine of C++ keeps while it is suspended, as compilers describe it: as a type with a member for each variable.
///
/// Whoever calls the coroutine gets one from the function of its name, which also says how it goes on: with other functions of the same
/// object. They, and nobody else, know how it is laid out. Where that has changed, they are others, and what is suspended keeps its own.
enum CoroutineFrame {
    /// The functions that read such a frame; nil of any other type.
    static func functions(ofType name: String, in old: ObjectGraph) -> [String]? {
        guard let coroutine = coroutine(ofType: name) else { return nil }
        let ends =
            coroutine.isClang
            ? [".resume", ".destroy", ".cleanup"].map { coroutine.name + $0 }
            : [".Frame.actor", ".Frame.destroy"].map { coroutine.name + $0 }
        let found = old.pieces.lazy.filter { $0.isFunction && !$0.name.isEmpty }.map(\.name).filter { name in
            coroutine.isClang ? ends.contains(name) : ends.contains(where: name.hasSuffix)
        }
        return found.isEmpty ? nil : found.sorted()
    }

    /// What is said of a change, without its full stop.
    static func reason(_ change: InterfaceComparison.TypeChange) -> String {
        let name = coroutine(ofType: change.name)?.name ?? change.name
        return "the coroutine \(Demangling.demangle(name) ?? name) keeps something else while it is suspended "
            + "(\(change.what))"
    }

    /// clang calls the type `_Z3geni.coro_frame_ty`; gcc `gen::_Z3geni.Frame`, and what goes on
    /// `_Z3genPZ3geniE13_Z3geni.Frame.actor`.
    private static func coroutine(ofType name: String) -> (name: String, isClang: Bool)? {
        let own = name.split(separator: ":").last ?? ""
        for (end, isClang) in [(".coro_frame_ty", true), (".Frame", false)] where own.hasSuffix(end) {
            return (String(own.dropLast(end.count)), isClang)
        }
        return nil
    }
}
