/// Suggests a known word for a misspelled one.
package enum Suggestion {
    /// Longer words are not compared: the time is the product of the lengths.
    private static let wordBytesMax = 64

    /// Returns the candidate that `word` misspells or abbreviates; nil if none is similar. Ignores case, and treats `-`
    /// as `_`.
    package static func nearest(to word: String, among candidates: [String]) -> String? {
        let word = normalised(word)
        guard word.count <= wordBytesMax, word.count > 1 else { return nil }
        let most = max(1, word.count / 3)
        var nearest: (candidate: String, distance: Int)?
        for candidate in candidates {
            let other = normalised(candidate)
            let isBegin = word.count >= 3 && other.starts(with: word)
            let distance = isBegin ? 1 : distance(word, other, atMost: most)
            guard distance <= most, distance < nearest?.distance ?? .max else { continue }
            nearest = (candidate, distance)
        }
        return nearest?.candidate
    }

    /// Returns `; did you mean NAME?`, or an empty text if no candidate is similar.
    package static func hint(for word: String, among candidates: [String]) -> String {
        nearest(to: word, among: candidates).map { "; did you mean \($0)?" } ?? ""
    }

    private static func normalised(_ word: String) -> [UInt8] {
        word.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
            case UInt8(ascii: "-"): UInt8(ascii: "_")
            default: byte
            }
        }
    }

    /// Returns the optimal string alignment distance: the number of bytes to insert, delete, replace or swap with their
    /// neighbour. If it is above `most`, the result is any number above `most`.
    private static func distance(_ left: [UInt8], _ right: [UInt8], atMost most: Int) -> Int {
        guard abs(left.count - right.count) <= most else { return most + 1 }
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for (row, byte) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                var best = min(last[column + 1], current[column]) + 1
                best = min(best, last[column] + (byte == other ? 0 : 1))
                if row > 0, column > 0, byte == right[column - 1], left[row - 1] == other {
                    best = min(best, beforeLast[column - 1] + 1)
                }
                current.append(best)
            }
            (beforeLast, last) = (last, current)
        }
        return last[right.count]
    }
}
