/// `/proc/PID/stat` (proc_pid_stat(5)); times in clock ticks.
package struct ProcessStat: Equatable, Sendable {
    package let comm: String
    package let ppid: UInt32
    package let userTicks: UInt64
    package let systemTicks: UInt64
    /// Ticks since boot; with the process id it names a process for good.
    package let startTicks: UInt64
    /// The CPU it ran on last.
    package let processor: UInt32

    /// Nil where the text isn't of that form. The name in parentheses may itself hold blanks and
    /// parentheses, so it ends at the last one.
    package init?(_ bytes: [UInt8]) {
        guard let open = bytes.firstIndex(of: UInt8(ascii: "(")),
            let close = bytes.lastIndex(of: UInt8(ascii: ")")), open < close
        else { return nil }
        comm = String(decoding: bytes[(open + 1)..<close], as: UTF8.self)
        // Field 3 is the first behind the name.
        var fields = FieldScanner(bytes[(close + 1)...])
        guard fields.skip(1) != nil, let ppid = fields.number(), fields.skip(9) != nil,
            let user = fields.number(), let system = fields.number(), fields.skip(6) != nil,
            let start = fields.number(), fields.skip(16) != nil, let processor = fields.number()
        else { return nil }
        self.ppid = UInt32(truncatingIfNeeded: ppid)
        userTicks = user
        systemTicks = system
        startTicks = start
        self.processor = UInt32(truncatingIfNeeded: processor)
    }

    package var cpuTicks: UInt64 { userTicks &+ systemTicks }
}
