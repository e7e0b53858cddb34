import TraceModel
import TraceWire

/// One encoded batch in which only timestamps and cumulative counters change from sending to sending.
package struct BatchTemplate: Sendable {
    private struct Counter {
        let offset: Int
        let mark: GrowingCounters.Mark
    }

    package let bytes: [UInt8]
    package let events: Int
    /// Where the timestamps stand.
    private let stamps: [Int]
    private let counters: [Counter]

    /// The events in `encoder` have `StampClock.placeholder` as timestamp; it keeps them. `marks`: of the
    /// counters, in the order in which they stand there.
    init(_ encoder: borrowing BatchEncoder, marks: [GrowingCounters.Mark] = []) {
        bytes = [UInt8](encoder.bytes)
        events = encoder.eventCount
        var search = PlaceSearch(bytes)
        let placeholder = Array(StampClock.placeholder.utf8)
        stamps = (0..<events).map { _ in search.next(placeholder) }
        search = PlaceSearch(bytes)
        counters = marks.enumerated().map { index, mark in
            Counter(offset: search.next(Self.text(of: mark, at: index)), mark: mark)
        }
    }

    private static func text(of mark: GrowingCounters.Mark, at index: Int) -> [UInt8] {
        guard let width = GrowingCounters.Width(rawValue: mark.width) else {
            preconditionFailure("no such width")
        }
        var text = [UInt8](repeating: 0, count: mark.width)
        text.withUnsafeMutableBytes { text in
            guard let base = text.baseAddress else { return }
            GrowingCounters.write(
                GrowingCounters.mark(index, width),
                width: mark.width,
                to: base
            )
        }
        return text
    }

    /// A copy whose events are spread over the time from `start` to `end`, in order, and whose counters have
    /// grown by `growth` (by key) `pass` times.
    func stamped(
        from start: EpochNanoseconds,
        to end: EpochNanoseconds,
        clock: inout StampClock,
        pass: UInt64 = 0,
        growth: [UInt64] = []
    ) -> [UInt8] {
        var batch = bytes
        let span = max(0, end - start)
        let count = Int64(stamps.count)
        batch.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            for (index, offset) in stamps.enumerated() {
                clock.write(start + span * Int64(index + 1) / count, to: base + offset)
            }
            for counter in counters {
                let mark = counter.mark
                GrowingCounters.write(
                    mark.base + pass * growth[mark.key],
                    width: mark.width,
                    to: base + counter.offset
                )
            }
        }
        return batch
    }
}

/// Finds one text after the other in bytes.
private struct PlaceSearch {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Where the text stands behind the one found before; it has to stand there.
    mutating func next(_ text: [UInt8]) -> Int {
        while offset + text.count <= bytes.count {
            if bytes[offset] == text[0],
                bytes[offset..<(offset + text.count)].elementsEqual(text)
            {
                defer { offset += text.count }
                return offset
            }
            offset += 1
        }
        preconditionFailure("a placeholder is missing")
    }
}
