package import SystemIO
package import TraceModel

/// The files of a log by base LSN, oldest first. A directory is small: one name a 64 MB.
package struct LogDirectory: Sendable {
    package let path: String

    package init(path: String) { self.path = path }

    /// The bases of all log files, ascending.
    package func bases() throws(SystemError) -> [LSN] {
        try FileSystem.list(path).compactMap { name in
            guard name.hasSuffix(".log"), name.utf8.count == 24 else { return nil }
            return LSN(name.dropLast(4))
        }
    }

    package func file(base: LSN) -> String {
        let digits = String(base)
        return "\(path)/\(String(repeating: "0", count: 20 - digits.utf8.count))\(digits).log"
    }

    /// A zeroed file that waits to become the next log file.
    var spare: String { "\(path)/spare" }
    /// The same while it is being zeroed.
    var unfinishedSpare: String { "\(path)/spare.tmp" }

    private static let aheadPrefix = "ahead."

    /// A file with a large record that is no part of the log yet (`AheadFile`).
    func ahead(_ number: Int) -> String { "\(path)/\(Self.aheadPrefix)\(number)" }

    func isAhead(_ name: String) -> Bool { name.hasPrefix(Self.aheadPrefix) }
}
