import Glibc
import OperatorTools

/// What the kernel says of one process.
package struct ProcessUsage: Sendable {
    package let cpuSeconds: Double
    /// Bytes that reached the storage layer.
    package let writtenBytes: Int
    package let residentBytes: Int
    package let peakResidentBytes: Int

    /// Nil where the process is gone or not ours to look at.
    package init?(pid: Int) {
        let proc = ProcDirectory()
        guard let process = UInt32(exactly: pid),
            let stat = proc.contents(of: process, "stat").flatMap(ProcessStat.init),
            let memory = proc.contents(of: process, "status").flatMap(ProcessMemory.init),
            let io = proc.contents(of: process, "io").flatMap(ProcessIO.init)
        else { return nil }
        cpuSeconds = Double(stat.cpuTicks) / Double(sysconf(Int32(_SC_CLK_TCK)))
        writtenBytes = Int(io.writeBytes)
        residentBytes = Int(memory.resident)
        peakResidentBytes = Int(memory.peak)
    }
}
