import SystemIO

/// Where the rows of a run buffer lie: those that stayed at its last flush, and those that came since. Valid until
/// the next row.
struct RowArenas {
    let text: UnsafeRawBufferPointer
    let kept: UnsafeRawBufferPointer

    /// The bytes of rows that lie one behind the other, by the offsets of their keys.
    @inline(__always) subscript(stretch: Range<Int>) -> UnsafeRawBufferPointer {
        let base = Int(RowKey.keptBase)
        return if stretch.lowerBound < base { UnsafeRawBufferPointer(rebasing: text[stretch]) } else {
            UnsafeRawBufferPointer(rebasing: kept[stretch.lowerBound - base..<stretch.upperBound - base])
        }
    }

    /// Asks for the memory of a row.
    @inline(__always) func prefetch(_ place: Range<Int>) {
        let bytes = self[place]
        if let start = bytes.baseAddress { SystemIO.prefetch(start, byteCount: bytes.count) }
    }
}
