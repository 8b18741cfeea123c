/// What classes of a running program have got since it was built, and their objects and vtables have no room for: stored properties, which
/// are kept in tables beside the objects, and methods, which are final.
///
/// A file with such members is compiled from a copy of it (`SideTableSource`), with itself and wherever a file of its module reads it,
/// for as long as the program runs: its layouts stay those of the process.
package struct SideTables: Sendable {
    /// A stored property that a class has got with an edit, or a function that it would have a slot for.
    package struct Member: Hashable, Sendable {
        /// The class, mangled: `$s…C`; and as it stands in the source.
        package var type: String
        package var typeText: String
        /// A function's name, mangled.
        package var name: String
        package var isFunction: Bool

        package init(type: String, typeText: String, name: String, isFunction: Bool = false) {
            self.type = type
            self.typeText = typeText
            self.name = name
            self.isFunction = isFunction
        }
    }

    private struct Kept: Sendable {
        var member: Member
        /// Another one for whatever is another variable, or was none in between: in its table are values of objects that are gone.
        var number = 0
        /// Mangled.
        var valueType = ""
    }

    /// By source.
    private var kept: [String: [Kept]] = [:]
    private var count = 0
    /// For each of their sources the file that is compiled in its place.
    package private(set) var contents: [String: String] = [:]
    /// What the last compilation has begun to keep in tables.
    package private(set) var new: [Member] = []

    package init() {}

    /// What compiles, besides what an edit says: what this takes to be told.
    package struct Compiler: Sendable {
        package var recipe: BuildRecipe
        /// Where modules whose interfaces have changed lie.
        package var overlay: String
        package var options: CompileOptions
        package var process: CompilerProcess
        /// The stored properties and the functions with slots that a compiled file has, and what runs of it has not.
        package var added: @Sendable (CompileTransaction.File) -> [Member]
        /// A mangled type (`$s…D`) as a source may write it.
        package var typeText: @Sendable (String) -> String?

        package init(
            recipe: BuildRecipe, overlay: String, options: CompileOptions, process: CompilerProcess,
            added: @escaping @Sendable (CompileTransaction.File) -> [Member],
            typeText: @escaping @Sendable (String) -> String?
        ) {
            self.recipe = recipe
            self.overlay = overlay
            self.options = options
            self.process = process
            self.added = added
            self.typeText = typeText
        }
    }

    /// Compiles edited files as `BuildRecipe.compile` does. Where what a class has got would keep the result out of the process, it is of
    /// files that keep a stored property in a table, and in which a method is final; where that cannot be, of the files as they are.
    ///
    /// What this value says of the program holds once the result is applied, and not before.
    /// - Parameter folder: exists, and is empty. It stays for as long as `contents` has files in it.
    /// - Throws: `BuildError`.
    package mutating func compile(
        _ sources: [String], into folder: String, with compiler: Compiler
    ) throws(BuildError) -> CompileTransaction {
        new = []
        // What is no part of the program any more is not compiled with others either.
        for source in kept.keys where compiler.recipe.source(source) == nil { forget(source) }
        for source in sources where kept[source] != nil {
            try rewrite(source, adding: [], into: folder, with: compiler)
        }
        var sources = sources
        var transaction = try run(sources, into: folder + "/first", with: compiler)
        if !transaction.refused.isEmpty, !contents.isEmpty {
            // The compiler is to speak of what the user has written; and a method that is overridden, in whichever file, is not final.
            contents = [:]
            for source in kept.keys.sorted() where !sources.contains(source) { sources.append(source) }
            transaction = try run(sources, into: folder + "/plain", with: compiler)
        }
        guard transaction.isComplete else { return transaction }
        let added = transaction.files.map { ($0.source, compiler.added($0)) }.filter { !$0.1.isEmpty }
        if !added.isEmpty {
            var tables = self
            for (source, members) in added {
                guard try tables.rewrite(source, adding: members, into: folder, with: compiler) else {
                    return transaction
                }
            }
            let again = try tables.run(sources, into: folder + "/again", with: compiler)
            if again.refused.isEmpty {
                self = tables
                return again
            }
            // They were made again, of what will not run.
            transaction.interfaces = []
        }
        for source in kept.keys where contents[source] == nil { forget(source) }
        return transaction
    }

    /// A file is called otherwise.
    package mutating func rename(_ old: String, to new: String) {
        kept[new] = kept.removeValue(forKey: old)
        contents[new] = contents.removeValue(forKey: old)
    }

    private mutating func forget(_ source: String) { (kept[source], contents[source]) = (nil, nil) }

    private func run(
        _ sources: [String], into folder: String, with compiler: Compiler
    ) throws(BuildError) -> CompileTransaction {
        try BuildFiles.makeFolder(folder)
        var options = compiler.options
        options.contents.merge(contents) { $1 }
        return try compiler.recipe.compile(
            sources, into: folder, overlay: compiler.overlay, options: options, process: compiler.process)
    }

    /// Makes the copy of a file that is compiled in its place; of a file that has none of the properties any more, none.
    /// - Returns: false where one that is added cannot be kept in a table, or the compiler does not understand the file.
    @discardableResult
    private mutating func rewrite(
        _ source: String, adding members: [Member], into folder: String, with compiler: Compiler
    ) throws(BuildError) -> Bool {
        let former = kept[source] ?? []
        contents[source] = nil
        let text = try BuildFiles.read(compiler.options.contents[source] ?? source)
        let place = folder + "/beside-\(BuildFiles.list(folder).count)"
        try BuildFiles.write(text, to: place + ".swift")
        var options = compiler.options
        options.contents.merge(contents) { $1 }
        options.contents[source] = place + ".swift"
        let outline = try compiler.recipe.outline(
            of: source, overlay: compiler.overlay, options: options, output: place + ".json", process: compiler.process)
        guard let outline else { return false }
        let file = SideTableSource(outline: outline, text: text, typeText: compiler.typeText)
        var found: [Kept] = []
        for entry in former where entry.member.isFunction {
            if file.method(entry.member.name, of: entry.member.type) != nil { found.append(entry) }
        }
        for entry in former where !entry.member.isFunction {
            guard let property = file.property(entry.member.name, of: entry.member.type) else { continue }
            found.append(
                property.type == entry.valueType ? entry : number(entry.member, valueType: property.type))
        }
        for member in members where !found.contains(where: { $0.member == member }) {
            if member.isFunction {
                if file.isStored(member.name, of: member.type) { continue }
                guard file.method(member.name, of: member.type) != nil else { return false }
                found.append(Kept(member: member))
                continue
            }
            guard let property = file.property(member.name, of: member.type) else { return false }
            found.append(number(member, valueType: property.type))
        }
        kept[source] = found.isEmpty ? nil : found
        if found.isEmpty { return true }
        let functions = found.filter(\.member.isFunction).map { (type: $0.member.type, name: $0.member.name) }
        let tables = found.filter { !$0.member.isFunction }.map { ($0.member.type, $0.member.name, $0.number) }
        guard let rewritten = file.rewritten(tables, final: functions) else { return false }
        try BuildFiles.write(rewritten, to: place + ".swift")
        contents[source] = place + ".swift"
        return true
    }

    private mutating func number(_ member: Member, valueType: String) -> Kept {
        count += 1
        new.append(member)
        return Kept(member: member, number: count, valueType: valueType)
    }
}
