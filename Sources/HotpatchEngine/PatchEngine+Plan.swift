import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols

extension PatchEngine {
    /// What `apply` would do to the target as it was when these were read.
    package func plan(_ request: PatchRequest, map: ProcessMap, state: LedgerState) throws(PatchError) -> PlannedPatch {
        try plan(request, map: map, state: state, reusing: StagedPatch.Reusable())
    }

    /// - Parameter reusing: what an attempt before has staged.
    func plan(
        _ request: PatchRequest, map: ProcessMap, state: LedgerState, reusing staged: StagedPatch.Reusable
    ) throws(PatchError) -> PlannedPatch {
        var planning = Planning(engine: self, map: map, state: state, pools: staged.pools)
        var linked = staged.linked
        if linked == nil { linked = try planning.link(request) }
        planning.plan.segments = linked?.segments ?? []
        let linkedReplacements = linked?.contents.replacements ?? []
        planning.take(
            linkedReplacements.isEmpty ? request.replacements : request.replacements + linkedReplacements)
        for index in planning.replacements.indices {
            try planning.add(index, isOptional: request.leavesOutRefused, refusal: request.refusals[index])
        }
        for store in request.stores + (linked?.contents.stores ?? []) { try planning.add(store) }
        planning.plan.callsBefore = request.callsBefore + (linked?.contents.callsBefore ?? [])
        planning.plan.callsAfter = request.callsAfter + (linked?.contents.callsAfter ?? [])
        return try planning.finish(request, linked: linked)
    }

    /// The detour that would be made of the function now, if the site's stub matches it; else nil. The few bytes at its entry are those of many
    /// functions: where its image was unloaded, and another build loaded in its place, the stub would run the old build's instructions.
    func fittingDetour(
        of site: SiteRecord, _ replacement: Replacement, memory: PageSnapshot
    ) throws(PatchError) -> Detour? {
        let hop = target.architecture.hop(of: site.detour, at: site.patchAddress)
        guard
            let detour = try? detour(
                for: replacement, stub: site.stub.lowerBound, slot: site.slot, hop: hop, memory: memory)
        else { return nil }
        guard detour.patchAddress == site.patchAddress, detour.expected == site.original,
            detour.stub.originalAddress == site.originalAddress
        else { return nil }
        let stub = try reading("read the stub of a function") {
            try memory.bytes(at: site.stub.lowerBound, count: detour.stub.bytes.count)
        }
        return stub == detour.stub.bytes ? detour : nil
    }

    func detour(
        for replacement: Replacement, stub: Address, slot: Address, hop: Address? = nil, memory: PageSnapshot
    ) throws(PatchError) -> Detour {
        let function = replacement.function
        let architecture = target.architecture
        let planned = try reading("read the function") {
            try memory.withBytes(at: function.address, count: replacement.extent.available) { code in
                Result { () throws(Refusal) in
                    try Detour(
                        architecture: architecture, code: code, functionLength: replacement.extent.length,
                        entry: function.address, stub: stub, slot: slot, hop: hop, tables: memory)
                }
            }
        }
        do throws(Refusal) { return try planned.get() } catch {
            throw .refused(
                function: displayName(function.name), address: function.address, image: function.image.path, error)
        }
    }
}
