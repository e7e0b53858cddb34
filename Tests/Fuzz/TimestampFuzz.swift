import TraceModel
import TraceTime

/// A parser that remembers the minute before reads every text as a new one does.
enum TimestampFuzz {
    private static let zone: TimeZoneRules = {
        do { return try TimeZoneRules.configure("Europe/Berlin") } catch { fatalError("\(error)") }
    }()

    static func run(_ bytes: UnsafeRawBufferPointer) {
        var used = TimestampParser(zone: zone)
        for text in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            let view = ByteView(UnsafeRawBufferPointer(rebasing: text))
            var fresh = TimestampParser(zone: zone)
            let (first, second) = (used.parse(view, arrival: 1), fresh.parse(view, arrival: 1))
            precondition(first.nanoseconds == second.nanoseconds && first.kind == second.kind)
            precondition(first.nanoseconds >= 0, "nothing before 1970 is valid")
        }
    }
}
