import SystemIO
import TraceModel

/// Makes rates of the counters of bytes in a trace: the mean of each tenth of a second, as a counter at its end. A rate
/// of 0 follows when a process moves no more bytes. Memory is bounded by the number of processes.
struct RateTracks {
    /// The two running totals of a counter row, or their rates in bytes a second.
    struct Pair: Equatable {
        var first: UInt64
        var second: UInt64
    }

    /// A resource with counters of bytes.
    enum Kind: UInt8 {
        case network = 0
        case io = 1
    }

    /// A process's counter.
    private struct Key: Hashable {
        let pid: UInt32
        let kind: Kind
    }

    /// What is known of a counter.
    private struct Track {
        var total: Pair
        /// In the open interval.
        var growth = Pair(first: 0, second: 0)
        var isActive = false
    }

    static let intervalNanoseconds: EpochNanoseconds = 100_000_000
    private static let perSecond: UInt64 = 10

    private var tracks: [Key: Track] = [:]
    /// The tracks with a growth, or a rate that is not 0 yet, in the order in which they became active.
    private var active: [Key] = []
    /// The end of the open interval.
    private var due = EpochNanoseconds.max

    /// Takes the totals of a process at `ts`. All rates due until then must have been taken before. The first totals
    /// say nothing about a rate; after totals that fall, those that follow are compared with the lower ones.
    mutating func take(_ total: Pair, pid: UInt32, kind: Kind, ts: EpochNanoseconds) {
        let key = Key(pid: pid, kind: kind)
        guard var track = tracks[key] else {
            tracks[key] = Track(total: total)
            return
        }
        if total.first > track.total.first {
            track.growth.first &+= total.first - track.total.first
        }
        if total.second > track.total.second {
            track.growth.second &+= total.second - track.total.second
        }
        track.total = total
        if !track.isActive, track.growth != Pair(first: 0, second: 0) {
            if active.isEmpty { due = Self.intervalEnd(after: ts) }
            track.isActive = true
            active.append(key)
        }
        tracks[key] = track
    }

    private static func intervalEnd(after ts: EpochNanoseconds) -> EpochNanoseconds {
        let start = ts - ((ts % intervalNanoseconds) + intervalNanoseconds) % intervalNanoseconds
        let (end, overflow) = start.addingReportingOverflow(intervalNanoseconds)
        return overflow ? .max : end
    }

    /// Whether rates are due at `ts`.
    @inline(__always) func isDue(at ts: EpochNanoseconds) -> Bool { due <= ts }

    /// Calls `body` with each rate that is due at `ts`, in order of time.
    mutating func takeDue(
        at ts: EpochNanoseconds,
        _ body: (_ rate: Pair, _ pid: UInt32, _ kind: Kind, _ ts: EpochNanoseconds) throws -> Void
    ) rethrows {
        while due <= ts, !active.isEmpty {
            try endInterval(at: due, body)
            due = active.isEmpty ? .max : due + Self.intervalNanoseconds
        }
    }

    /// Calls `body` with the rates of the open interval, which ends at `ts`.
    mutating func takeLast(
        at ts: EpochNanoseconds,
        _ body: (_ rate: Pair, _ pid: UInt32, _ kind: Kind, _ ts: EpochNanoseconds) throws -> Void
    ) rethrows {
        try takeDue(at: ts, body)
        if !active.isEmpty, ts > due - Self.intervalNanoseconds { try endInterval(at: ts, body) }
        active = []
        due = .max
    }

    private mutating func endInterval(
        at end: EpochNanoseconds,
        _ body: (_ rate: Pair, _ pid: UInt32, _ kind: Kind, _ ts: EpochNanoseconds) throws -> Void
    ) rethrows {
        var kept: [Key] = []
        for key in active {
            guard var track = tracks[key] else { continue }
            let growth = track.growth
            try body(
                Pair(first: Self.rate(growth.first), second: Self.rate(growth.second)),
                key.pid,
                key.kind,
                end
            )
            track.growth = Pair(first: 0, second: 0)
            track.isActive = growth != track.growth
            tracks[key] = track
            if track.isActive { kept.append(key) }
        }
        active = kept
    }

    private static func rate(_ growth: UInt64) -> UInt64 {
        let (rate, overflow) = growth.multipliedReportingOverflow(by: perSecond)
        return overflow ? .max : rate
    }
}
