import ClusterMessages
import TraceModel

@testable import AggregatorRole

/// Makes announcements for tests.
enum WindowFactory {
    static func announcement(
        _ worker: Int = 0,
        resource: Resource = .function,
        window: UInt64 = 1,
        barrier: LSN = 100,
        stem: String = "20240101_000000",
        _ ranges: SlotRange...
    ) -> SegmentsClosed {
        SegmentsClosed(
            worker: WorkerName(resource: resource, index: worker),
            window: window,
            barrierLSN: barrier,
            stem: stem,
            slots: ranges,
            files: [],
            summary: []
        )
    }

    static func range(_ slots: ClosedRange<UInt8>, _ from: LSN, _ to: LSN) -> SlotRange {
        SlotRange(slots: slots, fromLSN: from, toLSN: to)
    }
}
