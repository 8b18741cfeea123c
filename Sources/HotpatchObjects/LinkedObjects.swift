import HotpatchELF
import HotpatchEngine
import HotpatchHotLink
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols

/// Edited objects, linked together into an image of a process: what one transaction would change. Nothing has been touched yet.
package struct LinkedObjects: Sendable {
    package let objects: [ObjectPair]
    /// Functions of the process that would run new code, mangled.
    package let functions: [String]
    /// What becomes of each symbol, a line each.
    package let table: [String]
    /// What the user should know.
    package let notes: [String]
    /// Where calls go on that are suspended in what would run new code.
    package let formerResumptions: Set<Address>
    /// For a log.
    package let summary: String
    /// Whether the process would stay as it is.
    package let changesNothing: Bool
    private let plan: LinkPlan
    private let index: SymbolIndex

    /// - Parameters:
    ///   - objects: of files of one image, each once.
    ///   - contents: what the files hold, where their paths are only for whoever is told of them; nil for what lies there.
    ///   - index: the process's symbols.
    ///   - map: where it has memory.
    ///   - ledger: what is patched in it so far.
    ///   - memory: the process's.
    /// - Throws: `ObjectsError`, `LinkError`, `FixupError`, `ReadError`.
    package init(
        _ objects: [ObjectPair], contents: [ObjectContents]? = nil, architecture: Architecture, index: SymbolIndex,
        map: ProcessMap,
        ledger: LedgerState, memory: any MemoryReader
    ) throws {
        let original = ledger.original(of: memory)
        func live(_ image: LoadedImage) -> LiveProgram {
            LiveProgram(
                architecture: architecture, index: index, image: image, memory: original,
                identity: { ledger.identity($0) }, isPlaced: { ledger.isPlaced($0) },
                replacement: { ledger.linkedCode(of: $0) },
                linked: { LinkedCode(ledger.linked) },
                writable: {
                    map.regions.filter {
                        $0.permissions.contains([.read, .write]) && !$0.permissions.contains(.shared)
                    }.map(\.range)
                })
        }
        let files =
            try contents?.map { try $0.images() }
            ?? objects.map { (after: try ElfImage(path: $0.new), before: try ElfImage(path: $0.base)) }
        var images: [LoadedImage?] = []
        var known: [String: String] = [:]
        for (after, before) in files {
            let object = try ObjectFile(before)
            let image = LiveProgram.image(of: object, in: index)
            // The object of a file that is new says nothing, and is as good as any other such; what it says later is no part of an image.
            let isNothing = object.definesNoFunction
            let isLinked = object.symbols.contains {
                $0.isFunction && $0.section != nil && ledger.identity($0.name) != nil
            }
            if image == nil, !isNothing, !isLinked { throw LinkError.notInProcess(path: before.path) }
            images.append(image)
            let digests = [(after, "new ")] + (isNothing ? [] : [(before, "base ")])
            for (file, role) in digests {
                if let other = known.updateValue(file.path, forKey: role + file.contentsDigest) {
                    throw ObjectsError.twice(path: file.path, other: other)
                }
            }
        }
        let usual = images.compactMap { $0 }.first ?? index.images.first(where: \.isMainProgram)
        var edits: [ObjectEdit] = []
        let moved = try MovedFunctions(files)
        // What one file renews is another's, too.
        var renewed: Set<String> = []
        repeat {
            edits = try zip(files, images).map { file, image in
                guard let image = image ?? usual else { throw LinkError.notInProcess(path: file.before.path) }
                return try ObjectEdit(
                    before: file.before, after: file.after, live: live(image), moved: moved, renewing: renewed)
            }
            let found = edits.reduce(into: renewed) { $0.formUnion($1.renewedTypes) }
            if files.count == 1 || found == renewed { break }
            renewed = found
        } while true
        guard let image = edits.first?.image else { throw ObjectsError.none }
        guard edits.allSatisfy({ $0.image == image }) else {
            throw ObjectsError.severalImages(Array(Set(edits.map(\.image.path))).sorted())
        }
        let linker = try ObjectLinker(edits, into: live(image))
        self.objects = objects
        self.index = index
        functions = linker.changedFunctions
        table = linker.table
        formerResumptions = linker.formerResumptions
        summary = linker.summary
        changesNothing = linker.changesNothing
        plan = try linker.plan()
        notes = plan.notes
    }

    /// What a program that links Hotpatch wants to be called by, in C, when its code was changed from outside.
    private static let toldFunction = "swift_hotpatch_code_changed"
    private var told: Address? {
        for image in index.images {
            if let found = index.linkableSymbols(named: Self.toldFunction, in: image).first { return found.address }
        }
        return nil
    }

    /// Full paths of the new objects, in order.
    package var paths: [String] { objects.map { fullPath($0.new) } }

    /// What the engine is asked for. Its record names the new objects as its source.
    package func request(origin: PatchRecord.Origin) -> PatchRequest {
        var request = PatchRequest(
            replacements: [], origin: origin, source: PatchRecord.source(objects: paths), notes: notes)
        if origin.fromOutside, let told {
            // The program makes again what has run once.
            request.callsAfter = [Call(told, name: Self.toldFunction)]
            request.onRevert = told
        }
        request.segments = plan.segments.map { SegmentRequest(kind: $0.kind, size: $0.size, near: plan.near) }
        request.link = { [plan, index] segments in
            let linked = try plan.link(segments)
            var result = PatchRequest.Linked()
            result.contents = linked.contents
            result.replacements = try linked.redirects.map { redirect in
                let context = AsyncContext(
                    own: index.asyncContextSize(of: redirect.function), replacement: redirect.contextSize)
                return Replacement(
                    function: redirect.function, extent: index.extent(of: redirect.function),
                    address: redirect.address, name: redirect.name,
                    context: try context.larger(for: redirect.function, by: redirect.name, in: index))
            }
            result.stores = linked.stores.map {
                var store = DataStore(address: $0.address, expected: $0.expected, bytes: $0.bytes, name: $0.name)
                store.isBesideCode = $0.isConstant
                return store
            }
            result.callsBefore = linked.calls
            result.identities = linked.identities
            result.disposal = linked.disposal.map { found in
                Disposal(
                    obstacle: found.obstacle, isReachedByData: found.isReachedByData,
                    deregister: found.deregistration?.function ?? .null,
                    tables: found.deregistration?.arguments.first.map { Address($0) } ?? .null)
            }
            return result
        }
        return request
    }
}

extension LinkedCode {
    init(_ linked: LedgerState.Linked) {
        self.init(
            replaced: linked.replaced, placed: linked.placed, words: linked.words, code: linked.code,
            constants: linked.constants)
    }
}
