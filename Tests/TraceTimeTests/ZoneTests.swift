import Testing
import TraceModel
import TraceTime

/// All tests that choose a zone: the zone is the process's, so they run one after the other.
@Suite("Times in zones", .serialized) struct ZoneTests {}

/// Parses with an arrival no text can name.
func parse(_ text: String, _ parser: inout TimestampParser) -> ParsedTimestamp {
    Array(text.utf8).withUnsafeBytes { parser.parse(ByteView($0), arrival: -1) }
}

let nanosecondsPerSecond: Int64 = 1_000_000_000
