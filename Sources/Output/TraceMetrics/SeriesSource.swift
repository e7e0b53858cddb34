/// What the ids mean by which one worker's incarnation tells its series.
struct SeriesSource: Sendable {
    /// Nothing is known by the id.
    static let unknown = UInt32.max
    /// From here on: the series has no row, as it is a hidden gauge or there was no room for it; the lowest byte is its
    /// family's place in the catalog.
    static let refused: UInt32 = 0xFFFF_FF00

    let incarnation: UInt64
    /// Rows by id.
    var rows: [UInt32] = []

    init(incarnation: UInt64) { self.incarnation = incarnation }

    @inline(__always)
    subscript(_ id: UInt32) -> UInt32 {
        Int(id) < rows.count ? rows[Int(id)] : Self.unknown
    }

    /// Grows to the id: it is bounded by `Limits.seriesIDsMax`.
    mutating func set(_ id: UInt32, _ row: UInt32) {
        if Int(id) >= rows.count {
            rows.append(
                contentsOf: repeatElement(Self.unknown, count: Int(id) + 1 - rows.count)
            )
        }
        rows[Int(id)] = row
    }
}
