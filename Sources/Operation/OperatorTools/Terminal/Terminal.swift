import Foundation
import Glibc
import SystemIO

/// What a stream is connected to, and how to write for it.
package struct Terminal: Sendable {
    package let isTerminal: Bool
    private let descriptor: Int32

    package static let output = Terminal(descriptor: STDOUT_FILENO)
    package static let error = Terminal(descriptor: STDERR_FILENO)

    private init(descriptor: Int32) {
        self.descriptor = descriptor
        isTerminal = isatty(descriptor) == 1
    }

    package enum Colour: String, Sendable {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case bold = "1"
    }

    /// The text in a colour, plain where nobody would see it.
    package func paint(_ text: String, _ colour: Colour) -> String {
        isTerminal && getenv("NO_COLOR") == nil ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// Writes at once, all of it, without a line end. Blocks. A reader that is gone is no error.
    package func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    package func line(_ text: String) { write(text + "\n") }
}

/// A summary, as one JSON object with sorted `snake_case` keys on one line.
package enum Report {
    package static func json(_ summary: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(summary), as: UTF8.self)
    }

    /// With two decimals; a dash where nothing is known.
    static func ratio(_ number: Double?) -> String { number.map { String(format: "%.2f", $0) } ?? "-" }

    /// `1234567` as `1,234,567`.
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

/// One line on standard error that is drawn over and over; nothing at all where that is no terminal.
package final class ProgressLine {
    private static let redrawNanoseconds: Int64 = 100_000_000
    private static let barWidth = 30

    private let terminal = Terminal.error
    private var drawnAt: Int64 = 0
    private var isDrawn = false

    package init() {}

    /// A bar with a percentage. Cheap to call often.
    package func update(_ title: String, done: Int, total: Int) {
        let fraction = total > 0 ? min(1, Double(done) / Double(total)) : 1
        let filled = Int(fraction * Double(Self.barWidth))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: Self.barWidth - filled)
        draw("\(title) \(bar) \(Int(fraction * 100)) %", atOnce: done >= total)
    }

    /// A text in the line's place.
    package func update(_ text: String) { draw(text, atOnce: true) }

    /// Removes the line, so that what is printed next begins a fresh one.
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

/// Says, where no terminal shows a progress line, what a command waits for: after a second, 5 s later, and then after twice
/// as long each time, once a minute at most. A value without a clock; times are seconds.
package struct WaitNotice {
    private static let firstInterval = 5.0
    private static let longestInterval = 60.0

    private var nextAt = 1.0
    private var interval = firstInterval
    /// Whether anything was said of this wait.
    package private(set) var hasSpoken = false

    package init() {}

    /// The line to write now, where one is due. `waited`: since the wait began.
    package mutating func line(_ reason: String, waited: Double) -> String? {
        guard waited >= nextAt else { return nil }
        nextAt = waited + interval
        if hasSpoken { interval = min(interval * 2, Self.longestInterval) }
        hasSpoken = true
        return "Waiting for \(Int(waited)) s: \(reason)"
    }
}

/// Says on standard error what a batch waits for, on a thread of its own: an attempt may block for a minute.
final class WaitTeller: @unchecked Sendable {
    private struct Wait {
        let began: Int64
        var reason = "no answer yet"
        var notice = WaitNotice()
    }

    private let server: String
    private let lock = ConditionLock()
    /// Under the lock.
    private var wait: Wait?
    private var isStopping = false

    /// Starts the thread, which goes on until `stop`.
    init(of server: String) {
        self.server = server
        _ = DedicatedThread("waiting") { [self] in run() }
    }

    /// A batch is about to be sent.
    func begin() { lock.withLock { wait = Wait(began: WallClock.monotonic()) } }

    /// It was not taken, and is sent again.
    func failed(_ reason: String) { lock.withLock { wait?.reason = reason } }

    /// It was acknowledged.
    func end() {
        let hasSpoken = lock.withLock {
            defer { wait = nil }
            return wait?.notice.hasSpoken ?? false
        }
        if hasSpoken { Terminal.error.line("\(server) takes batches again") }
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
