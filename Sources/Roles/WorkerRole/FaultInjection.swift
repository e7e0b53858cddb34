#if DEBUG
import Glibc
import SystemIO
import TraceModel

/// Faults for tests of the debug build, by the environment; no part of what is released.
///
/// `TRACE_FAULT_CRASH_ON=TEXT` crashes where a record holds the text, `TRACE_FAULT_HANG_ON=TEXT` hangs there,
/// `TRACE_FAULT_WATCHDOG_SECONDS=N` makes the watchdog bite after N seconds.
struct FaultInjection {
    private let crashText = text("TRACE_FAULT_CRASH_ON")
    private let hangText = text("TRACE_FAULT_HANG_ON")

    static var watchdogSeconds: Int? {
        Readiness.environment("TRACE_FAULT_WATCHDOG_SECONDS").flatMap { Int($0) }
    }

    private static func text(_ variable: String) -> [UInt8] {
        Array((Readiness.environment(variable) ?? "").utf8)
    }

    /// To be called before a record's events are applied.
    func strike(_ events: UnsafeRawBufferPointer) {
        if Self.contains(events, crashText) { fatalError("A fault was asked for") }
        if Self.contains(events, hangText) { while true { sleep(1) } }
    }

    private static func contains(_ bytes: UnsafeRawBufferPointer, _ text: [UInt8]) -> Bool {
        guard !text.isEmpty, bytes.count >= text.count else { return false }
        return (0...bytes.count - text.count).contains { start in
            bytes[start] == text[0] && bytes[start...].starts(with: text)
        }
    }
}
#endif
