import SystemIO
import TraceModel

/// The header and ending of a trace file. The header has the same length in all forms, so that closing a segment only
/// overwrites it. The padding is inside a string, because viewers detect the format by the first bytes.
enum JSONSegment {
    /// Enough for a fully escaped host of 1,530 bytes and less than 700 bytes for the rest.
    static let headerBytes = 2_560
    static let ending: StaticString = "\n]}\n"
    /// Separates two events. The one after the last event is removed when the file is closed.
    static var separator: StaticString { ",\n" }
    static let separatorBytes = 2

    /// Continues a run's checksum over the separator after its last row.
    static func summedSeparator(after checksum: UInt32) -> UInt32 {
        unsafe Checksum.crc32c(
            UnsafeRawBufferPointer(start: separator.utf8Start, count: separatorBytes),
            after: checksum
        )
    }

    /// The metadata of a finished file. Depends only on the rows, never on their distribution over workers and runs.
    struct Summary {
        /// Which part of a window's trace a file has.
        enum Extent {
            case whole(events: UInt64)
            /// One file of a window that needs several, counted from 1. Its events are not counted.
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

    /// Appends the header of an unfinished file: a bare array, which viewers open without its end.
    static func appendOpenHeader(to text: inout RawBuffer) {
        let start = text.count
        text.append(
            "[{\"ph\":\"M\",\"name\":\"segment in progress\",\"pid\":0,\"args\":{\"pad\":\""
        )
        pad(&text, from: start, with: "\"}},\n")
    }

    /// Appends the header of a finished file: the object form.
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
        value.withUTF8 { bytes in
            _ = unsafe text.appendJSONString(
                ByteView(UnsafeRawBufferPointer(bytes)).cut(at: bytesMax)
            )
        }
    }

    private static func pad(_ text: inout RawBuffer, from start: Int, with end: StaticString) {
        let spaces = headerBytes - (text.count - start) - end.utf8CodeUnitCount
        precondition(spaces >= 0, "the header of a trace file does not fit")
        unsafe text.reserve(spaces).initializeMemory(as: UInt8.self, repeating: 0x20, count: spaces)
        text.commit(spaces)
        text.append(end)
    }
}
