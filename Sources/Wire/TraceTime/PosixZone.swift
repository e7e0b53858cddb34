/// Checks a zone in the form of POSIX `TZ`: `std offset [dst [offset] [,start[/time],end[/time]]]`.
/// glibc itself reports no error, it takes UTC for what it can't read.
struct PosixZone {
    private var rest: Substring.UTF8View

    static func isValid(_ text: String) -> Bool {
        var zone = PosixZone(rest: Substring(text).utf8)
        return zone.parse() && zone.rest.isEmpty
    }

    private mutating func parse() -> Bool {
        guard name(), time(hoursMax: 24) else { return false }
        if rest.isEmpty { return true }
        guard name() else { return false }
        if rest.isEmpty { return true }
        if rest.first != UInt8(ascii: ","), !time(hoursMax: 24) { return false }
        if rest.isEmpty { return true }
        return rule() && rule()
    }

    /// Three letters or more, or anything short within angle brackets.
    private mutating func name() -> Bool {
        if take("<") {
            let inner = rest.prefix {
                isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-")
            }
            rest = rest.dropFirst(inner.count)
            return inner.count >= 3 && take(">")
        }
        let letters = rest.prefix(while: isLetter)
        rest = rest.dropFirst(letters.count)
        return letters.count >= 3
    }

    /// `[+-]hh[:mm[:ss]]`.
    private mutating func time(hoursMax: Int) -> Bool {
        if !take("-") { _ = take("+") }
        guard number(0...hoursMax) else { return false }
        for _ in 0..<2 where take(":") {
            guard number(0...59) else { return false }
        }
        return true
    }

    /// `,Mm.w.d`, `,Jn` or `,n`, with a time of day.
    private mutating func rule() -> Bool {
        guard take(",") else { return false }
        if take("M") {
            guard number(1...12), take("."), number(1...5), take("."), number(0...6) else {
                return false
            }
        } else if take("J") {
            guard number(1...365) else { return false }
        } else if !number(0...365) {
            return false
        }
        return take("/") ? time(hoursMax: 167) : true
    }

    private mutating func number(_ range: ClosedRange<Int>) -> Bool {
        let digits = rest.prefix(while: isDigit)
        rest = rest.dropFirst(digits.count)
        guard digits.count <= 3, let value = Int(String(Substring(digits))) else { return false }
        return range.contains(value)
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest = rest.dropFirst()
        return true
    }

    private func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
