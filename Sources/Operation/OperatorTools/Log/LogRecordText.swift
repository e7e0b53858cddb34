import Foundation
import IngestLog
import TraceModel

/// How records and their times are shown.
enum LogRecordText {
    /// The type in lower case with hyphens, as `file-head`.
    static func name(of record: LogRecord) -> String {
        guard let type = record.type else { return "unknown" }
        var name = ""
        for character in "\(type)" {
            name += character.isUppercase ? "-\(character.lowercased())" : String(character)
        }
        return name
    }

    /// ISO 8601 in UTC, to the millisecond.
    static func moment(_ time: EpochNanoseconds) -> String {
        Date(timeIntervalSince1970: Double(time) / 1e9)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
