/// How far a merge is, in bytes of segments.
package struct MergeProgress: Sendable, Equatable {
    package var bytesDone: UInt64 = 0
    package var bytesTotal: UInt64

    package init(bytesTotal: UInt64) { self.bytesTotal = bytesTotal }
}
