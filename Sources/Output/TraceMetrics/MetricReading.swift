package import TraceModel

/// What there is to expose, of one revision of the store: metrics and status are built from the same
/// reading, so they can't contradict each other.
package struct MetricReading: Sendable {
    package struct Worker: Sendable, Equatable {
        package let name: WorkerName
        /// nil while it is down.
        package let pid: UInt32?
        package let isUp: Bool
        /// Why starting it again changes nothing, and what does; nil where it is not so.
        package let lost: String?
        package let lagBytes: UInt64
        package let appliedLSN: LSN
        package let checkpointLSN: LSN
        /// Up to where the newest of its slots is counted.
        package let countedLSN: LSN
        package let restarts: UInt64
    }

    package let revision: UInt64
    /// Families that are not derived and have series, in the catalog's order; none in a reading of the status.
    package let families: [FamilyReading]
    package let router: RouterStatus
    /// nil while the router is down.
    package let routerPID: UInt32?
    /// The workers that the router expects, in its order.
    package let workers: [Worker]
    package let writtenEvents: UInt64
    /// Rows of damaged segments, which no final file has.
    package let lostRows: UInt64
    /// How processes have ended lately, by name.
    package let recentEnds: [String: RecentEnds]

    package func family(_ family: MetricFamily) -> FamilyReading? { families.first { $0.descriptor.family == family } }
}

/// A family's series by labels, with their values: texts by number, numbers in one array, as there may be a
/// million of them.
package struct FamilyReading: Sendable {
    package struct Series: Sendable, Equatable {
        package let labels: [String]
        package let value: MetricValue
    }

    package let descriptor: MetricDescriptor
    /// Shared by all families of a reading.
    private let texts: [String]
    /// Texts of this family's own: their numbers go on from those of `texts`.
    private var ownTexts: [String] = []
    private var labels: [UInt32] = []
    private var numbers: [UInt64] = []
    package private(set) var count = 0

    init(_ descriptor: MetricDescriptor, texts: [String] = []) {
        self.descriptor = descriptor
        self.texts = texts
    }

    private var labelCount: Int { descriptor.labels.count }

    /// How many numbers a value has.
    var width: Int { descriptor.kind == .histogram ? descriptor.bounds.count + 2 : 1 }

    // MARK: Reading

    /// One by one, as values: for small families and tests.
    package var series: [Series] { (0..<count).map { Series(labels: labels(of: $0), value: value(of: $0)) } }

    func labels(of series: Int) -> [String] { (0..<labelCount).map { text(of: labelNumber(series, $0)) } }

    @inline(__always) func labelNumber(_ series: Int, _ position: Int) -> UInt32 {
        labels[series * labelCount + position]
    }

    @inline(__always) func text(of number: UInt32) -> String {
        Int(number) < texts.count ? texts[Int(number)] : ownTexts[Int(number) - texts.count]
    }

    /// The bit pattern of a double, or buckets and the pattern of the sum.
    @inline(__always) func numbers(of series: Int) -> ArraySlice<UInt64> {
        numbers[(series * width)..<((series + 1) * width)]
    }

    func value(of series: Int) -> MetricValue { MetricValue(descriptor.kind, numbers(of: series)) }

    // MARK: Making

    /// Behind all others: the caller keeps the order. The texts' numbers are those of the shared ones.
    @inline(__always) mutating func append(_ labels: SeriesLabels, _ numbers: ArraySlice<UInt64>) {
        for position in 0..<labelCount { self.labels.append(labels[position]) }
        self.numbers.append(contentsOf: numbers)
        count += 1
    }

    /// A family without series that goes by the same numbers of texts.
    func emptied(for descriptor: MetricDescriptor) -> FamilyReading {
        var family = FamilyReading(descriptor, texts: texts)
        family.ownTexts = ownTexts
        return family
    }

    /// The number of a text of this family's own.
    mutating func add(text: String) -> UInt32 {
        ownTexts.append(text)
        return UInt32(texts.count + ownTexts.count - 1)
    }

    /// Adds to the series with these labels, or makes it, in its place. O(series).
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
        if low < count, self.labels(of: low).elementsEqual(labels, by: TextKey.areEqual) { return add(value, to: low) }
        let made = labels.map { add(text: $0) }
        self.labels.insert(contentsOf: made, at: low * labelCount)
        numbers.insert(contentsOf: value.numbers, at: low * width)
        count += 1
    }

    /// Adds another slot's share to a series.
    mutating func add(_ value: MetricValue, to series: Int) {
        var sum = self.value(of: series)
        sum.add(value)
        numbers.replaceSubrange((series * width)..<((series + 1) * width), with: sum.numbers)
    }
}
