import Glibc
import SystemIO
import TraceFiles
import TraceModel

/// Reads the numbers of the events in the final files, as `tracectl cat` would.
enum PublishedRows {
    enum Format { case csv, json }

    static func events(_ format: Format) throws -> [Int] {
        var text: [UInt8] = []
        let reader = TraceFileReader(TraceSelection(resource: .io)) { text += $0 }
        switch format {
        case .csv: try reader.writeCSV()
        case .json: try reader.writeJSON()
        }
        let lines = text.split(separator: UInt8(ascii: "\n"))
        switch format {
        case .csv: return lines.dropFirst().map { number(inColumn: 11, of: $0) }
        case .json:
            return lines.compactMap { line in
                contains(line, "\"ph\":\"i\"") ? number(behind: "\"bytes\":", in: line) : nil
            }
        }
    }

    private static func number(inColumn column: Int, of line: ArraySlice<UInt8>) -> Int {
        let columns = line.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        return columns.count > column ? number(columns[column]) : -1
    }

    private static func number(behind key: StaticString, in line: ArraySlice<UInt8>) -> Int {
        guard let start = position(of: key, in: line) else { return -1 }
        return number(line[(start + key.utf8CodeUnitCount)...].prefix { $0 >= 0x30 && $0 <= 0x39 })
    }

    /// Returns the event's number, which is its byte count minus 1.
    private static func number(_ digits: ArraySlice<UInt8>) -> Int {
        (Int(String(decoding: digits, as: UTF8.self)) ?? 0) - 1
    }

    private static func contains(_ line: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
        position(of: text, in: line) != nil
    }

    private static func position(of text: StaticString, in line: ArraySlice<UInt8>) -> Int? {
        let count = text.utf8CodeUnitCount
        guard line.count >= count else { return nil }
        return line.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            let offset = (0...bytes.count - count).first {
                memcmp(base + $0, text.utf8Start, count) == 0
            }
            return offset.map { line.startIndex + $0 }
        }
    }
}
