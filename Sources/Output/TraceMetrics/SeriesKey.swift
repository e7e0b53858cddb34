import TraceModel

/// The identity of a series: the family and its label values, which are compared by their bytes.
package struct SeriesKey: Hashable, Sendable {
    package let family: MetricFamily
    package let labels: [String]

    package init(family: MetricFamily, labels: [String]) {
        self.family = family
        self.labels = labels
    }

    init(_ sample: MetricSample) { self.init(family: sample.family, labels: sample.labels) }

    /// Returns the series into which a family's overflow is folded.
    static func overflow(of family: MetricFamily) -> SeriesKey {
        let labels = family.descriptor.labels.map { _ in MetricLabel.other }
        return SeriesKey(family: family, labels: labels)
    }

    var isOverflow: Bool { !labels.isEmpty && labels.allSatisfy { $0 == MetricLabel.other } }

    /// Orders by family, then by labels.
    static func areInOrder(_ left: SeriesKey, _ right: SeriesKey) -> Bool {
        if left.family != right.family { return left.family.rawValue < right.family.rawValue }
        return left.labels.lexicographicallyPrecedes(right.labels, by: TextKey.areInOrder)
    }

    package static func == (left: SeriesKey, right: SeriesKey) -> Bool {
        left.family == right.family && left.labels.elementsEqual(right.labels, by: TextKey.areEqual)
    }

    /// Hashes the family and the bytes of the labels.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(family)
        for label in labels { hasher.combine(TextKey(label)) }
    }
}

/// The labels of a series as text numbers, in the order of the family's labels.
struct SeriesLabels: Hashable, Sendable, BitwiseCopyable {
    static let countMax = 4
    /// The text number at positions that the family does not have.
    static let none = UInt32.max

    private var numbers = InlineArray<4, UInt32>(repeating: SeriesLabels.none)

    init() {}

    subscript(_ index: Int) -> UInt32 {
        get { numbers[index] }
        set { numbers[index] = newValue }
    }

    static func == (left: SeriesLabels, right: SeriesLabels) -> Bool {
        left.numbers[0] == right.numbers[0] && left.numbers[1] == right.numbers[1]
            && left.numbers[2] == right.numbers[2] && left.numbers[3] == right.numbers[3]
    }

    func hash(into hasher: inout Hasher) {
        for index in 0..<Self.countMax { hasher.combine(numbers[index]) }
    }

    /// Hash for a table in memory; it is never stored.
    func hash(in family: UInt8) -> UInt32 {
        let low = UInt64(numbers[0]) << 32 | UInt64(numbers[1])
        let high = UInt64(numbers[2]) << 32 | UInt64(numbers[3])
        var hash = (low ^ 0x9E37_79B9_7F4A_7C15) &* 0xA076_1D64_78BD_642F
        hash ^= hash >> 29
        hash = (hash ^ high ^ UInt64(family) << 40) &* 0xE703_7ED1_A0B4_28DB
        return UInt32(truncatingIfNeeded: hash ^ hash >> 32)
    }
}

/// The distinct texts of labels, numbered and counted by use. A text without users is removed and its number is reused.
struct TextTable: Sendable {
    private(set) var texts: [String] = []
    private var users: [UInt32] = []
    private var numbers: [TextKey: UInt32] = [:]
    private var free: [UInt32] = []
    private var ranks: [UInt32] = []
    private var areRanksCurrent = true
    /// The texts of the last labels by position: those of the next series are mostly the same, and comparing is cheaper
    /// than hashing.
    private var recent = [Recent](repeating: Recent(), count: SeriesLabels.countMax)

    /// A text with its number; `SeriesLabels.none` for no text.
    private struct Recent {
        var text = ""
        var number = SeriesLabels.none
    }

    func number(of text: String) -> UInt32? { numbers[TextKey(text)] }

    /// Returns the numbers of a series' labels; nil if one of them is new.
    mutating func numbers(of labels: [String]) -> SeriesLabels? {
        var found = SeriesLabels()
        for position in labels.indices {
            let held = recent[position].number
            if held != SeriesLabels.none,
                TextKey.areEqual(recent[position].text, labels[position])
            {
                found[position] = held
                continue
            }
            guard let number = number(of: labels[position]) else { return nil }
            recent[position] = Recent(text: labels[position], number: number)
            found[position] = number
        }
        return found
    }

    /// Adds one user to each label's text. `known` are the numbers, if all of them have one.
    mutating func hold(_ labels: [String], known: SeriesLabels?) -> SeriesLabels {
        if let known {
            for position in labels.indices { users[Int(known[position])] += 1 }
            return known
        }
        var held = SeriesLabels()
        for (position, text) in labels.enumerated() { held[position] = hold(text) }
        return held
    }

    /// Returns the text's number and adds one user.
    mutating func hold(_ text: String) -> UInt32 {
        let key = TextKey(text)
        if let known = numbers[key] {
            users[Int(known)] += 1
            return known
        }
        areRanksCurrent = false
        let number: UInt32
        if let reused = free.popLast() {
            number = reused
            texts[Int(number)] = text
            users[Int(number)] = 1
        } else {
            number = UInt32(texts.count)
            texts.append(text)
            users.append(1)
        }
        numbers[key] = number
        return number
    }

    mutating func release(_ number: UInt32) {
        users[Int(number)] -= 1
        guard users[Int(number)] == 0 else { return }
        for position in recent.indices where recent[position].number == number {
            recent[position] = Recent()
        }
        numbers[TextKey(texts[Int(number)])] = nil
        texts[Int(number)] = ""
        free.append(number)
    }

    /// Returns, by number, each text's rank in the order of all texts. O(n log n) after a new text came.
    mutating func currentRanks() -> [UInt32] {
        if areRanksCurrent { return ranks }
        let texts = texts
        let order = texts.indices.sorted { TextKey(texts[$0]) < TextKey(texts[$1]) }
        ranks = [UInt32](repeating: 0, count: texts.count)
        for (rank, number) in order.enumerated() { ranks[number] = UInt32(rank) }
        areRanksCurrent = true
        return ranks
    }
}
