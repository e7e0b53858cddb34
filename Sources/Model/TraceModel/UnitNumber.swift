/// A whole number above 0 with or without a unit, as people write it: `90m`, `20G`.
package enum UnitNumber {
    /// A time in `s` (also without a unit), `m`, `h` or `d`; nil for anything else.
    package static func seconds(_ text: String) -> Int64? {
        number(text, units: ["s": 1, "m": 60, "h": 3_600, "d": 86_400])
    }

    /// A size in `K`, `M`, `G` or `T`, in powers of 1,024, or in bytes; nil for anything else.
    package static func bytes(_ text: String) -> Int64? {
        number(text, units: ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40])
    }

    private static func number(_ text: String, units: [Character: Int64]) -> Int64? {
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = Int64(digits),
            value > 0
        else { return nil }
        let (product, isOver) = value.multipliedReportingOverflow(by: unit ?? 1)
        return isOver ? nil : product
    }
}
