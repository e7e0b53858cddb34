import ClusterMessages
import TraceModel

/// Which windows are announced, complete, being merged and merged, by resource. Pure: no clock, no I/O.
///
/// A resource's windows are merged in their order, one at a time. A window is complete when the ranges
/// announced for it join from the last merged window's barrier to its own in each of the 256 slots; the
/// first window begins at 0. Announcements may come twice, late, and from several owners of a slot.
struct WindowLedger {
    enum Answer: Equatable {
        case accepted
        /// It stands already; its final files, where it is the last one.
        case merged(files: [String])
        /// The announcement contradicts others, or there are too many.
        case refused(String)
    }

    private struct Window {
        var barrierLSN: LSN
        var stem: String
        var announcements: [WorkerName: SegmentsClosed] = [:]
        var isMerging = false
    }

    private struct Lane {
        var mark: MergedMark?
        /// Where the first window begins; nil where the mark has been lost.
        var start: LSN?
        var windows: [UInt64: Window] = [:]
    }

    private var lanes: [Resource: Lane] = [:]

    /// `isLost`: there were marks, and they can't be read any more.
    init(marks: [Resource: MergedMark] = [:], isLost: Bool = false) {
        for resource in Resource.allCases {
            let mark = marks[resource]
            let start = mark == nil && !isLost ? 0 : mark?.barrierLSN
            lanes[resource] = Lane(mark: mark, start: start)
        }
    }

    var marks: [Resource: MergedMark] { lanes.compactMapValues(\.mark) }

    /// Windows announced and not merged, those being merged too.
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
        // What is being merged is complete; the same again changes nothing.
        if !window.isMerging { window.announcements[segments.worker] = segments }
        lane.windows[segments.window] = window
        return .accepted
    }

    /// The next window to merge, which counts as being merged from now on; nil where none is complete.
    mutating func nextJob(except blocked: Set<Resource> = []) -> MergeJob? {
        for resource in Resource.allCases where !blocked.contains(resource) {
            guard let lane = lanes[resource], let number = lane.windows.keys.min(),
                let window = lane.windows[number],
                !window.isMerging
            else { continue }
            if coverage(of: resource, window) == .complete {
                return begin(number, of: resource, Array(window.announcements.values))
            }
            if let (last, announcements) = Self.joined(lane, from: number) {
                return begin(last, of: resource, announcements)
            }
        }
        return nil
    }

    /// The windows up to `last` are being merged as that one.
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

    /// A later window with all before it, where they are complete together: a barrier that was lost with a part of the log
    /// ended its window for those workers alone that had passed it, and others go on across it.
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

    /// The window's final files stand.
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

    /// The merge failed; the window is as before it.
    mutating func giveBack(_ job: MergeJob) {
        for window in lanes[job.resource]?.windows.keys.filter({ $0 <= job.window }) ?? [] {
            lanes[job.resource]?.windows[window]?.isMerging = false
        }
    }

    /// What keeps a resource's next window from being merged; nil where nothing waits or it is complete.
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
