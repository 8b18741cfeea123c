import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// Functions that are to be patched: their detours, and what may stand in the way of these.
extension Planning {
    /// The site of a function that was patched before, with the writes that make the new replacement run.
    mutating func knownSite(for replacement: Replacement) throws(PatchError) -> SiteRecord? {
        let function = replacement.function
        guard let site = state.site(entry: function.address) else { return nil }
        let found = try engine.reading("read the function") {
            try memory.bytes(at: site.patchAddress, count: site.original.count)
        }
        guard found == site.original || state.isJump(found, of: site) else {
            // Nothing of ours is in force there: another image may have come to lie at the address.
            if state.layer(of: site.id) == nil { return nil }
            throw .entryChanged(
                function: name(function), address: site.patchAddress, expected: site.detour, found: found)
        }
        guard found == site.original else {
            if !plan.segments.isEmpty, let layer = state.layer(of: site.id), !state.hasLinked(layer.patch) {
                notes.append(
                    "\(name(function)): patch \(layer.patch) has replaced it, and what the object has runs instead, until it is reverted"
                )
            }
            plan.redirect(site, to: replacement.address, from: found)
            return site
        }
        let stub = site.stub.lowerBound
        if isMappedAsRead(function.image), engine.references.fits(function.address, function.image, stub: stub) {
            plan.redirect(site, to: replacement.address, from: found)
            return site
        }
        guard let detour = try engine.fittingDetour(of: site, replacement, memory: memory) else {
            guard let layer = state.layer(of: site.id) else { return nil }
            throw .refused(
                function: name(function), address: function.address, image: function.image.path,
                "cannot patch \(name(function)) at \(function.address). Another build of it was loaded there since patch "
                    + "\(layer.patch) replaced it. Revert patch \(layer.patch) first.")
        }
        try checkReferences(replacement, of: detour)
        if let hop = detour.hop { try claim(hop, of: replacement, leadingTo: stub) }
        note(detour, fits: function.image)
        plan.redirect(site, to: replacement.address, from: found)
        return site
    }

    /// What is found of an entry once holds for as long as its image lies there: the function is replaced again and again. Not of a
    /// detour that goes through padding, which somebody else may take.
    private func note(_ detour: Detour, fits image: LoadedImage) {
        if detour.hop == nil { engine.references.note(detour.entry, fits: image, stub: detour.stub.address) }
    }

    /// Whether the image that somebody has read is the one that is mapped now. Functions are patched image by image.
    private mutating func isMappedAsRead(_ image: LoadedImage) -> Bool {
        if let latest, latest.image === image { return latest.isMappedAsRead }
        let code = image.regions.filter { $0.permissions.contains(.execute) }
        let isMapped = code.allSatisfy { map.region(containing: $0.range.lowerBound) == $0 }
        latest = (image, isMapped)
        return isMapped
    }

    mutating func newSite(for replacement: Replacement) throws(PatchError) -> SiteRecord {
        let function = replacement.function
        let pool = try poolIndex(for: function)
        let (stub, slot) = (pools[pool].text, pools[pool].data)
        var detour = try engine.detour(for: replacement, stub: stub, slot: slot, memory: memory)
        do throws(PatchError) {
            try checkReferences(replacement, of: detour)
        } catch {
            guard (error.cause as? Refusal)?.reason == .foreignBranch,
                let through = try detourThroughHop(replacement, instead: detour)
            else { throw error }
            detour = through
        }
        if detour.movesCall, engine.target.hasShadowStack {
            throw .shadowStack(function: name(function), address: function.address)
        }
        let site = SiteRecord(
            id: nextSite, machine: engine.target.architecture.elfMachine, entry: function.address,
            patchAddress: detour.patchAddress, original: detour.expected, detour: detour.bytes,
            stub: detour.stub.address..<detour.stub.address + detour.stub.bytes.count,
            originalAddress: detour.stub.originalAddress, slot: detour.stub.slot,
            moved: detour.pcMap, name: function.name, imagePath: function.image.path)
        nextSite += 1
        pools[pool].text = (pools[pool].text + detour.stub.bytes.count).roundedUp(to: 16)
        pools[pool].data += 8
        plan.append(detour, leadingTo: replacement.address)
        newSites.append(sites.count)
        note(detour, fits: function.image)
        if detour.hasUncheckedIndirectJump {
            notes.append("\(name(function)) \(PlannedPatch.uncheckedJump)")
        }
        return site
    }

    private func check(_ replacement: Replacement, patchAddress: Address, length: Int) -> ReferenceCheck {
        ReferenceCheck(
            architecture: plan.architecture, image: replacement.function.image,
            function: replacement.function.address, extent: replacement.extent, patchAddress: patchAddress,
            detourLength: length, code: code, name: replacement.function.name)
    }

    /// Refuses a function into whose overwritten bytes something else of its image leads, or to whose entry a part of it goes back.
    ///
    /// Where fewer bytes are overwritten because of branches into the others, and the detour goes through a hop, still nobody may
    /// take the address of these.
    private func checkReferences(_ replacement: Replacement, of detour: Detour) throws(PatchError) {
        let image = replacement.function.image
        var check = check(replacement, patchAddress: detour.patchAddress, length: detour.bytes.count)
        try engine.references.read(image, for: check.function, check.architecture, in: images)
        func refusal(branches: Bool) throws(PatchError) -> Refusal? {
            let near = engine.references.references(to: check.places, of: image)
            return try engine.reading("read what may lead into the function") {
                try check.refusal(near: near, branches: branches)
            }
        }
        var found = try refusal(branches: true)
        if found == nil, detour.hop != nil {
            check.detourLength = check.architecture.hopLength
            found = try refusal(branches: false)
        }
        for proviso in detour.provisos where found == nil {
            let near = try engine.references.search(for: proviso.places, in: image, check.architecture, images)
            let isReached = try engine.reading("read what may lead into the function") {
                try check.isReached(proviso.places, near: near)
            }
            if isReached { found = proviso.refusal }
        }
        guard let found else { return }
        throw .refused(function: name(replacement.function), address: check.function, image: image.path, found)
    }

    /// The detour that overwrites fewer bytes, through padding near by; nil where there is none, or that would not do either.
    private mutating func detourThroughHop(
        _ replacement: Replacement, instead detour: Detour
    ) throws(PatchError) -> Detour? {
        let entry = detour.patchAddress
        for start in hopEnds(around: entry, of: replacement.function.image) {
            let hop = start - engine.target.architecture.hopLength
            guard
                let through = try? engine.detour(
                    for: replacement, stub: detour.stub.address, slot: detour.stub.slot, hop: hop, memory: memory),
                (try? checkReferences(replacement, of: through)) != nil,
                (try? claim(hop, of: replacement, leadingTo: detour.stub.address)) != nil
            else { continue }
            return through
        }
        return nil
    }

    /// Where code starts so near an entry that a hop may lie before it.
    private func hopEnds(around entry: Address, of image: LoadedImage) -> [Address] {
        let length = engine.target.architecture.hopLength
        guard length > 0 else { return [] }
        let reach = Architecture.hopReach
        return Array(engine.references.starts(in: entry - reach + length..<entry + reach, of: image))
    }

    /// Takes padding for a hop, or finds that it leads to the stub already.
    private mutating func claim(
        _ hop: Address, of replacement: Replacement, leadingTo stub: Address
    ) throws(PatchError) {
        let image = replacement.function.image
        let architecture = engine.target.architecture
        let taken = PatchError.refused(
            function: name(replacement.function), address: replacement.function.address, image: image.path,
            "cannot patch \(name(replacement.function)): the padding at \(hop), which its jump needs, is in use. "
                + "Patch what calls it.")
        let found = try engine.reading("read the padding near the function") {
            try memory.bytes(at: hop, count: architecture.hopLength)
        }
        guard let jump = architecture.jump(atHop: hop, to: stub) else { throw taken }
        if found == jump { return }
        let length = UInt64(architecture.hopLength)
        if plan[.hops].contains(where: { $0.address.distance(to: hop) < length }) { throw taken }
        let start = hop + architecture.hopLength
        let earlier = engine.references.starts(in: image.range.lowerBound..<start, of: image)
        guard let previous = earlier.last else { throw taken }
        let check = check(replacement, patchAddress: replacement.function.address, length: 1)
        let isFree = try engine.reading("read the padding near the function") {
            try check.isHop(before: start, behind: previous) { engine.references.references(to: $0, of: image) }
        }
        guard isFree else { throw taken }
        plan.append(Write(address: hop, kind: .text, expected: found, bytes: jump), to: .hops)
    }
}
