import HotpatchELF
import HotpatchHotLink
import HotpatchReload

/// Compiles what was saved for a program, as it is when this is made.
struct WatchedCompiler: Sendable {
    var tables: SideTables
    var live: LiveSources
    var compiler: SideTables.Compiler

    /// What was compiled, and what is beside the program's objects, and runs, once it is applied.
    struct Compiled: Sendable {
        var transaction: CompileTransaction
        var tables: SideTables
        var live: LiveSources

        /// What to say of properties that are kept beside their objects from now on.
        var notes: [String] {
            tables.new.map {
                "\($0.typeText): stored property '\($0.name)' is kept beside the object until the next restart; "
                    + "Codable and Mirror do not see it"
            }
        }
    }

    /// - Throws: `BuildError`.
    func compile(_ sources: [String], into folder: String) throws -> Compiled {
        var (tables, live) = (tables, live)
        let copies = try LiveSources.copy(sources, into: folder + "/sources")
        let transaction = try tables.compile(sources, into: folder, with: compiler)
        if transaction.isComplete {
            live.adopt(transaction, copies: copies, contents: compiler.options.contents)
        }
        return Compiled(transaction: transaction, tables: tables, live: live)
    }

    /// The stored properties, and the functions with slots of a vtable, that classes have in an object and not in the one that runs.
    static func added(_ base: String?, _ new: String) -> [SideTables.Member] {
        guard let base, let old = try? ObjectFile(ElfImage(path: base)), let new = try? ObjectFile(ElfImage(path: new))
        else { return [] }
        let properties = (try? AddedProperty.all(old: old, new: new)) ?? []
        return properties.map { SideTables.Member(type: $0.type, typeText: $0.typeText, name: $0.name) }
            + AddedMethod.all(old: old, new: new).map {
                SideTables.Member(type: $0.type, typeText: "", name: $0.function, isFunction: true)
            }
    }
}
