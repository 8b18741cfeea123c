import HotpatchELF
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols

/// A plan being made.
struct Planning {
    let engine: PatchEngine
    let map: ProcessMap
    let state: LedgerState
    let memory: PageSnapshot
    /// What `memory` held before anything was patched. A page of code has many entries, and is asked for by each.
    let code: PageSnapshot
    /// Likewise, for whole images, of which a snapshot would keep every page.
    let images: OriginalCode
    var plan: PatchPlan
    var data: DataStores
    var sites: [SiteRecord] = []
    var refused: [RefusedReplacement] = []
    var stores: [DataStore] = []
    /// The places in `sites` of those that the ledger does not know yet.
    var newSites: [Int] = []
    var members: [PatchRecord.Member] = []
    var notes: [String] = []
    var pools: [Pool] = []
    var lanes: SegmentLanes
    /// What is planned so far, by the function's entry: the site's place in `sites`, and the replacement's in the request.
    var planned: [Address: (number: Int, index: Int)] = [:]
    /// Those of the request, and of its segments behind them.
    var replacements: [Replacement] = []
    var nextSite: UInt32
    /// The image that was asked about last: see `isMappedAsRead`.
    var latest: (image: LoadedImage, isMappedAsRead: Bool)?

    struct Pool {
        var record: SegmentRecord
        var text: Address
        var data: Address
        var isNew: Bool

        init(_ record: SegmentRecord) {
            self.record = record
            (text, data, isNew) = (record.code.lowerBound, record.data.lowerBound, true)
        }

        /// One that the ledger tells of.
        init(_ record: SegmentRecord, end: (text: Address, data: Address)) {
            self.record = record
            (text, data, isNew) = (end.text.roundedUp(to: 16), end.data, false)
        }

        var isUsed: Bool { text > record.code.lowerBound || data > record.data.lowerBound }

        var segments: [Segment] {
            [
                Segment(kind: .text, address: record.code.lowerBound, size: record.codeSize),
                Segment(kind: .data, address: record.data.lowerBound, size: record.dataSize),
            ]
        }
    }

    /// The size of a pool's stubs, and of the words they jump through. A stub takes 32 to 64 bytes, so slots get a quarter.
    static let textSize = 64 << 10
    static let dataSize = 16 << 10
    /// Reserved for a stub, or a thunk, before it is known how long it is.
    static let stubReserve = max(256, AsyncThunk.capacity)

    /// How far segments may lie from their image: what refers to it, and to other segments on its other side, has 32 bits. Nearer, where
    /// there is room, calls and detours need no detours of their own.
    static let linkReach = UInt64(Int32.max) / 2

    /// - Parameter staged: pools that are mapped, and that nobody uses yet.
    init(engine: PatchEngine, map: ProcessMap, state: LedgerState, pools staged: [SegmentRecord]) {
        self.engine = engine
        self.map = map
        self.state = state
        memory = PageSnapshot(of: engine.target.memory, pageSize: engine.target.pageSize)
        code = PageSnapshot(of: OriginalCode(memory, state: state), pageSize: engine.target.pageSize)
        images = OriginalCode(engine.target.memory, state: state)
        nextSite = state.nextSite
        data = DataStores(state: state)
        plan = PatchPlan(architecture: engine.target.architecture)
        lanes = SegmentLanes(state.segments, map: map, pageSize: engine.target.pageSize)
        pools = state.pools.map { Pool($0, end: state.end(of: $0)) } + staged.map { Pool($0) }
    }

    /// Finds places for the segments of a request, and asks it what they are to hold; nil where it has none.
    mutating func link(_ request: PatchRequest) throws(PatchError) -> LinkedSegments? {
        guard !request.segments.isEmpty else { return nil }
        let page = engine.target.pageSize
        var segments: [Segment] = []
        for wanted in request.segments {
            let size = (max(1, wanted.size) + page - 1) / page * page
            guard let address = place(wanted, size: size) else {
                throw .target(
                    "no \(size) bytes are free near \(wanted.near), within \(max(Self.linkReach, engine.target.architecture.detourReach) >> 20) MiB. "
                        + "The address space around the image is full. Load less beside it.")
            }
            segments.append(Segment(kind: wanted.kind, address: address, size: size))
        }
        let contents = try engine.reading("link the patch") { try request.link(segments.map(\.range)) }
        for (index, bytes) in contents.contents.enumerated() {
            guard index < segments.count, bytes.count <= segments[index].size else {
                throw .target(
                    "segment \(index) of the patch has no room for \(bytes.count) bytes. Ask for a larger one.")
            }
            segments[index].contents = bytes
        }
        return LinkedSegments(segments: segments, contents: contents)
    }

    /// A place beside segments of the same kind; where there is none, anywhere near enough.
    private mutating func place(_ wanted: SegmentRequest, size: Int) -> Address? {
        place(wanted, size: size, reach: engine.target.architecture.detourReach)
            ?? place(wanted, size: size, reach: Self.linkReach)
    }

    private mutating func place(_ wanted: SegmentRequest, size: Int, reach: UInt64) -> Address? {
        if let found = lanes.place(wanted.kind, size: size, near: wanted.near, reach: reach) { return found }
        if SegmentLanes.fits(size), let free = place(near: wanted.near, size: SegmentLanes.blockReserve, reach: reach) {
            lanes.addBlock(of: wanted.kind, in: free)
            if let found = lanes.place(wanted.kind, size: size, near: wanted.near, reach: reach) { return found }
        }
        guard let found = place(near: wanted.near, size: size, reach: reach) else { return nil }
        lanes.take(found..<found + size)
        return found
    }

    /// Adds a change of data, or of constants.
    mutating func add(_ store: DataStore) throws(PatchError) {
        func refusal(_ why: String) -> PatchError {
            .target("cannot change \(store.name) at \(store.address). \(why). Nothing was changed.")
        }
        guard !store.bytes.isEmpty, store.bytes.count == store.expected.count else {
            throw refusal("It is to have \(store.bytes.count) bytes instead of \(store.expected.count)")
        }
        guard let region = map.region(containing: store.address) else { throw refusal("Nothing is mapped there") }
        guard region.permissions.contains(.read) else { throw refusal("No data lies there, but what cannot be read") }
        guard store.isBesideCode || !region.permissions.contains(.execute) else {
            throw refusal("No data lies there, but code")
        }
        guard !region.permissions.contains(.shared) else { throw refusal("Others share the memory") }
        let write = Write(
            address: store.address, kind: region.memoryKind, expected: store.expected, bytes: store.bytes)
        guard !write.crossesPage(pageSize: engine.target.pageSize) else {
            throw refusal("Its \(store.bytes.count) bytes lie on two pages, and can be half changed")
        }
        let isChanged = stores.contains {
            $0.address < write.range.upperBound && write.address < $0.address + $0.bytes.count
        }
        if isChanged { throw refusal("It is changed twice") }
        let found = try engine.reading("read \(store.name)") {
            try memory.bytes(at: store.address, count: store.bytes.count)
        }
        guard found == store.expected else {
            let mismatch = CommitMismatch(write: store.address, expected: store.expected, found: found)
            throw .entryChanged(
                function: store.name, address: store.address + mismatch.offset, expected: mismatch.expected,
                found: mismatch.found)
        }
        stores.append(store)
        plan.append(write, to: .data)
        try data.add(store.bytes, at: store.address, kind: .value, name: store.name, imagePath: region.path) { found }
    }

    /// Adds a function of the request, or where it may be left out and cannot be patched, notes that.
    /// - Parameter refusal: why it cannot be patched, where that is known already.
    mutating func add(_ index: Int, isOptional: Bool, refusal: PatchError?) throws(PatchError) {
        let replacement = replacements[index]
        guard isOptional else {
            if let refusal { throw refusal }
            return try add(replacement, index: index)
        }
        if let refusal { return try leaveOut(index, for: refusal) }
        let before = mark
        let isPlanned = planned[replacement.function.address] != nil
        do throws(PatchError) { try add(replacement, index: index) } catch {
            guard error.concernsOneFunction else { throw error }
            rewind(to: before)
            if !isPlanned { planned[replacement.function.address] = nil }
            try leaveOut(index, for: error)
        }
    }

    private mutating func leaveOut(_ index: Int, for reason: PatchError) throws(PatchError) {
        let (function, pointer) = (replacements[index].function, replacements[index].originalPointer)
        refused.append(RefusedReplacement(index: index, function: function, error: reason))
        // Other replacements may call through the pointer: it leads to the function, which stays what it is.
        try fill(pointer, with: function.address, of: function.name)
    }

    /// Takes the functions of a request, and makes room for their records, which are large to be moved again and again.
    mutating func take(_ replacements: [Replacement]) {
        self.replacements = replacements
        let count = replacements.count
        planned.reserveCapacity(count)
        plan.reserve(count)
        sites.reserveCapacity(count)
        members.reserveCapacity(count)
    }

    /// Where a plan was before a function. What is written to data is not part of it: no function is refused behind that.
    private struct Mark {
        var plan: PatchPlan.Mark
        var pools: [Pool]
        var counts: (sites: Int, newSites: Int, members: Int, notes: Int)
        var nextSite: UInt32
    }

    private var mark: Mark {
        Mark(
            plan: plan.mark, pools: pools,
            counts: (sites.count, newSites.count, members.count, notes.count),
            nextSite: nextSite)
    }

    private mutating func rewind(to mark: Mark) {
        plan.rewind(to: mark.plan)
        (pools, nextSite) = (mark.pools, mark.nextSite)
        sites.removeSubrange(mark.counts.sites...)
        newSites.removeSubrange(mark.counts.newSites...)
        members.removeSubrange(mark.counts.members...)
        notes.removeSubrange(mark.counts.notes...)
    }

    private mutating func add(_ replacement: Replacement, index: Int) throws(PatchError) {
        let function = replacement.function
        if engine.isOwn(function) { throw .ownFunction(function: name(function), address: function.address) }
        if replacement.address == function.address {
            throw .itself(function: name(function), address: function.address)
        }
        if let known = planned[function.address] {
            try checkSame(replacement, as: replacements[known.index])
            // One patch of one function, under two names.
            let site = sites[known.number]
            sites.append(site)
            try fill(replacement.originalPointer, with: site.originalAddress, of: site.name)
            return
        }
        planned[function.address] = (sites.count, index)
        var entered = replacement
        if let context = replacement.context {
            entered.address = try thunk(for: replacement, allocating: context)
        }
        try place(entered)
    }

    /// Makes a function's entry lead to its replacement, or to the thunk that does.
    private mutating func place(_ replacement: Replacement) throws(PatchError) {
        let site: SiteRecord
        if let known = try knownSite(for: replacement) {
            site = known
            let slot = Write(
                address: site.slot, kind: .data, expected: nil, bytes: engine.word(replacement.address.rawValue))
            plan.append(slot, to: .slots)
        } else {
            site = try newSite(for: replacement)
        }
        // Half of what stands in the way of a detour would be no reason to make it.
        do throws(ReadError) { try replacement.function.image.checkRead() } catch { throw .symbol(SymbolError(error)) }
        members.append(.init(site: site.id, replacement: replacement.address, replacementName: replacement.name))
        try fill(replacement.originalPointer, with: site.originalAddress, of: site.name)
        sites.append(site)
    }

    private mutating func fill(
        _ pointer: Address?, with original: Address, of name: String
    ) throws(PatchError) {
        guard let pointer else { return }
        let bytes = engine.word(original.rawValue)
        plan.append(Write(address: pointer, kind: .data, expected: nil, bytes: bytes), to: .pointers)
        try data.add(
            bytes, at: pointer, kind: .originalPointer, name: name,
            imagePath: map.region(containing: pointer)?.path ?? ""
        ) {
            // A library that is not loaded yet has nothing there.
            (try? memory.bytes(at: pointer, count: bytes.count)) ?? [UInt8](repeating: 0, count: bytes.count)
        }
    }

    /// Several names of one code, such as the constructors of complete and of base objects, are one function: by another name it may be
    /// replaced again, by what is the same code too, or is of the same text where the two are.
    private func checkSame(_ replacement: Replacement, as known: Replacement) throws(PatchError) {
        let functions = [known.function, replacement.function]
        if functions[0].name == functions[1].name {
            throw .twice(function: name(functions[0]), address: functions[0].address)
        }
        func areAlike(_ names: [String]) -> Bool {
            let texts = names.map(Demangling.demangle)
            return texts[0] != nil && texts[0] == texts[1]
        }
        guard
            known.address == replacement.address
                || areAlike(functions.map(\.name)) && areAlike([known.name, replacement.name])
        else {
            throw .sameCode(
                functions: zip(functions, [known, replacement]).map { function, replacement in
                    areAlike(functions.map(\.name)) ? "\(name(function)) (\(function.name))" : name(function)
                }.sorted(), address: functions[0].address, image: functions[0].image.path)
        }
    }

    /// The thunk through which an async function is entered that needs a larger context: one that is there already, or a new one.
    private mutating func thunk(
        for replacement: Replacement, allocating context: AsyncContext.Larger
    ) throws(PatchError) -> Address {
        func thunk(at address: Address) -> AsyncThunk {
            AsyncThunk(
                engine.target.architecture, at: address, replacement: replacement.address, contextSize: context.size,
                allocate: context.allocator.allocate, deallocate: context.allocator.deallocate)
        }
        let known = state.thunks.first { known in
            guard known.replacement == replacement.address, known.contextSize == UInt32(clamping: context.size) else {
                return false
            }
            let wanted = thunk(at: known.range.lowerBound)
            return (try? memory.bytes(at: wanted.address, count: wanted.bytes.count)) == wanted.bytes
        }
        if let known { return known.range.lowerBound }
        let pool = try poolIndex(for: replacement.function)
        let thunk = thunk(at: pools[pool].text)
        pools[pool].text = (pools[pool].text + thunk.bytes.count).roundedUp(to: 16)
        plan.thunks.append(thunk)
        return thunk.address
    }

    /// For people. Demangling takes as long as planning, so only what is reported is demangled.
    func name(_ function: FunctionSymbol) -> String { engine.displayName(function.name) }

    /// The whole plan, with what makes it part of the ledger.
    consuming func finish(_ request: PatchRequest, linked: LinkedSegments?) throws(PatchError) -> PlannedPatch {
        if members.isEmpty, stores.isEmpty, let first = refused.first { throw first.error }
        let id = state.nextPatch
        plan.sortEntries()
        let new = pools.filter { $0.isNew && $0.isUsed }
        let segments = plan.segments.map { record(of: $0, owner: id) }
        plan.segments += new.flatMap(\.segments)
        let identities = (linked?.contents.identities ?? []).map {
            LedgerRecord.identity(IdentityRecord(name: $0.name, address: $0.address, owner: id))
        }
        var disposals: [LedgerRecord] = []
        if state.takesDisposals, let disposal = linked?.contents.disposal {
            disposals = [.disposal(DisposalRecord(owner: id, disposal: disposal))]
        }
        let patch = PatchRecord(
            id: id, state: .applying, origin: request.origin, time: engine.now(), source: request.source,
            digest: request.digest, handle: request.handle, onRevert: request.onRevert, members: members,
            stores: data.stores)
        var records = new.map { LedgerRecord.segment($0.record) } + segments
        records.reserveCapacity(newSites.count + plan.thunks.count + identities.count + data.locations.count + 8)
        for index in newSites { records.append(.site(sites[index])) }
        for thunk in plan.thunks { records.append(.thunk(ThunkRecord(thunk))) }
        records += identities
        records += disposals
        for location in data.locations { records.append(.data(location)) }
        records.append(.patch(patch))
        try engine.record(records, in: &plan, state: state, map: map)
        return PlannedPatch(
            id: id, plan: plan, pools: new.map(\.record), linked: linked, sites: sites, refused: refused,
            notes: request.notes + notes, stores: stores)
    }

    /// A segment of the request, for the ledger.
    private func record(of segment: Segment, owner: UInt32) -> LedgerRecord {
        func size(_ kind: MemoryKind) -> Int { segment.kind == kind ? segment.size : 0 }
        return .segment(
            SegmentRecord(
                kind: .linked, address: segment.address, codeSize: size(.text), constantsSize: size(.constant),
                dataSize: size(.data), generation: state.layout.generation + 1, owner: owner))
    }
}

extension PatchError {
    /// Whether it says that one function cannot be patched, or those of one image, so that others may be all the same.
    fileprivate var concernsOneFunction: Bool {
        switch code {
        case .refused, .ownFunction, .itself, .asyncContext, .shadowStack, .noSpace, .sameCode, .memory: true
        default: false
        }
    }
}
