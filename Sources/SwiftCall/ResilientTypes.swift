// Written by hand, until the list generated from the toolchain takes its place.

/// The value types of the module Swift that are not frozen. The runtime counts those of _Concurrency among them.
private let swiftResilient: Set<String> = [
    "FloatingPointRoundingRule", "Mirror", "Mirror.DisplayStyle", "Mirror.AncestorRepresentation", "EncodingError",
    "DecodingError", "CollectionDifference", "DiscontiguousSlice", "RangeSet", "RangeSet.Ranges", "CodingUserInfoKey",
    "KeyedEncodingContainer", "KeyedDecodingContainer", "Unicode.GeneralCategory", "Unicode.Scalar.Properties",
    "Unicode.CanonicalCombiningClass", "Unicode.NumericType", "TaskPriority", "AsyncStream", "AsyncThrowingStream",
    "ContinuousClock", "SuspendingClock", "ContinuousClock.Instant", "SuspendingClock.Instant", "CancellationError",
]

/// Whether a value type of a module built for library evolution is not frozen: then it is always passed indirectly.
func isResilient(module: String, name: String) -> Bool {
    switch module {
    case "Swift": swiftResilient.contains(name)
    case "_StringProcessing", "Observation", "Synchronization", "Distributed", "RegexBuilder", "Testing": true
    default: false
    }
}
