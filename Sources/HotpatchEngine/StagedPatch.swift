import HotpatchPlan

/// The first phase of a patch. It has been *staged*: what it takes is mapped and filled, and the calls before are made. Nothing has
/// changed for the target's threads until it is *committed*, which is done or not in one piece. A commit that is retried, with another
/// plan, uses what was staged again: nothing is linked or called twice.
struct StagedPatch: ~Copyable {
    var allocation: Allocation
    /// Pools whose code and data are both mapped.
    private(set) var pools: [SegmentRecord] = []
    /// What the request's segments hold; nil before they are mapped.
    private(set) var linked: LinkedSegments?
    /// In the order they were made.
    private(set) var calls: [Call] = []

    init(in target: any Target) { allocation = Allocation(in: target) }

    /// What the next plan is to use.
    var reusable: Reusable { Reusable(pools: pools, linked: linked) }

    struct Reusable: Sendable {
        var pools: [SegmentRecord] = []
        var linked: LinkedSegments?
    }

    mutating func note(mapped planned: PlannedPatch) {
        pools += planned.pools.filter { !pools.contains($0) }
        linked = planned.linked
    }

    mutating func note(made call: Call) { calls.append(call) }
}

/// The segments of a request, where they lie, and what was made of them there.
struct LinkedSegments: Sendable {
    var segments: [Segment]
    var contents: PatchRequest.Linked
}
