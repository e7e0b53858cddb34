import TraceModel

/// Converts the numbers of GPU events of either dialect into what statistics and rules use.
///
/// NEUTRACER: launches are the kernel's count so far, which begins at 0 when the agent starts; rates are in MiB/s.
enum GPUNormaliser {
    /// Returns the launches that an event adds. `last`: the count in the kernel's newest event so far; nil if this
    /// event is older.
    @inline(__always) static func launches(
        _ sent: UInt64,
        last: UInt64?,
        _ semantics: Semantics
    ) -> UInt64 {
        switch semantics {
        case .cumulative: sent
        case .neutracer: RunningCount.growth(from: last, to: sent)
        }
    }

    /// Returns a rate in bytes per second.
    @inline(__always) static func bytesPerSecond(_ sent: UInt64, _ semantics: Semantics) -> UInt64 {
        guard semantics == .neutracer else { return sent }
        let (bytes, overflow) = sent.multipliedReportingOverflow(by: 1 << 20)
        return overflow ? .max : bytes
    }

    /// Returns how many bytes the original's metric counts as a megabyte, so that it shows NEUTRACER's MiB/s as sent.
    static func megabyte(_ semantics: Semantics) -> UInt32 {
        semantics == .neutracer ? 1 << 20 : 1_000_000
    }
}

/// A count that an agent keeps for as long as it runs.
enum RunningCount {
    /// Returns the growth of the count. A count far below the last one means that the agent restarted; one slightly
    /// below was only overtaken on its way.
    @inline(__always) static func growth(from last: UInt64?, to sent: UInt64) -> UInt64 {
        guard let last else { return 0 }
        if sent >= last { return sent - last }
        return sent <= last / 2 ? sent : 0
    }

    /// Returns the count to compare the next one with.
    @inline(__always) static func next(after last: UInt64, _ sent: UInt64) -> UInt64 {
        sent >= last || sent <= last / 2 ? sent : last
    }
}
