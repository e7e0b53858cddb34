/// How much of a run buffer a flush writes.
package enum FlushScope: Sendable {
    /// Only full buffers; young rows stay back (at most half of the buffer).
    case full
    /// Every buffer; young rows stay back unless nothing came since the tick before.
    case tick
    /// Everything: at barriers and checkpoints.
    case all
}
