import TraceModel

/// Iterates over the frames of a call stack as sent, which are separated by newlines.
struct GPUFrames: IteratorProtocol {
    private let text: ByteView
    private var at = 0

    init(_ text: ByteView) { self.text = text }

    /// Returns the next frame, which may be empty; nil after the last one, and at once if the text is empty.
    mutating func next() -> ByteView? {
        guard let start = text.start, at < text.count else { return nil }
        let rest = UnsafeRawBufferPointer(start: start + at, count: text.count - at)
        let length = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.count
        at += length + 1
        return ByteView(start: rest.baseAddress, count: length)
    }

    /// Returns whether the stack-message file shows the frame: it is neither blank nor CUDA's own entry.
    static func isShown(_ frame: ByteView) -> Bool {
        guard let first = frame.buffer.firstIndex(where: { !isBlank($0) }) else { return false }
        let trimmed = UnsafeRawBufferPointer(rebasing: frame.buffer[first...])
        return !trimmed.starts(with: ByteView("cudaLaunchKernel").buffer)
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || (0x09...0x0D).contains(byte)
    }
}
