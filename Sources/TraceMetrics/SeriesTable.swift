/// Every series that some slot holds, numbered, with the decision whether it is exposed by its own
/// labels or folded into `other`. The decision holds for the series' life: a series that moved
/// between the two would make a counter go back.
struct SeriesTable: Sendable {
    private struct Entry: Sendable {
        var key: SeriesKey
        /// How many slots hold it; 0: the number is free.
        var holders: Int
        var isFolded: Bool
    }

    private var entries: [Entry] = []
    private var numbers: [SeriesKey: Int] = [:]
    private var exposed: [MetricFamily: Int] = [:]
    private var free: [Int] = []

    /// Living and dead numbers in the order of their keys, as of the last `sortedNumbers()`.
    private var sorted: [Int] = []
    private var added: [Int] = []
    /// Freed since then; not given out again before the order is made anew.
    private var freed: [Int] = []

    private let perFamilyMax: Int
    private let heldMax: Int

    init(perFamilyMax: Int, heldMax: Int) {
        self.perFamilyMax = perFamilyMax
        self.heldMax = heldMax
    }

    /// How many numbers there have been: an array of this size can be indexed by them.
    var capacity: Int { entries.count }

    /// How many series live.
    var count: Int { numbers.count }

    func number(of key: SeriesKey) -> Int? { numbers[key] }
    func key(of number: Int) -> SeriesKey { entries[number].key }
    func isFolded(_ number: Int) -> Bool { entries[number].isFolded }

    /// One more slot holds the series. nil where the table is full. `wasFolded` says that it is new
    /// and beyond its family's limit.
    mutating func hold(
        _ key: SeriesKey,
        folded decided: Bool? = nil
    ) -> (number: Int, wasFolded: Bool)? {
        if let number = numbers[key] {
            entries[number].holders += 1
            return (number, false)
        }
        guard numbers.count < heldMax else { return nil }
        let folded = decided ?? (exposed[key.family, default: 0] >= perFamilyMax)
        if !folded { exposed[key.family, default: 0] += 1 }
        let entry = Entry(key: key, holders: 1, isFolded: folded)
        let number: Int
        if let reused = free.popLast() {
            number = reused
            entries[number] = entry
        } else {
            number = entries.count
            entries.append(entry)
        }
        numbers[key] = number
        added.append(number)
        return (number, folded)
    }

    /// One slot fewer holds the series.
    mutating func release(_ number: Int) {
        entries[number].holders -= 1
        guard entries[number].holders == 0 else { return }
        let key = entries[number].key
        if !entries[number].isFolded { exposed[key.family, default: 1] -= 1 }
        numbers[key] = nil
        freed.append(number)
    }

    /// All living numbers in the order of their keys. O(living) where nothing came or went.
    mutating func sortedNumbers() -> [Int] {
        guard !(added.isEmpty && freed.isEmpty) else { return sorted }
        let entries = entries
        func isAlive(_ number: Int) -> Bool { entries[number].holders > 0 }
        func areInOrder(_ left: Int, _ right: Int) -> Bool {
            SeriesKey.areInOrder(entries[left].key, entries[right].key)
        }
        let newcomers = added.filter(isAlive).sorted(by: areInOrder)
        var merged: [Int] = []
        merged.reserveCapacity(numbers.count)
        var next = 0
        for number in sorted where isAlive(number) {
            while next < newcomers.count, areInOrder(newcomers[next], number) {
                merged.append(newcomers[next])
                next += 1
            }
            merged.append(number)
        }
        merged.append(contentsOf: newcomers[next...])
        free.append(contentsOf: freed)
        added.removeAll()
        freed.removeAll()
        sorted = merged
        return merged
    }
}
