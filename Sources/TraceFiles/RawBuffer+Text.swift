package import SystemIO
package import TraceModel

extension RawBuffer {
    /// Whether a text can be written as it is, between quotes in JSON and without them in CSV, formulas guarded
    /// against or not. Nothing is written of no text.
    package static func isPlainText(_ view: ByteView) -> Bool {
        guard let start = view.start, view.count > 0 else { return false }
        return isPlainJSON(start, view.count) && isPlainCSV(start, view.count)
            && !beginsFormula(start)
    }

    /// Text as it is; invalid UTF-8 becomes U+FFFD.
    mutating func append(repairing view: ByteView) {
        let bytes = view.buffer
        var index = 0
        var replaced = 0
        while index < bytes.count {
            if bytes[index] < 0x80 {
                append(byte: bytes[index])
                index += 1
            } else {
                index += appendScalar(bytes, at: index, &replaced)
            }
        }
    }

    /// One frame of a stack-message line: `|` separates frames there, control characters would end it.
    mutating func append(stackFrame frame: UnsafeRawBufferPointer) {
        for byte in frame {
            switch byte {
            case UInt8(ascii: "|"): append("\\u007c")
            case 0..<0x20: append(byte: UInt8(ascii: " "))
            default: append(byte: byte)
            }
        }
    }
}
