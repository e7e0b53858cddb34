import TraceModel

@testable import RouterRole

/// A naive de-duplication window that follows the documentation literally. It is slow and forgets only what it
/// must.
struct NaiveDedupWindow {
    private struct Range {
        let client: [UInt8]
        let least: UInt64
        var digests: [UInt64: UInt64] = [:]
        var greatest: UInt64

        private static let span = UInt64(Limits.dedupSequencesMax)

        func remembers(_ sequence: UInt64) -> Bool {
            sequence <= greatest && greatest - sequence < Self.span && digests[sequence] != nil
        }

        /// Returns 0 if the range's window has the sequence, the distance if it is ahead, and nil if it does not
        /// belong here.
        func distance(to sequence: UInt64) -> UInt64? {
            if sequence > greatest {
                return sequence - greatest <= Self.span / 2 ? sequence - greatest : nil
            }
            return greatest - sequence < Self.span ? 0 : nil
        }

        /// Number of sequences that are remembered.
        var count: Int { digests.keys.count { remembers($0) } }

        func isBelow(_ sequence: UInt64) -> Bool {
            let lowest = min(least, digests.keys.min() ?? least)
            return sequence >= lowest && sequence <= greatest && greatest - sequence >= Self.span
        }
    }

    /// Least recently used range first.
    private var ranges: [Range] = []

    func check(client: [UInt8], sequence: UInt64, digest: UInt64) -> DedupWindow.Verdict {
        let known = ranges.filter { $0.client == client }
        if let range = known.first(where: { $0.remembers(sequence) }) {
            return range.digests[sequence] == digest ? .duplicate : .differs
        }
        return known.contains { $0.isBelow(sequence) } ? .belowWindow : .new
    }

    mutating func insert(client: [UInt8], sequence: UInt64, digest: UInt64) {
        let near = ranges.indices.filter {
            ranges[$0].client == client && ranges[$0].distance(to: sequence) != nil
        }
        // If several windows have it, the range that ends first is used.
        func rank(_ index: Int) -> (UInt64, UInt64) {
            (ranges[index].distance(to: sequence) ?? .max, ranges[index].greatest)
        }
        let best = near.min { rank($0) < rank($1) }
        var range: Range
        if let best {
            range = ranges.remove(at: best)
        } else {
            makeRoom(for: client)
            let isFirst = !ranges.contains { $0.client == client }
            let least = isFirst && sequence < Limits.dedupCountedMax ? 0 : sequence
            range = Range(client: client, least: least, greatest: sequence)
        }
        range.digests[sequence] = digest
        range.greatest = max(range.greatest, sequence)
        ranges.append(range)
    }

    private mutating func makeRoom(for client: [UInt8]) {
        let own = ranges.indices.filter { ranges[$0].client == client }
        if own.count == Limits.dedupRangesPerClientMax {
            let fewest = own.map { ranges[$0].count }.min()
            // Among equal ranges, the one used least recently is removed.
            if let gone = own.first(where: { ranges[$0].count == fewest }) {
                ranges.remove(at: gone)
            }
        } else if ranges.count == Limits.dedupRangesMax {
            ranges.removeFirst()
        }
    }
}
