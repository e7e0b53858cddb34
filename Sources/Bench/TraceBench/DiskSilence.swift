/// How long a device has finished nothing although requests lay with it. Where that is long nothing that is durable can
/// be quick: what stands behind it (a host that others use too, a cloud's limits) makes all wait.
package struct DiskSilence: Sendable {
    /// ns.
    package private(set) var longest: Int64 = 0

    private var finished: UInt64?
    private var wasIdle = true
    private var since: Int64 = 0

    package init() {}

    /// `counters`: the text of `/sys/dev/block/…/stat` (the kernel's `Documentation/block/stat.rst`) as of `now`, ns.
    package mutating func look(at counters: some Sequence<UInt8>, now: Int64) {
        let fields = counters.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: true)
            .compactMap { UInt64(String(decoding: $0, as: UTF8.self).filter(\.isNumber)) }
        guard fields.count > 8 else { return }
        // Reads and writes; discards (11) and flushes (15) only newer kernels count.
        let done = [0, 4, 11, 15].reduce(UInt64(0)) { $1 < fields.count ? $0 &+ fields[$1] : $0 }
        let isIdle = fields[8] == 0
        if finished != done || wasIdle || isIdle { since = now }
        longest = max(longest, now - since)
        finished = done
        wasIdle = isIdle
    }
}
