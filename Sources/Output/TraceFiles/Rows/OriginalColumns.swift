import SystemIO
import TraceModel

/// Reduces rows of a resource's table to the original server's columns, which come first: see `CSVColumns.original`.
struct OriginalColumns {
    private let count: Int

    /// nil where the original server has no table of the resource.
    init?(of resource: Resource) {
        guard let count = CSVColumns.originalCount(of: resource) else { return nil }
        self.count = count
    }

    /// Appends the columns of a row, with or without its line's end, and CRLF. A row that has no others stays as it is.
    /// What was no number when the agent sent it is an empty field, and becomes 0.0, as none may be empty. Returns false,
    /// and has appended nothing, where the row has fewer columns. None of these columns is ever quoted.
    func append(_ row: UnsafeRawBufferPointer, to text: inout RawBuffer) -> Bool {
        var found = 0
        var start = 0
        var hasEmpty = false
        for index in 0...row.count {
            let isEnd = index == row.count || row[index] == 0x0D || row[index] == 0x0A
            guard isEnd || row[index] == UInt8(ascii: ",") else { continue }
            hasEmpty = hasEmpty || index == start
            found += 1
            if found == count {
                let columns = UnsafeRawBufferPointer(rebasing: row[..<index])
                if hasEmpty { appendFilled(columns, to: &text) } else { text.append(columns) }
                text.append("\r\n")
                return true
            }
            if isEnd { return false }
            start = index + 1
        }
        return false
    }

    private func appendFilled(_ columns: UnsafeRawBufferPointer, to text: inout RawBuffer) {
        let fields = columns.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        for (position, field) in fields.enumerated() {
            if position > 0 { text.append(byte: UInt8(ascii: ",")) }
            if field.isEmpty { text.append("0.0") } else { text.append(UnsafeRawBufferPointer(rebasing: field)) }
        }
    }
}
