package import TraceModel

/// The memory that the tables of one reading may take together: open files, open calls, names, processes, call paths. One
/// thread at a time.
package final class ReadingBudget {
    private var left: Int

    /// - Parameter bytes: The limit; that of a tool unless it is given.
    package init(bytes: Int = Limits.readingBytesMax) { left = bytes }

    /// Takes bytes.
    /// - Throws: `TraceError(.exhausted)` if there are not as many.
    package func take(_ bytes: Int) throws(TraceError) {
        left -= bytes
        guard left < 0 else { return }
        left += bytes
        throw TraceError(
            .exhausted,
            "what is to be read does not fit into memory",
            remedy: "Narrow the time with from and to, or name a host or a process"
        )
    }

    /// Takes bytes if there are as many beside those that others need; returns whether it has.
    func takes(_ bytes: Int, besides reserve: Int = 0) -> Bool {
        guard left - reserve >= bytes else { return false }
        left -= bytes
        return true
    }

    /// Takes bytes for what has to have a place, also where there are none left: others then get none.
    func takesBeyond(_ bytes: Int) { left -= bytes }

    /// Gives back bytes that were taken.
    func give(_ bytes: Int) { left += bytes }
}
