/// A call's begin or end, in the order in which they are to be sent.
package struct CallEdge: Equatable, Sendable {
    package var time: Int64
    package var isEntry: Bool
    /// The same for both edges of one call, different for every other call; from 1.
    package var cookie: Int64
    package var name: UInt32
    package var thread: UInt32
    /// Nanoseconds the call took; 0 on an entry.
    package var duration: Int64
}
