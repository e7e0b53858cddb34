/// The part of a file that a request asks for (RFC 9110, section 14).
enum ByteRange: Equatable {
    /// The whole file: there is no range, or one that may be ignored.
    case whole
    /// These bytes.
    case part(Range<Int>)
    /// None of the bytes that the range names exist.
    case unsatisfiable

    /// Parses the header `Range` for a file of `size` bytes. Only a single range of bytes is served; RFC 9110 lets a
    /// server ignore all others.
    init(_ header: String?, size: Int) {
        guard let header, header.lowercased().hasPrefix("bytes=") else {
            self = .whole
            return
        }
        let text = header.dropFirst("bytes=".count).filter { $0 != " " && $0 != "\t" }
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2, let first = Self.number(ends[0]), let last = Self.number(ends[1])
        else {
            self = .whole
            return
        }
        switch (first, last) {
        case (nil, nil): self = .whole
        case (nil, let count?):
            // The last bytes of the file.
            self = count > 0 && size > 0 ? .part(max(0, size - count)..<size) : .unsatisfiable
        case (let start?, let end):
            if let end, end < start {
                self = .whole
            } else if start >= size {
                self = .unsatisfiable
            } else {
                self = .part(
                    start..<min(
                        size,
                        (end ?? size - 1).addingReportingOverflow(1).overflow
                            ? size : (end ?? size - 1) + 1
                    )
                )
            }
        }
    }

    /// Returns a number, or nil within an optional for an empty text; nil for any other text.
    private static func number(_ text: Substring) -> Int?? {
        if text.isEmpty { return .some(nil) }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        // More digits than a size has: beyond every file's end.
        return .some(Int(text) ?? Int.max)
    }
}
