import Glibc

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
        isTerminal && getenv("NO_COLOR") == nil
            ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
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
