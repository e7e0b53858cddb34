import TraceModel

/// Makes of the numbers of GPU events, in either dialect, what statistics and rules work with.
///
/// NEUTRACER: launches are the kernel's count so far, which begins at 0 when the agent does; rates are in MiB/s.
enum GPUNormaliser {
    /// Launches that an event brings. `last`: as sent before by the kernel's newest event; nil where the event is older
    /// than that.
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

    /// Bytes a second.
    @inline(__always) static func bytesPerSecond(_ sent: UInt64, _ semantics: Semantics) -> UInt64 {
        guard semantics == .neutracer else { return sent }
        let (bytes, overflow) = sent.multipliedReportingOverflow(by: 1 << 20)
        return overflow ? .max : bytes
    }

    /// How many bytes the original's metric counts as one of its megabytes, which shows the value as sent where that is
    /// one.
    static func megabyte(_ semantics: Semantics) -> UInt32 {
        semantics == .neutracer ? 1 << 20 : 1_000_000
    }
}

/// A count that an agent keeps for as long as it runs.
enum RunningCount {
    /// What it has grown by. A count far below the last one is that of an agent which began anew; one a little below
    /// has only been overtaken on its way.
    @inline(__always) static func growth(from last: UInt64?, to sent: UInt64) -> UInt64 {
        guard let last else { return 0 }
        if sent >= last { return sent - last }
        return sent <= last / 2 ? sent : 0
    }

    /// The count that the next one is compared with.
    @inline(__always) static func next(after last: UInt64, _ sent: UInt64) -> UInt64 {
        sent >= last || sent <= last / 2 ? sent : last
    }
}
