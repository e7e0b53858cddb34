public import CLinux

/// Asks the processor for memory that will be needed soon, so that it is on its way meanwhile. Reads nothing:
/// any address will do.
@inlinable
@inline(__always)
package func prefetch(_ start: UnsafeRawPointer, byteCount: Int = 1) {
    let lineBytes = 64
    var offset = 0
    while offset < byteCount {
        unsafe trace_prefetch(start + offset)
        offset += lineBytes
    }
}
