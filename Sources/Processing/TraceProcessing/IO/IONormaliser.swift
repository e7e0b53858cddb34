import SystemIO
import TraceModel
import TraceWire

/// Converts a process's I/O events of either dialect into what statistics and rules use.
///
/// NEUTRACER: bytes are those since the last event that was sent; operations are running counts. All of them restart
/// at 0 once an hour, which shows in a count that has not grown although the event is such an operation. The agent
/// then cuts the difference of bytes at 0, and the event's own bytes count.
struct IONormaliser: BitwiseCopyable {
    /// The values of an event in a form that does not depend on the dialect.
    struct Sample {
        var readBytes = Growth()
        var writeBytes = Growth()
        var readOperations = Growth()
        var writeOperations = Growth()
    }

    private(set) var readBytes = CumulativeCounter()
    private(set) var writeBytes = CumulativeCounter()
    private(set) var readOperations = CumulativeCounter()
    private(set) var writeOperations = CumulativeCounter()

    init() {}

    /// Returns whether a counter shows that the state kept so far belongs to another process.
    @inline(__always) func isFalling(_ event: IOEvent, _ semantics: Semantics) -> Bool {
        semantics == .cumulative
            && (readBytes.falls(to: event.readBytes) || writeBytes.falls(to: event.writeBytes)
                || readOperations.falls(to: event.readOperations)
                || writeOperations.falls(to: event.writeOperations))
    }

    /// Applies an event. The running totals of a late event are ignored.
    @inline(__always) mutating func take(
        _ event: IOEvent,
        operation: IOOperation,
        _ process: ProcessIdentity.Sample,
        _ context: EventContext
    ) -> Sample {
        var sample = Sample()
        let read: UInt64 = operation == .read ? 1 : 0
        let write: UInt64 = operation == .write ? 1 : 0
        switch context.semantics {
        case .cumulative:
            guard !process.isLate else { return sample }
            sample.readBytes = readBytes.take(
                total: event.readBytes,
                process,
                own: read &* event.byteCount
            )
            sample.writeBytes = writeBytes.take(
                total: event.writeBytes,
                process,
                own: write &* event.byteCount
            )
            sample.readOperations = readOperations.take(
                total: event.readOperations,
                process,
                own: read
            )
            sample.writeOperations = writeOperations.take(
                total: event.writeOperations,
                process,
                own: write
            )
        case .neutracer:
            let isReset =
                !process.isLate
                && (event.readOperations < readOperations.last &+ read
                    || event.writeOperations < writeOperations.last &+ write)
            if isReset {
                readOperations.restart()
                writeOperations.restart()
            }
            sample.readBytes = Self.take(
                event.readBytes,
                atLeast: isReset ? read &* event.byteCount : 0,
                of: &readBytes,
                .readBytes,
                context
            )
            sample.writeBytes = Self.take(
                event.writeBytes,
                atLeast: isReset ? write &* event.byteCount : 0,
                of: &writeBytes,
                .writeBytes,
                context
            )
            guard !process.isLate else { return sample }
            sample.readOperations = readOperations.take(
                running: event.readOperations,
                process,
                own: read
            )
            sample.writeOperations = writeOperations.take(
                running: event.writeOperations,
                process,
                own: write
            )
        }
        return sample
    }

    private static func take(
        _ sent: UInt64,
        atLeast own: UInt64,
        of counter: inout CumulativeCounter,
        _ field: InvalidValues.Field,
        _ context: EventContext
    ) -> Growth {
        guard !WrappedDifference.isWrapped(sent) else {
            context.totals.pointee.invalid.count(field)
            return Growth()
        }
        let difference = max(sent, own)
        counter.grow(by: difference)
        return Growth(difference)
    }

    /// Starts the series at 0, as they have another name from here on.
    mutating func beginSeries() {
        readBytes.beginSeries()
        writeBytes.beginSeries()
        readOperations.beginSeries()
        writeOperations.beginSeries()
    }

    func encode(into buffer: inout RawBuffer) {
        readBytes.encode(into: &buffer)
        writeBytes.encode(into: &buffer)
        readOperations.encode(into: &buffer)
        writeOperations.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        readBytes = try CumulativeCounter(decoding: &reader)
        writeBytes = try CumulativeCounter(decoding: &reader)
        readOperations = try CumulativeCounter(decoding: &reader)
        writeOperations = try CumulativeCounter(decoding: &reader)
    }
}
