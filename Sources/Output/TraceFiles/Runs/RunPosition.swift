import TraceModel

/// The sort key of the last row written to a run: the next one must not be smaller.
struct RunPosition {
    var ts: EpochNanoseconds
    var pid: UInt32
    var host: UInt32

    static let beginning = RunPosition(ts: .min, pid: 0, host: 0)
}
