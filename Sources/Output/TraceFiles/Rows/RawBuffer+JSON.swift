import Glibc
public import SystemIO
public import TraceModel

extension RawBuffer {
    /// Appends the begin of an event. Mergers parse a row's sort key from this text.
    @inlinable package mutating func appendEventStart(ts: EpochNanoseconds, pid: UInt32) {
        append("{\"ts\":")
        appendMicroseconds(ns: ts)
        append(",\"pid\":")
        appendDecimal(pid)
        append(byte: UInt8(ascii: ","))
    }

    /// Appends the begin of a call that continues from an earlier file, at the time when the call began. `name` appends
    /// the name as a JSON string.
    package mutating func appendContinuedCall(
        ts: EpochNanoseconds,
        pid: UInt32,
        tid: UInt32,
        cookie: Int64,
        name: (inout RawBuffer) -> Void
    ) {
        appendContinuedCall(ts: ts, pid: pid, tid: tid, cookie: cookie, began: nil, name: name)
    }

    /// Like `appendContinuedCall`, for a call that is clipped to a document that begins at `ts`. The argument `began` says
    /// when the call began.
    mutating func appendClippedBegin(
        ts: EpochNanoseconds,
        began: EpochNanoseconds,
        pid: UInt32,
        tid: UInt32,
        cookie: Int64,
        name: (inout RawBuffer) -> Void
    ) {
        appendContinuedCall(ts: ts, pid: pid, tid: tid, cookie: cookie, began: began, name: name)
    }

    private mutating func appendContinuedCall(
        ts: EpochNanoseconds,
        pid: UInt32,
        tid: UInt32,
        cookie: Int64,
        began: EpochNanoseconds?,
        name: (inout RawBuffer) -> Void
    ) {
        appendEventStart(ts: ts, pid: pid)
        append("\"tid\":")
        appendDecimal(tid)
        append(",\"ph\":\"B\",\"cat\":\"continued\",\"name\":")
        name(&self)
        append(",\"args\":{\"cookie\":")
        appendDecimal(cookie)
        if let began {
            append(",\"began\":")
            appendMicroseconds(ns: began)
        }
        append("}}")
    }

    /// Appends an end event for a call that continues after the end of the document. It has no category, because no
    /// received event ends the call, and the argument `clipped`. `name` appends the name as a JSON string.
    package mutating func appendClippedEnd(
        ts: EpochNanoseconds,
        pid: UInt32,
        tid: UInt32,
        name: (inout RawBuffer) -> Void
    ) {
        appendEventStart(ts: ts, pid: pid)
        append("\"tid\":")
        appendDecimal(tid)
        append(",\"ph\":\"E\",\"name\":")
        name(&self)
        append(",\"args\":{\"clipped\":true}}")
    }

    /// Returns the part of a text that is shown: the longest beginning that `Limits.nameBytesMax` and
    /// `Limits.escapedSpareBytes` allow. Idempotent.
    @inlinable package static func shown(
        _ text: ByteView,
        bytesMax: Int = Limits.nameBytesMax
    ) -> ByteView {
        let text = text.cut(at: bytesMax)
        guard let start = unsafe text.start, text.count > Limits.escapedSpareBytes / 5,
            unsafe !isPlainJSON(start, text.count)
        else {
            return text
        }
        var spare = Limits.escapedSpareBytes
        return shownEscaped(text, &spare, isFrame: false)
    }

    /// Like `shown`, for one frame of a call stack. The frames of a stack share the spare bytes; `spare` is the rest.
    package static func shown(frame: ByteView, _ spare: inout Int) -> ByteView {
        let frame = frame.cut(at: Limits.nameBytesMax)
        if let start = unsafe frame.start, unsafe isPlainJSON(start, frame.count),
            unsafe memchr(start, Int32(UInt8(ascii: "|")), frame.count) == nil
        {
            spare += frame.count / 2
            return frame
        }
        return shownEscaped(frame, &spare, isFrame: true)
    }

    /// Whether `shown(frame:)` keeps all frames of a stack unchanged and none needs escaping. Newlines separate the
    /// frames. Reads eight bytes at a time, like `isPlainJSON`.
    package static func isPlainStack(_ stack: ByteView) -> Bool {
        guard let start = unsafe stack.start, stack.count >= 8, stack.count <= Limits.nameBytesMax
        else {
            return false
        }
        var index = 0
        while index &+ 8 < stack.count {
            let word = unsafe start.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if isSpecialInStack(word) { return false }
            index &+= 8
        }
        // The last word overlaps the previous one.
        let last = unsafe start.loadUnaligned(fromByteOffset: stack.count &- 8, as: UInt64.self)
        return !isSpecialInStack(last)
    }

    /// Like `hasSpecialByte`, but newlines are allowed and `|` is not.
    private static func isSpecialInStack(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let lows: UInt64 = 0x7F7F_7F7F_7F7F_7F7F
        let newline = word ^ (ones &* 0x0A)
        // 0x80 for each newline and 0 for every other byte; shifted to 0x40 it turns a newline into `J`.
        let newlines = ~(((newline & lows) &+ lows) | newline | lows)
        let pipe = word ^ (ones &* 0x7C)
        let pipes = (pipe &- ones) & ~pipe & ~lows
        return pipes != 0 || hasSpecialByte(word | newlines >> 1)
    }

    /// Returns the longest beginning of a text whose escaped form fits. Every two bytes of text allow three bytes of
    /// JSON; what exceeds this is taken from `spare`. The text in a table is never longer than in JSON. With `isFrame`,
    /// `|` counts as the six bytes that it takes in a file of call stacks.
    @inline(never) @usableFromInline static func shownEscaped(
        _ text: ByteView,
        _ spare: inout Int,
        isFrame: Bool
    ) -> ByteView {
        let bytes = unsafe text.buffer
        var index = 0
        // In units of half a byte.
        var left = 2 * spare
        while index < bytes.count {
            let byte = unsafe bytes[index]
            var length = 1
            let cost: Int
            switch byte {
            case 0x22, 0x5C, 0x0A, 0x0D, 0x09: cost = 2
            case 0..<0x20: cost = 6
            case UInt8(ascii: "|") where isFrame: cost = 6
            case 0x80...:
                let scalar = unsafe scalarLength(bytes, at: index)
                length = scalar.length
                cost = scalar.isValid ? length : 3
            default: cost = 1
            }
            let next = left + 3 * length - 2 * cost
            guard next >= 0 else { break }
            left = next
            index += length
        }
        spare = left / 2
        return unsafe ByteView(start: text.start, count: index)
    }

    /// Whether all bytes are printable ASCII other than `"` and `\`. Reads eight bytes at a time.
    @inlinable static func isPlainJSON(_ source: UnsafeRawPointer, _ count: Int) -> Bool {
        if count < 8 {
            for index in 0..<count {
                let byte = unsafe source.load(fromByteOffset: index, as: UInt8.self)
                if byte < 0x20 || byte >= 0x80 || byte == 0x22 || byte == 0x5C { return false }
            }
            return true
        }
        var index = 0
        while index &+ 8 <= count {
            let word = unsafe source.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if hasSpecialByte(word) { return false }
            index &+= 8
        }
        // The last word overlaps the previous one.
        return unsafe !hasSpecialByte(
            source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        )
    }

    /// Whether a byte of the word needs escaping. From "Determine if a word has a byte less than n / equal to n", Bit
    /// Twiddling Hacks (Anderson). Exact for the word as a whole, not for each byte.
    @inlinable static func hasSpecialByte(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        let control = (word &- ones &* 0x20) & ~word
        let quote = word ^ (ones &* 0x22)
        let slash = word ^ (ones &* 0x5C)
        let equal = ((quote &- ones) & ~quote) | ((slash &- ones) & ~slash)
        return (control | equal | word) & highs != 0
    }

    @inline(never) @usableFromInline mutating func appendEscapedJSONString(_ view: ByteView) -> Int
    {
        append(byte: UInt8(ascii: "\""))
        var replaced = 0
        let bytes = unsafe view.buffer
        var index = 0
        while index < bytes.count {
            let byte = unsafe bytes[index]
            if byte >= 0x80 {
                unsafe index += appendScalar(bytes, at: index, &replaced)
                continue
            }
            switch byte {
            case 0x22: append("\\\"")
            case 0x5C: append("\\\\")
            case 0x0A: append("\\n")
            case 0x0D: append("\\r")
            case 0x09: append("\\t")
            case 0..<0x20:
                append(byte < 0x10 ? "\\u000" : "\\u00")
                appendHex(UInt64(byte))
            default: append(byte: byte)
            }
            index += 1
        }
        append(byte: UInt8(ascii: "\""))
        return replaced
    }

    /// Copies the scalar at `index`, or writes U+FFFD for the longest valid beginning of one. Returns the number of
    /// bytes consumed. The ranges are those of Unicode's table 3-7.
    mutating func appendScalar(
        _ bytes: UnsafeRawBufferPointer,
        at index: Int,
        _ replaced: inout Int
    ) -> Int {
        let (length, isValid) = unsafe Self.scalarLength(bytes, at: index)
        if isValid {
            unsafe append(UnsafeRawBufferPointer(rebasing: bytes[index..<(index + length)]))
        } else {
            append("\u{FFFD}")
            replaced += 1
        }
        return length
    }

    /// Returns the length of the UTF-8 sequence at `index`, or of its longest valid beginning (at least 1).
    static func scalarLength(
        _ bytes: UnsafeRawBufferPointer,
        at index: Int
    ) -> (length: Int, isValid: Bool) {
        let lead = unsafe bytes[index]
        let need: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0..<0x80: return (1, true)
        case 0xC2...0xDF: need = 2
        case 0xE0...0xEF:
            need = 3
            if lead == 0xE0 { second = 0xA0...0xBF }
            if lead == 0xED { second = 0x80...0x9F }
        case 0xF0...0xF4:
            need = 4
            if lead == 0xF0 { second = 0x90...0xBF }
            if lead == 0xF4 { second = 0x80...0x8F }
        default: return (1, false)
        }
        var length = 1
        while length < need {
            guard index + length < bytes.count else { return (length, false) }
            let allowed = length == 1 ? second : 0x80...0xBF
            guard unsafe allowed.contains(bytes[index + length]) else { return (length, false) }
            length += 1
        }
        return (need, true)
    }
}
