import IngestLog
import SystemIO
import TraceModel

/// Remembers which batches have been accepted, so that a batch that is sent again counts once.
///
/// A `client_id` identifies one run of one client, whose sequences count from 1. The sequences of a client are kept in
/// *ranges*: of each range, the last `Limits.dedupSequencesMax` sequences up to its greatest are remembered with a
/// digest of their bytes; of older ones it is only known that they may have been received.
///
/// A sequence that is ahead of all ranges by more than half of that starts a range of its own instead of moving one. So
/// if a stranger sends the largest sequence under another client's `client_id`, that opens a range which the client
/// never reaches, and a client that has dropped many batches continues behind the gap. A client's first range extends
/// down to the first sequence, unless it starts above what a client can have counted to; further ones begin where they
/// were opened. A client has up to `Limits.dedupRangesPerClientMax` ranges; beyond that, the one with the fewest
/// remembered batches is evicted, and among equal ones the least recently used.
///
/// Of all ranges the `Limits.dedupRangesMax` most recently used are kept. A pure state machine; O(1) for each batch.
/// Its state depends only on the batches and their order, so a replay of the log recreates it.
struct DedupWindow {
    /// The status of a batch.
    enum Verdict: Equatable {
        case new
        case duplicate
        /// The same sequence was received with other bytes.
        case differs
        /// The sequence is too old to decide.
        case belowWindow
    }

    /// A range of sequences of one client. Ranges are nodes in an array, linked by index in two lists: all ranges in
    /// order of their last use, and the ranges of one client.
    private struct Range {
        var client: [UInt8] = []
        /// No sequence below this one was received in this range.
        var least: UInt64 = 0
        var greatest: UInt64 = 0
        /// Number of remembered batches among the last `span` sequences.
        var count = 0
        /// Time of the last use, as a counter: greater than that of all ranges used before.
        var lastUse: UInt64 = 0
        /// Neighbours in the order of use; `none` at the ends.
        var older = DedupWindow.none
        var newer = DedupWindow.none
        /// Next range of the same client.
        var sibling = DedupWindow.none
    }

    private var ranges: [Range] = []
    /// `span` digests for each range, by sequence modulo `span`; 0 for a sequence that was not received.
    private var digests: [UInt64] = []
    private var unused: [Int] = []
    /// The first range of each client.
    private var clients: [[UInt8]: Int] = [:]
    private var clock: UInt64 = 0
    private var oldest = Self.none
    private var newest = Self.none
    /// Number of ranges evicted because there were too many.
    private(set) var evictions: UInt64 = 0

    private static let span = UInt64(Limits.dedupSequencesMax)
    /// Distance up to which a sequence ahead of a range extends it: its latest batches are still remembered then.
    private static let reach = span / 2
    fileprivate static let none = -1

    /// Returns the digest that distinguishes batches of one sequence: CRC-32C and length. Never 0.
    static func digest(of batch: UnsafeRawBufferPointer) -> UInt64 {
        unsafe UInt64(Checksum.crc32c(batch)) << 32 | 1 << 31 | UInt64(batch.count & 0x7FFF_FFFF)
    }

    // MARK: Batches

    /// Returns a batch's status without a change.
    func check(client: [UInt8], sequence: UInt64, digest: UInt64) -> Verdict {
        var isBelow = false
        var place = clients[client] ?? Self.none
        while place != Self.none {
            let seen = remembered(sequence, in: place)
            if seen != 0 { return seen == digest ? .duplicate : .differs }
            let range = ranges[place]
            isBelow =
                isBelow
                || (sequence >= range.least && sequence <= range.greatest
                    && range.greatest - sequence >= Self.span)
            place = range.sibling
        }
        return isBelow ? .belowWindow : .new
    }

    /// Returns a batch's status, and remembers a new one.
    mutating func admit(_ key: CommitGroup.DedupKey) -> Verdict {
        let verdict = check(client: key.client, sequence: key.sequence, digest: key.digest)
        if verdict == .new {
            insert(client: key.client, sequence: key.sequence, digest: key.digest)
        }
        return verdict
    }

    /// Remembers a batch that `check` reported as new. `digest` is never 0.
    mutating func insert(client: [UInt8], sequence: UInt64, digest: UInt64) {
        precondition(digest != 0)
        let place = range(of: client, near: sequence) ?? begin(client: client, at: sequence)
        extend(place, to: sequence)
        let index = digestIndex(place, sequence)
        if digests[index] == 0 { ranges[place].count += 1 }
        digests[index] = digest
        ranges[place].least = min(ranges[place].least, sequence)
        unlink(place)
        linkNewest(place)
    }

    /// Forgets a batch that could not be made durable.
    mutating func remove(client: [UInt8], sequence: UInt64) {
        var place = clients[client] ?? Self.none
        while place != Self.none {
            if remembered(sequence, in: place) != 0 {
                digests[digestIndex(place, sequence)] = 0
                ranges[place].count -= 1
                if ranges[place].count == 0 { forget(place) }
                return
            }
            place = ranges[place].sibling
        }
    }

    // MARK: Ranges

    /// Returns the digest of a sequence if the range remembers it, otherwise 0.
    private func remembered(_ sequence: UInt64, in place: Int) -> UInt64 {
        let greatest = ranges[place].greatest
        guard sequence <= greatest, greatest - sequence < Self.span else { return 0 }
        return digests[digestIndex(place, sequence)]
    }

    private func digestIndex(_ place: Int, _ sequence: UInt64) -> Int {
        place * Int(Self.span) + Int(sequence % Self.span)
    }

    /// Returns the client's range whose window contains the sequence (of several, the one that ends first), otherwise
    /// the nearest one that the sequence extends; nil if there is none.
    private func range(of client: [UInt8], near sequence: UInt64) -> Int? {
        var holding: Int?
        var continued: Int?
        var place = clients[client] ?? Self.none
        while place != Self.none {
            let greatest = ranges[place].greatest
            if sequence <= greatest {
                if greatest - sequence < Self.span,
                    holding.map({ greatest < ranges[$0].greatest }) ?? true
                {
                    holding = place
                }
            } else if sequence - greatest <= Self.reach,
                continued.map({ greatest > ranges[$0].greatest }) ?? true
            {
                continued = place
            }
            place = ranges[place].sibling
        }
        return holding ?? continued
    }

    /// Extends the range to the sequence; the oldest sequences drop out of its window.
    private mutating func extend(_ place: Int, to sequence: UInt64) {
        let greatest = ranges[place].greatest
        guard sequence > greatest else { return }
        for passed in greatest + 1...sequence {
            let index = digestIndex(place, passed)
            if digests[index] != 0 { ranges[place].count -= 1 }
            digests[index] = 0
        }
        ranges[place].greatest = sequence
    }

    /// Adds a range without batches for the client, to contain this sequence.
    private mutating func begin(client: [UInt8], at sequence: UInt64) -> Int {
        makeRoom(for: client)
        let place = unused.popLast() ?? ranges.count
        if place == ranges.count {
            ranges.append(Range())
            digests.append(contentsOf: repeatElement(0, count: Int(Self.span)))
        }
        let sibling = clients.updateValue(place, forKey: client)
        // If the client was evicted or is unknown, all lower sequences may have been received, if it can have counted
        // that far.
        let isFirst = sibling == nil && sequence < Limits.dedupCountedMax
        ranges[place] = Range(client: client, least: isFirst ? 0 : sequence, greatest: sequence)
        ranges[place].sibling = sibling ?? Self.none
        linkNewest(place)
        return place
    }

    /// Evicts a range if the client, or all clients together, have the maximum number.
    private mutating func makeRoom(for client: [UInt8]) {
        func isLess(_ left: Range, _ right: Range) -> Bool {
            (left.count, left.lastUse) < (right.count, right.lastUse)
        }
        var count = 0
        var least = Self.none
        var place = clients[client] ?? Self.none
        while place != Self.none {
            count += 1
            if least == Self.none || isLess(ranges[place], ranges[least]) { least = place }
            place = ranges[place].sibling
        }
        if count >= Limits.dedupRangesPerClientMax {
            evict(least)
        } else if ranges.count - unused.count >= Limits.dedupRangesMax {
            evict(oldest)
        }
    }

    private mutating func evict(_ place: Int) {
        forget(place)
        evictions += 1
    }

    private mutating func forget(_ place: Int) {
        unlink(place)
        let client = ranges[place].client
        let next = ranges[place].sibling
        if clients[client] == place {
            clients[client] = next == Self.none ? nil : next
        } else {
            var before = clients[client] ?? Self.none
            while before != Self.none, ranges[before].sibling != place {
                before = ranges[before].sibling
            }
            if before != Self.none { ranges[before].sibling = next }
        }
        ranges[place] = Range()
        let first = place * Int(Self.span)
        for index in first..<first + Int(Self.span) { digests[index] = 0 }
        unused.append(place)
    }

    private mutating func linkNewest(_ place: Int) {
        clock += 1
        ranges[place].lastUse = clock
        ranges[place].older = newest
        ranges[place].newer = Self.none
        if newest == Self.none { oldest = place } else { ranges[newest].newer = place }
        newest = place
    }

    private mutating func unlink(_ place: Int) {
        let (older, newer) = (ranges[place].older, ranges[place].newer)
        if older == Self.none { oldest = newer } else { ranges[older].newer = newer }
        if newer == Self.none { newest = older } else { ranges[newer].older = older }
    }

    /// Indices of all ranges, least recently used first.
    private var places: [Int] {
        var places: [Int] = []
        var place = oldest
        while place != Self.none {
            places.append(place)
            place = ranges[place].newer
        }
        return places
    }

    // MARK: In the head of a log file

    /// Encodes the window for the head of a log file: count u32, then for each range: length of the client's name u8,
    /// name, greatest u64, number of digests u16, (sequence u64, digest u64) each. Least recently used first, so that
    /// decoding restores the order of use. Routers of versions without ranges read them as clients.
    func encode(into buffer: inout RawBuffer) {
        let places = places
        buffer.append(integer: UInt32(places.count))
        for place in places {
            let range = ranges[place]
            buffer.append(byte: UInt8(range.client.count))
            unsafe range.client.withUnsafeBytes { unsafe buffer.append($0) }
            buffer.append(integer: range.greatest)
            buffer.append(integer: UInt16(range.count))
            let low = range.greatest >= Self.span ? range.greatest - Self.span + 1 : 0
            for sequence in low...range.greatest {
                let digest = digests[digestIndex(place, sequence)]
                guard digest != 0 else { continue }
                buffer.append(integer: sequence)
                buffer.append(integer: digest)
            }
        }
    }

    /// Encodes what `encode` leaves out: the start of each range, u64, in the same order. It is at the end of the head,
    /// which routers of versions without ranges do not read.
    func encodeBegins(into buffer: inout RawBuffer) {
        for place in places { buffer.append(integer: ranges[place].least) }
    }

    /// Reads what `encode` wrote, with ranges that start at 0; `restoreBegins` must follow.
    /// - Throws: `TraceError(.corrupt)` if the bytes are malformed.
    mutating func restore(from reader: inout StateReader) throws(TraceError) {
        self = DedupWindow()
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let name = unsafe Array(try reader.bytes(Int(try reader.integer(UInt8.self))))
            let greatest = try reader.integer(UInt64.self)
            var place: Int?
            for _ in 0..<(try reader.integer(UInt16.self)) {
                let sequence = try reader.integer(UInt64.self)
                let digest = try reader.integer(UInt64.self)
                guard sequence <= greatest, greatest - sequence < Self.span, digest != 0 else {
                    throw TraceError(.corrupt, "A de-duplication window is out of shape")
                }
                let range = place ?? begin(client: name, at: greatest)
                place = range
                let index = digestIndex(range, sequence)
                if digests[index] == 0 { ranges[range].count += 1 }
                digests[index] = digest
            }
            // All lower sequences may have been received.
            if let place { ranges[place].least = 0 }
        }
    }

    /// Reads what `encodeBegins` wrote.
    /// - Throws: `TraceError(.corrupt)` if the bytes do not fit the ranges.
    mutating func restoreBegins(from reader: inout StateReader) throws(TraceError) {
        for place in places {
            let least = try reader.integer(UInt64.self)
            guard least <= ranges[place].greatest else {
                throw TraceError(.corrupt, "A de-duplication window is out of shape")
            }
            ranges[place].least = least
        }
    }
}
