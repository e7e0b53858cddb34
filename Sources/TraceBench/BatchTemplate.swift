package import TraceModel
package import TraceWire

/// One encoded batch in which only the timestamps change from sending to sending.
package struct BatchTemplate: Sendable {
    package let bytes: [UInt8]
    package let events: Int
    /// Where the timestamps stand.
    private let stamps: [Int]

    /// The events in `encoder` have `StampClock.placeholder` as timestamp; it keeps them.
    package init(_ encoder: borrowing BatchEncoder) {
        bytes = [UInt8](encoder.bytes)
        events = encoder.eventCount
        let mark = Array(StampClock.placeholder.utf8)
        var stamps: [Int] = []
        var offset = 0
        while offset + mark.count <= bytes.count {
            if bytes[offset] == mark[0], bytes[offset..<(offset + mark.count)].elementsEqual(mark) {
                stamps.append(offset)
                offset += mark.count
            } else {
                offset += 1
            }
        }
        precondition(stamps.count == events, "each event has one timestamp")
        self.stamps = stamps
    }

    /// A copy whose events are spread over the time from `start` to `end`, in order.
    package func stamped(
        from start: EpochNanoseconds,
        to end: EpochNanoseconds,
        clock: inout StampClock
    ) -> [UInt8] {
        var batch = bytes
        let span = max(0, end - start)
        let count = Int64(stamps.count)
        batch.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            for (index, offset) in stamps.enumerated() {
                clock.write(start + span * Int64(index + 1) / count, to: base + offset)
            }
        }
        return batch
    }
}
