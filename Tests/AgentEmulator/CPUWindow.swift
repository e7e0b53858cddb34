/// The window of 10 s in which an agent measures how much of a CPU a process uses.
struct CPUWindow {
    private static let length: Int64 = 10_000_000

    private var start: Int64
    private var end: Int64
    private(set) var onTime: Int64 = 0

    init(start: Int64) {
        self.start = start
        end = start
    }

    /// Takes in what the process did until `time`, in microseconds; a full window begins anew before it.
    mutating func note(_ slice: CPUSlice, at time: Int64) {
        if end - start >= Self.length { self = CPUWindow(start: end) }
        end = time
        onTime += slice.onTime
    }

    var offTime: Int64 { end - start - onTime }

    /// Percent of the window with two decimals.
    var utilization: Double {
        guard end > start else { return 0 }
        return (Double(onTime) / Double(end - start) * 10_000).rounded() / 100
    }
}

/// How long a process was on which CPU since the agent started.
struct CPUShares {
    private var total: Int64 = 0
    private var byCPU: [UInt32: Int64] = [:]

    mutating func note(_ slice: CPUSlice) {
        total += slice.onTime
        byCPU[slice.cpu, default: 0] += slice.onTime
    }

    /// The CPU on which the process was longest, and its part of the time on all, 0–1.
    var hotspot: (cpu: UInt32, fraction: Double) {
        let longest = byCPU.min { ($1.value, $0.key) < ($0.value, $1.key) }
        guard let longest, total > 0 else { return (0, 0) }
        return (longest.key, Double(longest.value) / Double(total))
    }
}
