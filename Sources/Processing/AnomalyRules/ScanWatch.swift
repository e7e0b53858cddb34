package import SystemIO
package import TraceModel

/// Counts the distinct values that each key has met recently: hosts by port, or ports by host. Keys and values are
/// numbers or hashes. Bounded: the least recently met key, and the least recently met value of a key, is evicted.
package struct ScanWatch {
    /// A key with the values that it has met, and when.
    private struct Key {
        let key: UInt64
        var last: Int64
        var values: [UInt64] = []
        var times: [Int64] = []
        /// None of the times is before this one.
        var earliest = Int64.max
        var alarm = Alarm()
    }

    private var keys: [Key] = []

    package init() {}

    /// Records that `key` met `value`. If the value is new within `window` nanoseconds and the key has met at least
    /// `limit` values, returns their number and whether the finding is raised.
    package mutating func observe(
        _ value: UInt64,
        of key: UInt64,
        at time: Int64,
        window: Int64,
        limit: Int,
        cooldown: Int64
    ) -> (count: Int, verdict: FindingVerdict)? {
        let at = keys.firstIndex { $0.key == key } ?? add(key, at: time)
        keys[at].last = max(keys[at].last, time)
        forget(before: keys[at].last, window: window, at)
        // The last one was met last, as a rule.
        if let known = keys[at].values.lastIndex(of: value) {
            keys[at].times[known] = max(keys[at].times[known], time)
            return nil
        }
        if keys[at].values.count >= Limits.scanValuesPerKeyMax { forgetOldest(at) }
        keys[at].values.append(value)
        keys[at].times.append(time)
        keys[at].earliest = min(keys[at].earliest, time)
        let count = keys[at].values.count
        guard count >= limit else { return nil }
        return (count, keys[at].alarm.fire(at: time, cooldown: cooldown))
    }

    private mutating func add(_ key: UInt64, at time: Int64) -> Int {
        if keys.count >= Limits.scanKeysPerProcessMax,
            let oldest = keys.indices.min(by: { (keys[$0].last, $0) < (keys[$1].last, $1) })
        {
            keys[oldest] = Key(key: key, last: time)
            return oldest
        }
        keys.append(Key(key: key, last: time))
        return keys.count - 1
    }

    private mutating func forget(before time: Int64, window: Int64, _ at: Int) {
        let (since, overflow) = time.subtractingReportingOverflow(window)
        guard !overflow, keys[at].earliest <= since else { return }
        var kept = 0
        keys[at].earliest = .max
        for index in keys[at].times.indices where keys[at].times[index] > since {
            keys[at].times[kept] = keys[at].times[index]
            keys[at].values[kept] = keys[at].values[index]
            keys[at].earliest = min(keys[at].earliest, keys[at].times[kept])
            kept += 1
        }
        keys[at].times.removeSubrange(kept...)
        keys[at].values.removeSubrange(kept...)
    }

    private mutating func forgetOldest(_ at: Int) {
        let times = keys[at].times
        guard let oldest = times.indices.min(by: { (times[$0], $0) < (times[$1], $1) }) else {
            return
        }
        keys[at].times.remove(at: oldest)
        keys[at].values.remove(at: oldest)
    }

    /// Appends the state as `init(decoding:)` reads it.
    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt16(keys.count))
        for key in keys {
            buffer.append(integer: key.key)
            buffer.append(integer: key.last)
            key.alarm.encode(into: &buffer)
            buffer.append(integer: UInt16(key.values.count))
            for index in key.values.indices {
                buffer.append(integer: key.values[index])
                buffer.append(integer: key.times[index])
            }
        }
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt16.self)) {
            var key = Key(
                key: try reader.integer(UInt64.self),
                last: try reader.integer(Int64.self)
            )
            key.alarm = try Alarm(decoding: &reader)
            for _ in 0..<(try reader.integer(UInt16.self)) {
                key.values.append(try reader.integer(UInt64.self))
                let time = try reader.integer(Int64.self)
                key.times.append(time)
                key.earliest = min(key.earliest, time)
            }
            keys.append(key)
        }
    }
}
