public import SystemIO
public import TraceModel

extension RawBuffer {
    /// One field by RFC 4180: quoted only where it holds a quote, comma, CR or LF. Invalid UTF-8 becomes
    /// U+FFFD; returns how many.
    @inlinable
    @discardableResult
    package mutating func appendCSVField(_ view: ByteView) -> Int {
        guard let source = view.start, view.count > 0 else { return 0 }
        guard Self.isPlainCSV(source, view.count) else { return appendQuotedCSVField(view) }
        let target = reserve(view.count)
        target.copyMemory(from: source, byteCount: view.count)
        commit(view.count)
        return 0
    }

    @inlinable
    static func isPlainCSV(_ source: UnsafeRawPointer, _ count: Int) -> Bool {
        for index in 0..<count {
            let byte = source.load(fromByteOffset: index, as: UInt8.self)
            if byte >= 0x80 || byte == 0x22 || byte == 0x2C || byte == 0x0D || byte == 0x0A {
                return false
            }
        }
        return true
    }

    @inline(never)
    @usableFromInline
    mutating func appendQuotedCSVField(_ view: ByteView) -> Int {
        let bytes = view.buffer
        let needsQuotes = bytes.contains {
            $0 == 0x22 || $0 == 0x2C || $0 == 0x0D || $0 == 0x0A
        }
        if needsQuotes { append(byte: 0x22) }
        var replaced = 0
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte >= 0x80 {
                index += appendScalar(bytes, at: index, &replaced)
                continue
            }
            if byte == 0x22 { append(byte: 0x22) }
            append(byte: byte)
            index += 1
        }
        if needsQuotes { append(byte: 0x22) }
        return replaced
    }
}
