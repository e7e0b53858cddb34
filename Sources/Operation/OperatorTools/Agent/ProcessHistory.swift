/// What the agent remembers of one process between two samples.
struct ProcessHistory {
    let startTicks: UInt64
    /// Seconds since boot of the last sample.
    var sampledAt: Double
    var cpuTicks: UInt64
    var offCPUMicroseconds: UInt64
    /// How often the process was last seen on each CPU.
    var seenOnCPU: [UInt32]
    var resident: UInt64?
    var growths: UInt64 = 0
    var shrinkages: UInt64 = 0
    var io: ProcessIO?
    /// The names sent last, by thread id; the process's own at 0.
    var names: [UInt32: String] = [:]
    /// The number of the last sample it was in.
    var generation: UInt64

    /// The CPU it was seen on most, and the share of samples there in percent.
    var hotspot: (cpu: UInt32, percent: Double) {
        var best = 0
        var total: UInt64 = 0
        for (cpu, count) in seenOnCPU.enumerated() {
            total += UInt64(count)
            if count > seenOnCPU[best] { best = cpu }
        }
        guard total > 0 else { return (0, 0) }
        return (UInt32(best), Double(seenOnCPU[best]) * 100 / Double(total))
    }

    mutating func saw(cpu: UInt32) {
        let index = Int(cpu)
        // The kernel has at most 8,192 CPUs on x86.
        guard index < 8192 else { return }
        if index >= seenOnCPU.count {
            seenOnCPU.append(contentsOf: repeatElement(0, count: index + 1 - seenOnCPU.count))
        }
        seenOnCPU[index] &+= 1
    }
}
