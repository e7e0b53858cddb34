import SystemIO
import TraceFiles
import TraceModel

/// Writes a call stack: as an argument of its event, and to the stack-message file. `isPlain` is the result of
/// `RawBuffer.isPlainStack`.
enum GPUStack {
    /// Appends all frames as an array of strings, and a comma. Beyond `Limits.stackFramesMax`, the outermost ones are
    /// left out and counted.
    static func appendArray(
        _ stack: ByteView,
        isPlain: Bool,
        to text: inout RowWriter,
        _ context: EventContext
    ) {
        var frames = GPUFrames(stack)
        var count = 0
        var spare = Limits.escapedSpareBytes
        text.append("[")
        while let frame = frames.next() {
            count += 1
            guard count <= Limits.stackFramesMax else { continue }
            if count > 1 { text.append(",") }
            if isPlain {
                text.appendJSONString(EventText(frame, isPlain: true))
                continue
            }
            let shown = RawBuffer.shown(frame: frame, &spare)
            if shown.count < frame.count { context.totals.pointee.namesCut += 1 }
            context.count(replaced: text.appendJSONString(shown))
        }
        text.append("],")
        guard count > Limits.stackFramesMax else { return }
        context.totals.pointee.framesCut += UInt64(count - Limits.stackFramesMax)
    }

    /// Appends the shown frames, up to the bound, to the stack-message file, and returns their number. If there are
    /// none, no line is written. Call it between rows only.
    static func file(_ stack: ByteView, isPlain: Bool, _ context: EventContext) -> Int {
        let scratch = context.json.buffer
        // The end of the rows' memory serves as scratch space; what is written there is dropped again.
        let start = scratch.text.count
        var frames = GPUFrames(stack)
        var count = 0
        var spare = Limits.escapedSpareBytes
        while count < Limits.stackFramesMax, let frame = frames.next() {
            let shown = isPlain ? frame : RawBuffer.shown(frame: frame, &spare)
            guard GPUFrames.isShown(shown) else { continue }
            if count > 0 { scratch.text.append("\n") }
            scratch.text.append(shown.buffer)
            count += 1
        }
        let end = scratch.text.count
        if context.givenName.isEmpty {
            scratch.text.append("pid-")
            scratch.text.appendDecimal(context.pid)
        } else {
            scratch.text.append(context.givenName.view.buffer)
        }
        if count > 0 {
            let bytes = scratch.text.bytes
            context.files.appendStack(
                host: context.host,
                ts: context.time,
                pid: context.pid,
                process: ByteView(UnsafeRawBufferPointer(rebasing: bytes[end...])),
                frames: ByteView(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
            )
        }
        scratch.dropRow()
        return count
    }
}
