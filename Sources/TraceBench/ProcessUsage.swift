import Glibc
import OperatorTools

/// What the kernel says of one process.
package struct ProcessUsage: Sendable {
    package let cpuSeconds: Double
    /// Bytes given to `write` and its like. (What the kernel counts as going to the disk says too much:
    /// a large folio counts whole for each write into it.)
    package let writtenBytes: Int
    package let residentBytes: Int
    package let peakResidentBytes: Int

    /// Nil where the process is gone or not ours to look at.
    package init?(pid: Int) {
        let proc = ProcDirectory()
        guard let process = UInt32(exactly: pid),
            let stat = proc.contents(of: process, "stat").flatMap(ProcessStat.init),
            let memory = proc.contents(of: process, "status").flatMap(ProcessMemory.init),
            let written = proc.contents(of: process, "io").flatMap(Self.writtenBytes)
        else { return nil }
        cpuSeconds = Double(stat.cpuTicks) / Double(sysconf(Int32(_SC_CLK_TCK)))
        writtenBytes = written
        residentBytes = Int(memory.resident)
        peakResidentBytes = Int(memory.peak)
    }

    /// The line `wchar: N` of `/proc/PID/io`.
    private static func writtenBytes(_ io: [UInt8]) -> Int? {
        for line in io.split(separator: UInt8(ascii: "\n")) where line.starts(with: "wchar: ".utf8)
        {
            return Int(String(decoding: line.dropFirst(7), as: UTF8.self))
        }
        return nil
    }
}
