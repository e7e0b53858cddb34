#if DEBUG
import Glibc
import SystemIO
import TraceModel

/// Injects faults that tests request by environment variables. Exists in debug builds only.
///
/// `TRACE_FAULT_CRASH_ON=TEXT` crashes at a record that contains the text, `TRACE_FAULT_HANG_ON=TEXT` hangs there,
/// `TRACE_FAULT_WATCHDOG_SECONDS=N` makes the watchdog end the process after N seconds.
struct FaultInjection {
    private let crashText = text("TRACE_FAULT_CRASH_ON")
    private let hangText = text("TRACE_FAULT_HANG_ON")

    static var watchdogSeconds: Int? {
        Readiness.environment("TRACE_FAULT_WATCHDOG_SECONDS").flatMap { Int($0) }
    }

    private static func text(_ variable: String) -> [UInt8] {
        Array((Readiness.environment(variable) ?? "").utf8)
    }

    /// Crashes or hangs if requested for these events. Call it before a record's events are applied.
    func strike(_ events: UnsafeRawBufferPointer) {
        if unsafe Self.contains(events, crashText) { fatalError("A fault was asked for") }
        if unsafe Self.contains(events, hangText) { while true { sleep(1) } }
    }

    private static func contains(_ bytes: UnsafeRawBufferPointer, _ text: [UInt8]) -> Bool {
        guard !text.isEmpty, bytes.count >= text.count else { return false }
        return (0...bytes.count - text.count).contains { start in
            unsafe bytes[start] == text[0] && bytes[start...].starts(with: text)
        }
    }
}
#endif
