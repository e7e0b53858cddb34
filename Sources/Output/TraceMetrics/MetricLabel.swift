package import TraceModel

/// Label values as they may be sent and exposed.
package enum MetricLabel {
    /// The value of every label of the series that others are folded into beyond a limit.
    package static let other = "other"

    /// Text of at most `Limits.labelBytesMax` bytes; invalid UTF-8 becomes U+FFFD. A name that is longer, or
    /// had to be repaired, keeps its beginning and gets the hash of the whole after a `~`, so that two names
    /// never become one series. Not for the hot path: once a name, at its interning.
    package static func text(of bytes: ByteView) -> String {
        let kept = bytes.cut(at: Limits.labelBytesMax + 4)
        let whole = kept.string
        if bytes.count <= Limits.labelBytesMax, whole.utf8.elementsEqual(kept.buffer) {
            return whole
        }
        let hash = String(Slot.hash(host: bytes.buffer), radix: 16)
        var start = whole[...]
        // A scalar at a time: what was replaced may be three bytes long where one was sent.
        while start.utf8.count > Limits.labelBytesMax - 17 { start.unicodeScalars.removeLast() }
        return start + "~" + hash
    }
}
