import Glibc

/// Nanoseconds since 1970 as ISO 8601 has it, in UTC: `2026-01-31T12:00:00Z`.
func timestamp(_ nanoseconds: UInt64) -> String {
    var seconds = time_t(nanoseconds / 1_000_000_000)
    var parts = tm()
    // It fails only for years that no int holds, and 64 bits of nanoseconds end in 2554.
    _ = gmtime_r(&seconds, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
}
