import TraceModel

/// What the windows that were read cover, in reports for programs.
package struct ProfileCoverage: Encodable, Sendable {
    /// A process whose agent sends only some of its calls.
    package struct Process: Encodable, Sendable {
        let host: String
        let pid: UInt32
        let process: String
        let calls: UInt64
    }

    let windows: Int
    /// Those of which only the events in the span count.
    let windowsInPart: Int
    let firstTsNs: EpochNanoseconds?
    let lastTsNs: EpochNanoseconds?
    /// Whether the windows have events outside of the span that was asked for.
    let exceedsSpan: Bool
    let selfMs: Double
    let sampled: [Process]
    let callsBeyond: UInt64
    /// What became of the open window; nil where nobody asked for it.
    let openWindow: String?

    package init(_ paths: CallPaths, _ selection: ProfileSelection, openWindow: String? = nil) {
        self.openWindow = openWindow
        windows = paths.windows
        windowsInPart = paths.windowsInPart
        firstTsNs = paths.covered?.lowerBound
        lastTsNs = paths.covered?.upperBound
        exceedsSpan = paths.exceeds(from: selection.from, to: selection.to)
        selfMs = Double(paths.totalNanoseconds) / 1e6
        sampled = paths.sampledByProcess.map { process, calls in
            Process(
                host: String(decoding: process.host, as: UTF8.self),
                pid: process.pid,
                process: String(decoding: process.process, as: UTF8.self),
                calls: calls
            )
        }
        callsBeyond = paths.callsBeyond
    }
}

/// The functions that took the most time, as `tracectl top --json` and the console's `top` give them.
package struct TopReport: Encodable, Sendable {
    /// A function's numbers.
    struct Function: Encodable, Sendable {
        let function: String
        let calls: UInt64
        let selfMs: Double
        let totalMs: Double
        /// Of the calls that ended; nil where the durations are not known.
        let p99Ms: Double?

        init(_ totals: FunctionTotals, p99Nanoseconds: UInt64? = nil) {
            p99Ms = p99Nanoseconds.map { Double($0) / 1e6 }
            function = String(decoding: totals.name, as: UTF8.self)
            calls = totals.calls
            selfMs = Double(totals.selfNanoseconds) / 1e6
            totalMs = Double(totals.totalNanoseconds) / 1e6
        }
    }

    let coverage: ProfileCoverage
    let functions: [Function]

    /// - Parameter p99: The 99th percentile of the durations of a function's calls, in nanoseconds.
    package init(
        coverage: ProfileCoverage,
        functions: [FunctionTotals],
        p99: (_ name: [UInt8]) -> UInt64?
    ) {
        self.coverage = coverage
        self.functions = functions.map { Function($0, p99Nanoseconds: p99($0.name)) }
    }
}

/// What differs between two spans, as `tracectl diff --json` and the console's `diff` give it.
package struct DiffReport: Encodable, Sendable {
    /// A function's numbers in both spans; absent where it was not called.
    struct Difference: Encodable, Sendable {
        let function: String
        let against: TopReport.Function?
        let now: TopReport.Function?
        let selfMsPerSecondAgainst: Double
        let selfMsPerSecond: Double
        let differenceMsPerSecond: Double

        init(_ difference: FunctionDifference) {
            function = String(decoding: difference.name, as: UTF8.self)
            against = difference.before.map { TopReport.Function($0) }
            now = difference.after.map { TopReport.Function($0) }
            selfMsPerSecondAgainst = difference.selfBefore * 1_000
            selfMsPerSecond = difference.selfAfter * 1_000
            differenceMsPerSecond = difference.difference * 1_000
        }
    }

    let against: ProfileCoverage
    let coverage: ProfileCoverage
    let functions: [Difference]

    /// - Parameter against: What the span that was compared against covers.
    package init(
        against: ProfileCoverage,
        coverage: ProfileCoverage,
        functions: some Sequence<FunctionDifference>
    ) {
        self.against = against
        self.coverage = coverage
        self.functions = functions.map { Difference($0) }
    }
}

extension CallPaths {
    /// The processes that are left out, in a fixed order.
    package var sampledByProcess: [(CallPaths.Sampled, UInt64)] {
        sampled.sorted {
            let (left, right) = ($0.key, $1.key)
            if left.host != right.host { return left.host.lexicographicallyPrecedes(right.host) }
            if left.pid != right.pid { return left.pid < right.pid }
            return left.process.lexicographicallyPrecedes(right.process)
        }.map { ($0.key, $0.value) }
    }
}
