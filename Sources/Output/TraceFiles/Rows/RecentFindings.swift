import SystemIO
import TraceModel

/// Findings of one window, numbered by their order among the worker's findings in it.
package struct FindingLines: Sendable, Equatable {
    package let window: UInt64
    /// The first one's number.
    package let first: UInt64
    package fileprivate(set) var count: UInt64 = 0
    /// A line of JSON for each, as the anomalies file has it.
    package fileprivate(set) var lines: [UInt8] = []
}

/// The findings that were raised since the last report, for those who do not want to wait for the window's end. Bounded:
/// findings beyond the limit are left out, as the window's file has them.
struct RecentFindings {
    private var parts: [FindingLines] = []
    private var bytes = 0

    var isEmpty: Bool { parts.isEmpty }

    /// Adds the finding with this number in the window.
    mutating func add(_ line: UnsafeRawBufferPointer, window: UInt64, number: UInt64) {
        guard bytes + line.count <= Limits.recentFindingsBytesMax else { return }
        bytes += line.count
        if let last = parts.last, last.window == window, last.first + last.count == number {
        } else {
            parts.append(FindingLines(window: window, first: number))
        }
        parts[parts.count - 1].count += 1
        unsafe parts[parts.count - 1].lines.append(contentsOf: line)
    }

    /// Returns the findings in their order, and forgets them.
    mutating func take() -> [FindingLines] {
        defer { self = RecentFindings() }
        return parts
    }
}
