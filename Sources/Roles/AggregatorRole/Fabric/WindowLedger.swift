import ClusterMessages
import TraceModel

/// Tracks, by resource, which windows are announced, complete, being merged and merged. Pure: no clock, no I/O.
///
/// A resource's windows are merged in order, one at a time. A window is complete when the ranges announced for it
/// join from the last merged window's barrier to its own in each of the 256 slots; the first window begins at 0.
/// Announcements may arrive twice, late, and from several owners of a slot.
struct WindowLedger: Sendable {
    /// Response to an announcement.
    enum Answer: Equatable {
        case accepted
        /// The window is already merged. `files` has its final files if it is the resource's last one.
        case merged(files: [String])
        /// The announcement contradicts others, or too many windows are pending.
        case refused(String)
    }

    /// A window that is announced and not yet merged.
    private struct Window: Sendable {
        var barrierLSN: LSN
        var stem: String
        var announcements: [WorkerName: SegmentsClosed] = [:]
        var isMerging = false
    }

    /// The windows of one resource.
    private struct Lane: Sendable {
        var mark: MergedMark?
        /// LSN at which the first window begins; nil if the mark is lost.
        var start: LSN?
        var windows: [UInt64: Window] = [:]
    }

    private var lanes: [Resource: Lane] = [:]
    private let faults: AggregatorFaults

    /// Creates the ledger. `isLost` says that marks existed and cannot be read any more.
    init(
        marks: [Resource: MergedMark] = [:],
        isLost: Bool = false,
        faults: AggregatorFaults = []
    ) {
        self.faults = faults
        for resource in Resource.allCases {
            let mark = marks[resource]
            let start = mark == nil && !isLost ? 0 : mark?.barrierLSN
            lanes[resource] = Lane(mark: mark, start: start)
        }
    }

    var marks: [Resource: MergedMark] { lanes.compactMapValues(\.mark) }

    /// Number of windows announced and not merged, including those being merged.
    func unmerged(of resource: Resource) -> Int { lanes[resource]?.windows.count ?? 0 }

    mutating func announce(_ segments: SegmentsClosed) -> Answer {
        let resource = segments.worker.resource
        var lane = lanes[resource] ?? Lane()
        defer { lanes[resource] = lane }
        if let mark = lane.mark, segments.window <= mark.window {
            return .merged(files: segments.window == mark.window ? mark.files : [])
        }
        guard lane.windows[segments.window] != nil || lane.windows.count < Limits.pendingWindowsMax
        else {
            return .refused("too many windows wait for their merge")
        }
        var window =
            lane.windows[segments.window]
            ?? Window(barrierLSN: segments.barrierLSN, stem: segments.stem)
        guard window.barrierLSN == segments.barrierLSN, window.stem == segments.stem else {
            return .refused(
                "\(segments.worker) says that window \(segments.window) ends at"
                    + " \(segments.barrierLSN) as \(segments.stem), others"
                    + " \(window.barrierLSN) as \(window.stem)"
            )
        }
        // A window being merged is complete; a repeated announcement changes nothing.
        if !window.isMerging { window.announcements[segments.worker] = segments }
        lane.windows[segments.window] = window
        return .accepted
    }

    /// Returns the next complete window and marks it as being merged; nil if there is none.
    mutating func nextJob(except blocked: Set<Resource> = []) -> MergeJob? {
        for resource in Resource.allCases where !blocked.contains(resource) {
            guard let lane = lanes[resource], let number = lane.windows.keys.min(),
                let window = lane.windows[number],
                !window.isMerging
            else { continue }
            if faults.contains(.partialWindows) || coverage(of: resource, window) == .complete {
                return begin(number, of: resource, Array(window.announcements.values))
            }
            if let (last, announcements) = Self.joined(lane, from: number) {
                return begin(last, of: resource, announcements)
            }
        }
        return nil
    }

    /// Marks all windows up to `last` as being merged and returns them as one job under `last`.
    private mutating func begin(
        _ last: UInt64,
        of resource: Resource,
        _ announcements: [SegmentsClosed]
    ) -> MergeJob? {
        guard let lane = lanes[resource], let window = lane.windows[last] else { return nil }
        for number in lane.windows.keys where number <= last {
            lanes[resource]?.windows[number]?.isMerging = true
        }
        return MergeJob(
            resource: resource,
            window: last,
            barrierLSN: window.barrierLSN,
            stem: window.stem,
            announcements: announcements.sorted {
                ($0.worker.index, $0.window) < ($1.worker.index, $1.window)
            }
        )
    }

    /// Finds a later window that is complete together with all windows before it. If a barrier was lost with a part
    /// of the log, it ended its window only for the workers that had passed it; the other workers' ranges continue
    /// across it.
    private static func joined(
        _ lane: Lane,
        from number: UInt64
    ) -> (last: UInt64, [SegmentsClosed])? {
        guard let first = lane.windows[number] else { return nil }
        var all = Array(first.announcements.values)
        var isCrossed = false
        for (later, window) in lane.windows.sorted(by: { $0.key < $1.key }) where later > number {
            all += window.announcements.values
            isCrossed =
                isCrossed
                || window.announcements.values.contains { announcement in
                    first.announcements[announcement.worker] == nil
                        && announcement.slots.contains {
                            $0.fromLSN < first.barrierLSN && first.barrierLSN < $0.toLSN
                        }
                }
            let ranges = all.flatMap(\.slots)
            if isCrossed,
                SlotCoverage.of(ranges, from: lane.start, to: window.barrierLSN) == .complete
            {
                return (later, all)
            }
        }
        return nil
    }

    /// Records that the window's final files are published.
    mutating func finish(_ job: MergeJob, files: [String]) {
        lanes[job.resource]?.mark = MergedMark(
            window: job.window,
            barrierLSN: job.barrierLSN,
            files: files
        )
        lanes[job.resource]?.start = job.barrierLSN
        for window in lanes[job.resource]?.windows.keys.filter({ $0 <= job.window }) ?? [] {
            lanes[job.resource]?.windows[window] = nil
        }
    }

    /// Returns a window whose merge failed to the state before it.
    mutating func giveBack(_ job: MergeJob) {
        for window in lanes[job.resource]?.windows.keys.filter({ $0 <= job.window }) ?? [] {
            lanes[job.resource]?.windows[window]?.isMerging = false
        }
    }

    /// Returns what prevents the merge of a resource's next window; nil if none waits or it is complete.
    func obstacle(of resource: Resource) -> (window: UInt64, coverage: SlotCoverage)? {
        guard let number = lanes[resource]?.windows.keys.min(),
            let window = lanes[resource]?.windows[number]
        else {
            return nil
        }
        let coverage = coverage(of: resource, window)
        return coverage == .complete ? nil : (number, coverage)
    }

    private func coverage(of resource: Resource, _ window: Window) -> SlotCoverage {
        let ranges = window.announcements.values.flatMap(\.slots)
        return SlotCoverage.of(ranges, from: lanes[resource]?.start, to: window.barrierLSN)
    }
}
