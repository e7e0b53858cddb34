import Glibc
import OperatorTools

/// What the kernel says of one process.
package struct ProcessUsage: Sendable {
    package let cpuSeconds: Double
    /// Bytes given to `write` and its like. (What the kernel counts as going to the disk says too much:
    /// a large folio counts whole for each write into it.)
    package let writtenBytes: Int
    package let residentBytes: Int
    /// The most it had, of what it shares with others (libraries, as a rule) only its part, as of now: so that the
    /// sum over processes is what they take together.
    package let peakBytes: Int

    /// Nil where the process is gone or not ours to look at.
    package init?(pid: Int) {
        let proc = ProcDirectory()
        guard let process = UInt32(exactly: pid),
            let stat = proc.contents(of: process, "stat").flatMap(ProcessStat.init),
            let memory = proc.contents(of: process, "status").flatMap(ProcessMemory.init),
            let written = proc.contents(of: process, "io")
                .flatMap({ Self.number("wchar: ", in: $0) }),
            let part = proc.contents(of: process, "smaps_rollup")
                .flatMap({ Self.number("Pss:", in: $0) })
        else { return nil }
        cpuSeconds = Double(stat.cpuTicks) / Double(sysconf(Int32(_SC_CLK_TCK)))
        writtenBytes = written
        residentBytes = Int(memory.resident)
        peakBytes = Int(memory.peak) - residentBytes + part * 1_024
    }

    /// The number in the line that begins with `name`.
    private static func number(_ name: String, in text: [UInt8]) -> Int? {
        for line in text.split(separator: UInt8(ascii: "\n")) where line.starts(with: name.utf8) {
            let digits = line.dropFirst(name.utf8.count).drop { $0 == UInt8(ascii: " ") }
                .prefix { $0 != UInt8(ascii: " ") }
            return Int(String(decoding: digits, as: UTF8.self))
        }
        return nil
    }
}
