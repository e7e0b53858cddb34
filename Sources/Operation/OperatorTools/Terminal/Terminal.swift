import Foundation
import Glibc
import SystemIO

/// A standard stream: whether it is a terminal, and how to write to it.
package struct Terminal: Sendable {
    package let isTerminal: Bool
    private let descriptor: Int32

    package static let output = Terminal(descriptor: STDOUT_FILENO)
    package static let error = Terminal(descriptor: STDERR_FILENO)

    private init(descriptor: Int32) {
        self.descriptor = descriptor
        isTerminal = isatty(descriptor) == 1
    }

    /// A text attribute, by its ANSI code.
    package enum Colour: String, Sendable {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case bold = "1"
    }

    /// Returns the text in a colour, or plain where the stream is no terminal or NO_COLOR is set.
    package func paint(_ text: String, _ colour: Colour) -> String {
        unsafe isTerminal && getenv("NO_COLOR") == nil
            ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// Writes a text at once, without a line end. Blocks. A closed reader is no error.
    package func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Writes a text with a line end. Blocks.
    package func line(_ text: String) { write(text + "\n") }
}

/// Formats summaries and numbers.
package enum Report {
    /// Encodes a value as one JSON object with sorted `snake_case` keys, on one line.
    package static func json(_ summary: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(summary), as: UTF8.self)
    }

    /// Formats a ratio with two decimals; a dash stands for an unknown one.
    static func ratio(_ number: Double?) -> String {
        number.map { String(format: "%.2f", $0) } ?? "-"
    }

    /// Formats `1234567` as `1,234,567`.
    package static func grouped(_ number: Int) -> String {
        let digits = String(number.magnitude)
        var text = number < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }
}

/// A line on standard error that is redrawn in place. It shows nothing where standard error is no terminal.
package final class ProgressLine {
    private static let redrawNanoseconds: Int64 = 100_000_000
    private static let barWidth = 30

    private let terminal = Terminal.error
    private var drawnAt: Int64 = 0
    private var isDrawn = false

    package init() {}

    /// Shows a bar with a percentage. Cheap to call often.
    package func update(_ title: String, done: Int, total: Int) {
        let fraction = total > 0 ? min(1, Double(done) / Double(total)) : 1
        let filled = Int(fraction * Double(Self.barWidth))
        let bar =
            String(repeating: "█", count: filled)
            + String(repeating: "░", count: Self.barWidth - filled)
        draw("\(title) \(bar) \(Int(fraction * 100)) %", atOnce: done >= total)
    }

    /// Shows a text instead.
    package func update(_ text: String) { draw(text, atOnce: true) }

    /// Removes the line, so that the next output begins on an empty one.
    package func clear() {
        guard isDrawn else { return }
        terminal.write("\r\u{1B}[K")
        isDrawn = false
    }

    private func draw(_ text: String, atOnce: Bool) {
        guard terminal.isTerminal else { return }
        let now = WallClock.monotonic()
        guard atOnce || now >= drawnAt &+ Self.redrawNanoseconds else { return }
        drawnAt = now
        isDrawn = true
        terminal.write("\r\u{1B}[K\(text)")
    }
}

/// Decides when a command without a progress line reports what it waits for: after a second, 5 s later, and then at
/// doubling intervals of up to a minute. A value without a clock; times are seconds.
package struct WaitNotice {
    private static let firstInterval = 5.0
    private static let longestInterval = 60.0

    private var nextAt = 1.0
    private var interval = firstInterval
    /// Whether anything was reported of this wait.
    package private(set) var hasReported = false

    package init() {}

    /// Returns the line to write now, or nil where none is due. `waited` is the time since the wait began.
    package mutating func line(_ reason: String, waited: Double) -> String? {
        guard waited >= nextAt else { return nil }
        nextAt = waited + interval
        if hasReported { interval = min(interval * 2, Self.longestInterval) }
        hasReported = true
        return "Waiting for \(Int(waited)) s: \(reason)"
    }
}

/// Reports on standard error what a batch waits for. It has its own thread, because an attempt may block for a minute.
final class WaitReporter: @unchecked Sendable {
    /// The wait of the batch that is being sent.
    private struct Wait {
        let began: Int64
        var reason = "no answer yet"
        var notice = WaitNotice()
    }

    private let server: String
    private let lock = ConditionLock()
    /// Protected by the lock.
    private var wait: Wait?
    private var isStopping = false

    /// Starts the thread, which runs until `stop`.
    init(of server: String) {
        self.server = server
        _ = DedicatedThread("waiting") { [self] in run() }
    }

    /// Begins the wait of a batch that is about to be sent.
    func begin() { lock.withLock { wait = Wait(began: WallClock.monotonic()) } }

    /// Records why the batch was not taken; it will be sent again.
    func failed(_ reason: String) { lock.withLock { wait?.reason = reason } }

    /// Ends the wait of a batch that was acknowledged.
    func end() {
        let hasReported = lock.withLock {
            defer { wait = nil }
            return wait?.notice.hasReported ?? false
        }
        if hasReported { Terminal.error.line("\(server) takes batches again") }
    }

    func stop() {
        lock.withLock {
            isStopping = true
            lock.signal()
        }
    }

    private func run() {
        while true {
            let (isOver, line) = lock.withLock { () -> (Bool, String?) in
                if !isStopping { lock.wait(until: WallClock.monotonic() + 500_000_000) }
                guard !isStopping, var wait else { return (isStopping, nil) }
                let waited = Double(WallClock.monotonic() - wait.began) / 1e9
                let line = wait.notice.line("\(server): \(wait.reason)", waited: waited)
                self.wait = wait
                return (false, line)
            }
            if let line { Terminal.error.line(line) }
            if isOver { return }
        }
    }
}
