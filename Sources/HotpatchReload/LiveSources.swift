/// What each source of a program held when that was compiled of it which runs.
///
/// A file that was saved and cannot go into the program is compiled with others as it is here: so they reckon with what runs.
package struct LiveSources: Sendable {
    private let snapshot: Snapshot
    /// By source: a copy of what was compiled last; nil where that is not known.
    private var copies: [String: String?] = [:]

    /// - Parameter snapshot: of the build that made the program.
    package init(_ snapshot: Snapshot) { self.snapshot = snapshot }

    /// A file that holds it; nil where it is not known.
    package func contents(of source: String) -> String? {
        if let known = copies[source] { return known }
        return snapshot.edited.contains(source) ? nil : snapshot.contents(of: source)
    }

    /// The one of some sources that a new file is most likely to be, with another name: at least half of their lines are the same.
    /// - Returns: nil where it is none of them.
    package func source(like new: String, among sources: some Sequence<String>) -> String? {
        guard let lines = Self.lines(of: new) else { return nil }
        var best: (source: String, common: Int)?
        for source in sources {
            guard let known = contents(of: source).flatMap(Self.lines) else { continue }
            let common = known.reduce(0) { $0 + min($1.value, lines[$1.key] ?? 0) }
            let longest = max(known.values.reduce(0, +), lines.values.reduce(0, +))
            if common > 0, common * 2 >= longest, common > best?.common ?? 0 { best = (source, common) }
        }
        return best?.source
    }

    /// How often each line of a text stands in it, but for blank ones.
    private static func lines(of path: String) -> [ArraySlice<UInt8>: Int]? {
        guard let text = try? BuildFiles.read(path) else { return nil }
        var lines: [ArraySlice<UInt8>: Int] = [:]
        for line in text.split(separator: UInt8(ascii: "\n")) where line.contains(where: { $0 > UInt8(ascii: " ") }) {
            lines[line, default: 0] += 1
        }
        return lines
    }

    /// Those of the files that were copied since the program was built.
    package var files: [String] { copies.values.compactMap { $0 } }

    /// Copies sources that are about to be compiled. One that cannot be read has no copy.
    /// - Parameter folder: is made.
    /// - Throws: `BuildError`.
    package static func copy(_ sources: [String], into folder: String) throws(BuildError) -> [String: String] {
        try BuildFiles.makeFolder(folder)
        var copies: [String: String] = [:]
        for source in sources {
            guard let text = try? BuildFiles.read(source) else { continue }
            let copy = BuildFiles.join(folder, String(copies.count))
            try BuildFiles.write(text, to: copy)
            copies[source] = copy
        }
        return copies
    }

    /// What was compiled is what runs.
    /// - Parameters:
    ///   - copies: of the sources, made before they were compiled.
    ///   - contents: what was compiled in the place of others.
    package mutating func adopt(
        _ transaction: CompileTransaction, copies: [String: String], contents: [String: String]
    ) {
        for source in transaction.files.map(\.source) {
            let copy = contents[source] ?? copies[source] ?? self.contents(of: source)
            // One that was saved meanwhile may have been read before or after that.
            let isSure = contents[source] != nil || copy.map { Self.isSame($0, source) } == true
            self.copies[source] = .some(isSure ? copy : nil)
        }
    }

    /// A file was saved, and what is compiled of it that runs may be of what it held before that.
    package mutating func forget(_ source: String) { copies[source] = .some(nil) }

    /// A file is called otherwise.
    package mutating func rename(_ old: String, to new: String) {
        copies[new] = .some(contents(of: old))
        copies[old] = .some(nil)
    }

    private static func isSame(_ path: String, _ other: String) -> Bool {
        guard let one = try? BuildFiles.read(path), let two = try? BuildFiles.read(other) else { return false }
        return one == two
    }
}

extension BuildRecipe {
    /// The same build as it runs, for others to be compiled with while some files wait.
    /// - Parameter files: have been saved, and are not compiled as they are.
    /// - Returns: what is compiled in their place; and of those of which that is not known, what must not be read.
    package func withholding(
        _ files: Set<String>, _ live: LiveSources
    ) -> (recipe: BuildRecipe, contents: [String: String], unknown: Set<String>) {
        var contents: [String: String] = [:]
        var unknown: Set<String> = []
        var new: Set<String> = []
        for path in files {
            guard let (module, source) = source(path) else {
                if case .included = role(of: path) { unknown.insert(path) }
                continue
            }
            // A file of C is read with no other, but for those that include it.
            if module.language == .clang {
                unknown.insert(source.path)
            } else if let known = live.contents(of: source.path) {
                contents[source.path] = known
            } else if source.isNew {
                new.insert(source.path)
            } else {
                unknown.insert(source.path)
            }
        }
        return (new.isEmpty ? self : changing(adding: [], removing: new), contents, unknown)
    }

    /// Whether any of some files was read for a transaction, as far as it can be told.
    package func reads(_ transaction: CompileTransaction, of files: Set<String>) -> Bool {
        if files.isEmpty { return false }
        // Who includes a header is recompiled with it, and so would be its module's interface.
        let modules = Set(
            files.flatMap { source($0) == nil ? users(of: $0) : [$0] }.compactMap { source($0)?.module }
                .filter { $0.language == .swift }.map(\.name))
        if transaction.interfaces.contains(where: { modules.contains($0.module) }) { return true }
        return transaction.files.contains { file in
            if modules.contains(file.module) { return true }
            guard let text = try? BuildFiles.read(file.outputs.dependencies), let place = source(file.source) else {
                return true
            }
            return BuildFiles.prerequisites(text).contains {
                files.contains(BuildFiles.canonical(BuildFiles.join(place.module.workingDirectory, $0)))
            }
        }
    }
}
