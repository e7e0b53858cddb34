/// A series' labels as numbers of texts, in the order of its family's.
struct SeriesLabels: Hashable, Sendable, BitwiseCopyable {
    static let countMax = 4
    /// Where the family has fewer.
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

    /// For the table of one process: never stored.
    func hash(in family: UInt8) -> UInt64 {
        let low = UInt64(numbers[0]) << 32 | UInt64(numbers[1])
        let high = UInt64(numbers[2]) << 32 | UInt64(numbers[3])
        var hash = (low ^ 0x9E37_79B9_7F4A_7C15) &* 0xA076_1D64_78BD_642F
        hash ^= hash >> 29
        hash = (hash ^ high ^ UInt64(family) << 40) &* 0xE703_7ED1_A0B4_28DB
        return hash ^ hash >> 32
    }
}
