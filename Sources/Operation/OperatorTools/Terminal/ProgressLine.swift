import SystemIO

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
        let bar =
            String(repeating: "█", count: filled)
            + String(repeating: "░", count: Self.barWidth - filled)
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
