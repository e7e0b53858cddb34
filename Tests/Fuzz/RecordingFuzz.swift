import OperatorTools
import TraceModel

/// Reading a recording for import. Whatever the bytes: read in one piece or in small ones they say the same; each event that is
/// read is in the account; threads that the recording tells apart have ids of their own on the wire; and what is sent is nested.
enum RecordingFuzz {
    /// The input, a piece at a time.
    private final class Pieces: ByteSource {
        private let bytes: UnsafeRawBufferPointer
        private let piece: Int
        private var offset = 0

        init(_ bytes: UnsafeRawBufferPointer, piece: Int) {
            self.bytes = bytes
            self.piece = piece
        }

        func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
            let count = min(piece, bytes.count - offset, buffer.count)
            buffer.copyBytes(from: bytes[offset..<(offset + count)])
            offset += count
            return count
        }

        var progress: (done: Int, total: Int) { (offset, bytes.count) }
    }

    static func run(_ bytes: UnsafeRawBufferPointer) {
        let whole = outcome(bytes, piece: .max)
        let pieces = outcome(bytes, piece: 1 + Int(bytes.first ?? 0) % 7)
        precondition(whole == pieces, "\(whole), in pieces \(pieces)")
    }

    /// What came out, as a text to compare.
    private static func outcome(_ bytes: UnsafeRawBufferPointer, piece: Int) -> String {
        do {
            var reader = ChromeTraceReader(Pieces(bytes, piece: piece))
            var recording = try reader.read()
            let text = check(&recording)
            let placement = RecordingPlacement.choose(for: recording, start: nil, modified: 1 << 60)
            let shift = recording.span.map(placement.shift) ?? 0
            recording.leaveOutCallsThatCannotStand(shiftedBy: shift)
            return text + check(&recording)
        } catch { return "\(error)" }
    }

    private static func check(_ recording: inout Recording) -> String {
        precondition(recording.eventsRead == recording.eventsImported + recording.eventsSkipped)
        var ids: Set<[UInt32]> = []
        let used = Set(recording.calls.map(\.thread))
        for index in used {
            let thread = recording.threads[Int(index)]
            let pid = recording.processes[Int(thread.process)].pid
            precondition(
                pid != 0 && ids.insert([pid, thread.tid]).inserted,
                "one id for two threads"
            )
        }
        checkNesting(&recording)
        let skipped = recording.skipped.map { "\($0.key) \($0.value)" }.sorted()
        return
            "\(recording.calls) \(recording.names) \(skipped) \(recording.strayBytes) \(recording.isUnterminated)"
    }

    private static func checkNesting(_ recording: inout Recording) {
        var open: [UInt32: [Int64]] = [:]
        var last = Int64.min
        var timeline = CallTimeline(&recording)
        while let edge = timeline.next() {
            precondition(edge.time >= last, "time goes back")
            last = edge.time
            if edge.isEntry {
                open[edge.thread, default: []].append(edge.cookie)
            } else {
                precondition(open[edge.thread]?.popLast() == edge.cookie, "not nested")
            }
        }
    }
}
