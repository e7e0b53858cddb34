/// The memory lines of `/proc/PID/status`, in bytes.
package struct ProcessMemory: Equatable, Sendable {
    package let resident: UInt64
    package let peak: UInt64

    /// Nil for a kernel thread, which has no such lines.
    package init?(_ bytes: [UInt8]) {
        guard let resident = FieldScanner.number(named: "VmRSS:", in: bytes) else { return nil }
        self.resident = resident << 10
        peak = (FieldScanner.number(named: "VmHWM:", in: bytes) ?? resident) << 10
    }
}
