import SystemIO
import TraceModel

/// The frame of a trace file. Its header has one width in every form, so that a finished file is the
/// segment with the header overwritten; padding stands inside strings, as viewers sniff the beginning.
enum JSONSegment {
    /// A host escaped in full is 1,530 bytes; the rest stays below 700.
    static let headerBytes = 2_560
    static let ending: StaticString = "\n]}\n"
    /// Between two events; what the last one leaves behind is cut at the close.
    static var separator: StaticString { ",\n" }
    static let separatorBytes = 2

    /// A run's checksum, with the separator behind its last row.
    static func summedSeparator(after checksum: UInt32) -> UInt32 {
        Checksum.crc32c(UnsafeRawBufferPointer(start: separator.utf8Start, count: separatorBytes), after: checksum)
    }

    /// What a finished file says about itself. Comes from the rows alone, never from how they were
    /// distributed over workers and runs.
    struct Summary {
        enum Extent {
            case whole(events: UInt64)
            /// Of a window that is too large for one file, from 1; its events are counted by none.
            case part(Int)
        }

        var resource: Resource
        var host: String
        var stem: String
        var window: UInt64
        var timeZoneName: String
        var baseTime: EpochNanoseconds
        var extent: Extent
    }

    /// Before the events of an unfinished file: a bare array, which viewers open without its end.
    static func appendOpenHeader(to text: inout RawBuffer) {
        let start = text.count
        text.append("[{\"ph\":\"M\",\"name\":\"segment in progress\",\"pid\":0,\"args\":{\"pad\":\"")
        pad(&text, from: start, with: "\"}},\n")
    }

    /// Before the events of a finished file: the object form.
    static func appendFinalHeader(_ summary: Summary, to text: inout RawBuffer) {
        let start = text.count
        text.append("{\"displayTimeUnit\":\"ms\",\"metadata\":{\"resource\":\"")
        text.append(summary.resource.name)
        text.append("\",\"host\":")
        append(summary.host, bytesMax: Limits.hostBytesMax, to: &text)
        text.append(",\"stem\":")
        append(summary.stem, bytesMax: 64, to: &text)
        text.append(",\"window\":")
        text.appendDecimal(summary.window)
        text.append(",\"base_time_ns\":")
        text.appendDecimal(summary.baseTime)
        switch summary.extent {
        case .whole(let events):
            text.append(",\"events\":")
            text.appendDecimal(events)
        case .part(let number):
            text.append(",\"part\":")
            text.appendDecimal(UInt64(number))
        }
        text.append(",\"time_zone\":")
        append(summary.timeZoneName, bytesMax: 64, to: &text)
        text.append(",\"server\":\"trace-processor ")
        text.append(BuildInfo.version)
        text.append("\",\"pad\":\"")
        pad(&text, from: start, with: "\"},\"traceEvents\":[\n")
    }

    private static func append(_ value: String, bytesMax: Int, to text: inout RawBuffer) {
        var value = value
        value.withUTF8 { bytes in _ = text.appendJSONString(ByteView(UnsafeRawBufferPointer(bytes)).cut(at: bytesMax)) }
    }

    private static func pad(_ text: inout RawBuffer, from start: Int, with end: StaticString) {
        let spaces = headerBytes - (text.count - start) - end.utf8CodeUnitCount
        precondition(spaces >= 0, "the header of a trace file does not fit")
        text.reserve(spaces).initializeMemory(as: UInt8.self, repeating: 0x20, count: spaces)
        text.commit(spaces)
        text.append(end)
    }
}
