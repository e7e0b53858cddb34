package import TraceModel

/// Everything that is exposed of one revision of the store. Metrics and status are built from the same reading, so that
/// they can't contradict each other.
package struct MetricReading: Sendable {
    /// The state of one worker.
    package struct Worker: Sendable, Equatable {
        package let name: WorkerName
        /// nil while the worker is down.
        package let pid: UInt32?
        package let isUp: Bool
        /// Why restarting the worker does not help, and what does; nil where a restart is enough.
        package let lost: String?
        package let lagBytes: UInt64
        package let appliedLSN: LSN
        package let checkpointLSN: LSN
        /// The highest LSN up to which any of its slots is counted.
        package let countedLSN: LSN
        package let restarts: UInt64
    }

    package let revision: UInt64
    /// Families that are not derived and have series, in catalog order. Empty in a reading made for the status.
    package let families: [FamilyReading]
    package let router: RouterStatus
    /// nil while the router is down.
    package let routerPID: UInt32?
    /// The workers that the router expects, in the router's order.
    package let workers: [Worker]
    package let writtenEvents: UInt64
    /// Rows of damaged segments that are in no final file.
    package let lostRows: UInt64
    /// Rows of outputs whose damaged segments were made again.
    package let rebuiltRows: UInt64
    /// How processes ended in the last minute, by process name.
    package let recentEnds: [String: RecentEnds]

    /// Returns a family's series, or nil where it has none.
    package func family(_ family: MetricFamily) -> FamilyReading? {
        families.first { $0.descriptor.family == family }
    }
}

/// A family's series by labels, with their values. Label texts are numbered and values lie in one array, because there
/// may be a million of them.
package struct FamilyReading: Sendable {
    /// One series with its value.
    package struct Series: Sendable, Equatable {
        package let labels: [String]
        package let value: MetricValue
    }

    package let descriptor: MetricDescriptor
    /// Label texts that all families of a reading share.
    private let texts: [String]
    /// Label texts of this family only. Their numbers continue those of `texts`.
    private var ownTexts: [String] = []
    private var labels: [UInt32] = []
    private var numbers: [UInt64] = []
    package private(set) var count = 0

    init(_ descriptor: MetricDescriptor, texts: [String] = []) {
        self.descriptor = descriptor
        self.texts = texts
    }

    private var labelCount: Int { descriptor.labels.count }

    /// The count of numbers in a value.
    var width: Int { descriptor.kind == .histogram ? descriptor.bounds.count + 2 : 1 }

    // MARK: Reading

    /// The series as separate values: for small families and tests.
    package var series: [Series] {
        (0..<count).map { Series(labels: labels(of: $0), value: value(of: $0)) }
    }

    func labels(of series: Int) -> [String] {
        (0..<labelCount).map { text(of: labelNumber(series, $0)) }
    }

    @inline(__always) func labelNumber(_ series: Int, _ position: Int) -> UInt32 {
        labels[series * labelCount + position]
    }

    @inline(__always) func text(of number: UInt32) -> String {
        Int(number) < texts.count ? texts[Int(number)] : ownTexts[Int(number) - texts.count]
    }

    /// The numbers of a value: a double's bit pattern, or the buckets and the bit pattern of the sum.
    @inline(__always) func numbers(of series: Int) -> ArraySlice<UInt64> {
        numbers[(series * width)..<((series + 1) * width)]
    }

    func value(of series: Int) -> MetricValue { MetricValue(descriptor.kind, numbers(of: series)) }

    // MARK: Building

    /// Appends a series behind all others; the caller keeps the order. Text numbers refer to the shared texts.
    @inline(__always) mutating func append(_ labels: SeriesLabels, _ numbers: ArraySlice<UInt64>) {
        for position in 0..<labelCount { self.labels.append(labels[position]) }
        self.numbers.append(contentsOf: numbers)
        count += 1
    }

    /// Returns a family without series that uses the same text numbers.
    func emptied(for descriptor: MetricDescriptor) -> FamilyReading {
        var family = FamilyReading(descriptor, texts: texts)
        family.ownTexts = ownTexts
        return family
    }

    /// Adds a text of this family only and returns its number.
    mutating func add(text: String) -> UInt32 {
        ownTexts.append(text)
        return UInt32(texts.count + ownTexts.count - 1)
    }

    /// Adds a value to the series with these labels, or inserts the series in label order. O(series).
    mutating func merge(_ labels: [String], _ value: MetricValue) {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self.labels(of: middle).lexicographicallyPrecedes(labels, by: TextKey.areInOrder) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        if low < count, self.labels(of: low).elementsEqual(labels, by: TextKey.areEqual) {
            return add(value, to: low)
        }
        let made = labels.map { add(text: $0) }
        self.labels.insert(contentsOf: made, at: low * labelCount)
        numbers.insert(contentsOf: value.numbers, at: low * width)
        count += 1
    }

    /// Adds another slot's value to a series.
    mutating func add(_ value: MetricValue, to series: Int) {
        var sum = self.value(of: series)
        sum.add(value)
        numbers.replaceSubrange((series * width)..<((series + 1) * width), with: sum.numbers)
    }
}
