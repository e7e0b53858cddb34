import Glibc
import SystemIO
import TraceModel

/// One process, or one item of it, in a summary.
package struct SummaryRow: Sendable, Equatable {
    /// By bytes, so that names which only look the same stay apart.
    package struct Key: Hashable, Comparable, Sendable {
        package var host: [UInt8]
        package var pid: UInt32
        /// Empty where the row is the process.
        package var item: [UInt8]

        package init(host: [UInt8], pid: UInt32, item: [UInt8]) {
            self.host = host
            self.pid = pid
            self.item = item
        }

        /// Whole names at once, where arrays would hash byte by byte.
        package func hash(into hasher: inout Hasher) {
            hasher.combine(pid)
            hasher.combine(host.count)
            host.withUnsafeBytes { hasher.combine(bytes: $0) }
            item.withUnsafeBytes { hasher.combine(bytes: $0) }
        }

        package static func < (left: Key, right: Key) -> Bool {
            let host = order(left.host, right.host)
            if host != 0 { return host < 0 }
            if left.pid != right.pid { return left.pid < right.pid }
            return order(left.item, right.item) < 0
        }

        private static func order(_ left: [UInt8], _ right: [UInt8]) -> Int {
            left.withUnsafeBytes { left in right.withUnsafeBytes { order(left, $0) } }
        }

        /// Below 0 where `left` comes first by its bytes, above 0 where `right` does.
        static func order(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
            guard let start = left.baseAddress, let other = right.baseAddress else {
                return left.count - right.count
            }
            let common = memcmp(start, other, min(left.count, right.count))
            return common != 0 ? Int(common) : left.count - right.count
        }
    }

    package var key: Key
    /// The process's name as it was last.
    package var process: [UInt8]
    package var values: SummaryValues
    package var sketch: QuantileSketch

    package init(key: Key, process: [UInt8], values: SummaryValues, sketch: QuantileSketch) {
        self.key = key
        self.process = process
        self.values = values
        self.sketch = sketch
    }

    /// What it takes of the budget of rows that add up others: never less when more is added to it.
    var cost: Int {
        Self.fixedCost + key.host.count + key.item.count + Self.cost(ofBuckets: sketch.bucketCount)
    }

    static func cost(ofBuckets count: Int) -> Int { bucketCost * count }

    /// Bytes of an encoded row without its names and the buckets of its sketch, and those of one bucket.
    private static let fixedCost = 16 + SummaryValues.encodedBytesMax + 2
    private static let bucketCost = 10

    func encode(into buffer: inout RawBuffer) {
        buffer.append(counted: key.host)
        buffer.append(integer: key.pid)
        buffer.append(counted: key.item)
        buffer.append(counted: process)
        values.encode(into: &buffer)
        sketch.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader, isFixed: Bool) throws(TraceError) {
        let host = Array(try reader.counted())
        let pid = try reader.integer(UInt32.self)
        let item = Array(try reader.counted())
        key = Key(host: host, pid: pid, item: item)
        process = Array(try reader.counted())
        values = try SummaryValues(decoding: &reader, isFixed: isFixed)
        sketch = try QuantileSketch(decoding: &reader)
    }
}
