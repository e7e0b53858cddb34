import SystemIO
import TraceModel

/// Reduces the rows of a resource's table to the columns of the original server, which come first: see
/// `CSVColumns.original`.
struct OriginalColumns {
    private let count: Int

    /// Nil if the original server has no table for the resource.
    init?(of resource: Resource) {
        guard let count = CSVColumns.originalCount(of: resource) else { return nil }
        self.count = count
    }

    /// Appends the original columns of a row, and CRLF. The row may lack its line end or the other columns. An empty
    /// field (the agent sent NaN) becomes 0.0, because the original columns are never empty. They are never quoted
    /// either. Returns false, and appends nothing, if the row has too few columns.
    func append(_ row: UnsafeRawBufferPointer, to text: inout RawBuffer) -> Bool {
        var found = 0
        var start = 0
        var hasEmpty = false
        for index in 0...row.count {
            let isEnd = unsafe index == row.count || row[index] == 0x0D || row[index] == 0x0A
            guard unsafe isEnd || row[index] == UInt8(ascii: ",") else { continue }
            hasEmpty = hasEmpty || index == start
            found += 1
            if found == count {
                let columns = unsafe UnsafeRawBufferPointer(rebasing: row[..<index])
                if hasEmpty {
                    unsafe appendFilled(columns, to: &text)
                } else {
                    unsafe text.append(columns)
                }
                text.append("\r\n")
                return true
            }
            if isEnd { return false }
            start = index + 1
        }
        return false
    }

    private func appendFilled(_ columns: UnsafeRawBufferPointer, to text: inout RawBuffer) {
        let fields = unsafe columns.split(
            separator: UInt8(ascii: ","),
            omittingEmptySubsequences: false
        )
        for position in unsafe fields.indices {
            let field = unsafe fields[position]
            if position > 0 { text.append(byte: UInt8(ascii: ",")) }
            if unsafe field.isEmpty {
                text.append("0.0")
            } else {
                unsafe text.append(UnsafeRawBufferPointer(rebasing: field))
            }
        }
    }
}
