import SystemIO
import TraceModel
import TraceWire

/// Makes of a process's I/O events, in either dialect, what statistics and rules work with.
///
/// NEUTRACER: bytes are those since the last event that was sent; operations are running counts. All of them go back to
/// 0 once an hour, which shows by a count that has not grown with an operation of its own; the difference of bytes is
/// cut at 0 then, and the event's own bytes count.
struct IONormaliser: BitwiseCopyable {
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

    /// Whether a counter says that the state kept so far is another process's.
    @inline(__always) func isFalling(_ event: IOEvent, _ semantics: Semantics) -> Bool {
        semantics == .cumulative
            && (readBytes.falls(to: event.readBytes) || writeBytes.falls(to: event.writeBytes)
                || readOperations.falls(to: event.readOperations)
                || writeOperations.falls(to: event.writeOperations))
    }

    /// Takes in an event. Of one that is late running totals say nothing.
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

    /// Series have another name from here on and begin at 0.
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
