/// A TCP address in text form: `127.0.0.1:9091`, `[::1]:9091`, `collector:50051`.
package struct HostPort: Equatable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: UInt16

    /// Default address of trace-router.
    package static let defaultServer = HostPort(host: "127.0.0.1", port: 50051)

    private init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Parses an address; nil if a part is missing or the port is invalid.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...]), port > 0
        else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains(where: \.isWhitespace) else { return nil }
        self.init(host: String(host), port: port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Parses positive integers with an optional unit: `90m`, `20G`.
package enum UnitNumber {
    /// Parses a time in `s` (the default), `m`, `h` or `d`; nil for anything else.
    package static func seconds(_ text: String) -> Int64? {
        number(text, units: ["s": 1, "m": 60, "h": 3_600, "d": 86_400])
    }

    /// Parses a size in `K`, `M`, `G` or `T`, in powers of 1,024, or in bytes; nil for anything else.
    package static func bytes(_ text: String) -> Int64? {
        number(text, units: ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40])
    }

    /// Parses decimal seconds since the epoch, as `1760000000.25`, exact to the nanosecond. Digits beyond the ninth are
    /// dropped. Nil for anything else.
    package static func instant(_ text: String) -> EpochNanoseconds? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2,
            parts.allSatisfy({
                !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) }
            }), let seconds = Int64(parts[0]), seconds < Int64.max / 1_000_000_000
        else { return nil }
        let digits = parts.count == 2 ? String(parts[1].prefix(9)) : ""
        let fraction = digits + String(repeating: "0", count: 9 - digits.count)
        return Int64(fraction).map { seconds * 1_000_000_000 + $0 }
    }

    private static func number(_ text: String, units: [Character: Int64]) -> Int64? {
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = Int64(digits),
            value > 0
        else {
            return nil
        }
        let (product, isOver) = value.multipliedReportingOverflow(by: unit ?? 1)
        return isOver ? nil : product
    }
}
