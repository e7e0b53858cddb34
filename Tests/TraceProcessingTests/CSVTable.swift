import Foundation

/// A table as RFC 4180 has it: its columns, and each row's fields without their quotes.
struct CSVTable: Equatable {
    var columns: [String]
    var rows: [[String]]

    /// nil where the bytes are no such table, or a row has more or fewer fields than there are columns.
    init?(_ data: Data) {
        let (quote, comma, cr, lf) = (UInt8(0x22), UInt8(0x2C), UInt8(0x0D), UInt8(0x0A))
        let bytes = Array(data)
        var rows: [[String]] = []
        var row: [String] = []
        var index = 0
        while index < bytes.count {
            var field: [UInt8] = []
            if bytes[index] == quote {
                index += 1
                while index < bytes.count {
                    if bytes[index] == quote {
                        guard index + 1 < bytes.count, bytes[index + 1] == quote else { break }
                        index += 1
                    }
                    field.append(bytes[index])
                    index += 1
                }
                index += 1
            } else {
                while index < bytes.count, bytes[index] != comma, bytes[index] != cr {
                    guard bytes[index] != quote, bytes[index] != lf else { return nil }
                    field.append(bytes[index])
                    index += 1
                }
            }
            row.append(String(decoding: field, as: UTF8.self))
            guard index < bytes.count else { return nil }
            if bytes[index] == comma {
                index += 1
                continue
            }
            guard bytes[index] == cr, index + 1 < bytes.count, bytes[index + 1] == lf else {
                return nil
            }
            index += 2
            rows.append(row)
            row = []
        }
        guard row.isEmpty, let columns = rows.first else { return nil }
        guard rows.allSatisfy({ $0.count == columns.count }) else { return nil }
        self.columns = columns
        self.rows = Array(rows.dropFirst())
    }
}
