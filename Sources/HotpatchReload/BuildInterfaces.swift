/// What others see differently of a file than before.
package struct InterfaceChange: Sendable, Hashable {
    var keys: Set<CompiledReferences.Key> = []
    /// What the compiler says about the file cannot be read: anything may have changed.
    var isUnknown = false

    package var isEmpty: Bool { keys.isEmpty && !isUnknown }

    package mutating func formUnion(_ other: InterfaceChange) {
        keys.formUnion(other.keys)
        isUnknown = isUnknown || other.isUnknown
    }
}

extension BuildRecipe {
    /// What others see differently since a file was compiled last.
    /// - Parameter outputs: of its new compilation; not adopted yet.
    package func interfaceChange(of source: String, _ outputs: CompileCommand.Outputs) -> InterfaceChange {
        guard let path = outputs.references, let new = readReferences(at: path) else {
            return InterfaceChange(isUnknown: true)
        }
        // A new file: all that it declares is new.
        guard self.source(source)?.source.isNew != true else {
            return InterfaceChange(keys: Set(new.nodes.filter { $0.isDeclared && $0.isInterface }.map(\.key)))
        }
        guard let old = references(of: source) else { return InterfaceChange(isUnknown: true) }
        return InterfaceChange(keys: old.changes(to: new))
    }

    /// What others miss when a file is gone.
    package func interfaceChange(removing source: String) -> InterfaceChange {
        guard let old = references(of: source) else { return InterfaceChange(isUnknown: true) }
        return InterfaceChange(keys: Set(old.nodes.filter { $0.isDeclared && $0.isInterface }.map(\.key)))
    }

    /// The files that are to be compiled again because what others see of a module's files has changed, in the order in which they are to
    /// be compiled. Of that module, and of the edited ones that use it.
    package func dependents(of change: InterfaceChange, in module: String) -> [String] {
        guard !change.isEmpty else { return [] }
        var keys = change.keys
        var found: Set<String> = []
        let candidates = modules(using: module).flatMap { name in
            self.module(name)?.sources.map(\.path) ?? []
        }
        var isLarger = true
        while isLarger {
            isLarger = false
            for path in candidates where !found.contains(path) {
                guard !change.isUnknown, let references = references(of: path) else {
                    found.insert(path)
                    continue
                }
                guard let more = references.consequences(of: keys) else { continue }
                found.insert(path)
                isLarger = isLarger || !more.isSubset(of: keys)
                keys.formUnion(more)
            }
        }
        return candidates.filter(found.contains)
    }

    /// A Swift module and those of the edited ones that use it, directly or not: each behind what it uses.
    func modules(using name: String) -> [String] {
        let order = swiftModules(and: [name])
        var users: Set = [name]
        for module in order where !users.isDisjoint(with: self.uses(of: module)) { users.insert(module) }
        return order.filter(users.contains)
    }

    /// The edited Swift modules of the program, and others, each behind those that it uses.
    func swiftModules(and others: Set<String> = []) -> [String] {
        let own = edited.filter { $0.language == .swift && $0.isInProgram }.map(\.name)
        let modules = own + others.subtracting(own).sorted()
        var order: [String] = []
        var visited: Set<String> = []
        func visit(_ name: String) {
            guard visited.insert(name).inserted else { return }
            let used = uses(of: name)
            for other in modules where used.contains(other) { visit(other) }
            order.append(name)
        }
        for name in modules { visit(name) }
        return order
    }

    /// The modules that a module uses: as the build says, or as its files were told to read.
    private func uses(of name: String) -> Set<String> {
        guard let module = module(name) else { return [] }
        guard module.dependencies.isEmpty else { return Set(module.dependencies) }
        var uses: Set<String> = []
        for source in module.sources {
            for path in references(of: source.path)?.externals ?? [] {
                for part in path.split(separator: "/").suffix(2) where part.hasSuffix(".swiftmodule") {
                    uses.insert(String(part.dropLast(".swiftmodule".count)))
                }
            }
        }
        return uses.subtracting([name])
    }
}
