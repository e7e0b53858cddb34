import IngestLog
import SystemIO
package import TraceModel
import TraceWire

/// The result of `tracectl log stats`.
package struct LogStatistics: Encodable, Sendable {
    package private(set) var files = 0
    /// The size of the files on the disk, which includes preallocated space.
    package private(set) var fileBytes = 0
    package private(set) var beginLsn: LSN = 0
    package private(set) var endLsn: LSN = 0
    /// Everything below this LSN was durable when the last record was written.
    package private(set) var durableLsn: LSN = 0
    /// Records by type.
    package private(set) var records: [String: Int] = [:]
    package private(set) var batches = 0
    package private(set) var batchBytes = 0
    /// Events of the batches in the log, by resource.
    package private(set) var events: [String: Int] = [:]
    /// Counts since the data directory was created, from the last record.
    package private(set) var acceptedEvents: UInt64 = 0
    package private(set) var deduplicatedEvents: UInt64 = 0
    package private(set) var rejectedEvents: UInt64 = 0
    package private(set) var deadLetteredEvents: UInt64 = 0
    /// Arrival times of the batches in the log, in nanoseconds since the epoch.
    package private(set) var firstArrivalNs: EpochNanoseconds?
    package private(set) var lastArrivalNs: EpochNanoseconds?
    package private(set) var damagedRanges = 0
    package private(set) var damagedBytes: LSN = 0

    /// Reads the whole log. Blocks; uses bounded memory.
    /// - Throws: `SystemError` where it cannot be read.
    package init(_ log: StoredLog) throws {
        for base in try log.directory.bases() {
            files += 1
            fileBytes += FileSystem.size(log.directory.file(base: base)) ?? 0
        }
        for resource in Resource.allCases { events[resource.name] = 0 }
        var walk = try log.walk()
        beginLsn = walk.position
        var index = EventIndex()
        reading: while true {
            switch try walk.next() {
            case .records(let bytes):
                for record in unsafe LogRecords(bytes) { count(record, &index) }
            case .damage(let range):
                damagedRanges += 1
                damagedBytes += range.upperBound - range.lowerBound
            case .trimmed: break
            case .end: break reading
            }
        }
        endLsn = walk.position
    }

    private mutating func count(_ record: LogRecord, _ index: inout EventIndex) {
        records[LogRecordText.name(of: record), default: 0] += 1
        let counts = record.counts
        acceptedEvents = counts.acceptedTotal
        deduplicatedEvents = counts.deduplicated
        rejectedEvents = counts.rejected
        deadLetteredEvents = counts.deadLettered
        durableLsn = record.durableLSN
        guard record.type == .batch else { return }
        batches += 1
        unsafe batchBytes += record.body.count
        firstArrivalNs = firstArrivalNs ?? record.arrival
        lastArrivalNs = record.arrival
        guard let summary = try? unsafe BatchScanner.scan(record.body, into: &index) else { return }
        for resource in Resource.allCases {
            events[resource.name, default: 0] += summary.count(of: resource)
        }
    }

    package var text: String {
        let byType = records.sorted { $0.key < $1.key }.map {
            "\($0.key) \(Report.grouped($0.value))"
        }
        let byResource = Resource.allCases.map {
            "\($0.name) \(Report.grouped(events[$0.name] ?? 0))"
        }
        let moments = [firstArrivalNs, lastArrivalNs].map { $0.map(LogRecordText.moment) ?? "-" }
        return """
            files            \(files), \(Report.grouped(fileBytes)) bytes on the disk
            begin, end       LSN \(beginLsn), \(endLsn) (\(Report.grouped(Int(endLsn - beginLsn))) bytes)
            durable          LSN \(durableLsn) when the last record was written
            records          \(byType.isEmpty ? "none" : byType.joined(separator: ", "))
            batches          \(Report.grouped(batches)), \(Report.grouped(batchBytes)) bytes
            events in them   \(byResource.joined(separator: ", "))
            arrivals         \(moments[0]) to \(moments[1])
            events ever      accepted \(acceptedEvents), deduplicated \(deduplicatedEvents), \
            rejected \(rejectedEvents), dead-lettered \(deadLetteredEvents)
            damaged          \(damagedRanges) ranges, \(Report.grouped(Int(damagedBytes))) bytes
            """
    }
}
