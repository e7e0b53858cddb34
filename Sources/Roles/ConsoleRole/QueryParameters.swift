import TraceModel

/// The parameters of a request's query, each with its value. Every parameter has to be one that the endpoint has, so
/// that a misspelt one is an error instead of an answer to another question.
struct QueryParameters {
    private var values: [String: String] = [:]

    /// Parses the part of a request's target behind the question mark.
    /// - Throws: `TraceError(.invalidArgument)` for an unknown, repeated or undecodable parameter.
    init(_ query: String?, known: [String]) throws(TraceError) {
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentDecoding.text(parts[0], plusIsSpace: true),
                let value = PercentDecoding.text(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
            else { throw Self.invalid("the query is not UTF-8 in percent-encoding") }
            guard known.contains(name) else {
                let list = known.isEmpty ? "none" : known.joined(separator: ", ")
                throw Self.invalid("unknown parameter \(name.prefix(64)); there are: \(list)")
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw Self.invalid("the parameter \(name) is given twice")
            }
        }
    }

    /// Returns a parameter's text; nil if it is not given or empty.
    func text(_ name: String) -> String? {
        guard let value = values[name], !value.isEmpty else { return nil }
        return value
    }

    /// Returns a moment, given in decimal seconds since the epoch.
    func instant(_ name: String) throws(TraceError) -> EpochNanoseconds? {
        guard let text = text(name) else { return nil }
        guard let instant = UnitNumber.instant(text) else {
            throw Self.invalid("\(name) takes seconds since the epoch, as 1760000000.25")
        }
        return instant
    }

    /// Returns both ends of a span of time.
    func span() throws(TraceError) -> QuerySpan {
        let span = QuerySpan(from: try instant("from"), to: try instant("to"))
        if let from = span.from, let to = span.to, from > to {
            throw Self.invalid("from is later than to")
        }
        return span
    }

    func resource() throws(TraceError) -> Resource? {
        guard let text = text("resource") else { return nil }
        guard let resource = Resource(name: text) else {
            let names = Resource.allCases.map(\.name).joined(separator: ", ")
            throw Self.invalid("resource takes one of \(names)")
        }
        return resource
    }

    func processID() throws(TraceError) -> UInt32? {
        guard let text = text("pid") else { return nil }
        guard let pid = UInt32(text), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw Self.invalid("pid takes a process id")
        }
        return pid
    }

    /// Returns a number from `min` to `max`.
    func count(
        _ name: String,
        min: Int = 1,
        standard: Int,
        max: Int
    ) throws(TraceError) -> Int {
        guard let text = text(name) else { return standard }
        guard let count = Int(text), (min...max).contains(count) else {
            throw Self.invalid("\(name) takes a number from \(min) to \(max)")
        }
        return count
    }

    /// Returns one of a type's cases, given by its name.
    func choice<Choice: CaseIterable & RawRepresentable>(
        _ name: String,
        _ type: Choice.Type,
        standard: Choice
    ) throws(TraceError) -> Choice where Choice.RawValue == String {
        guard let text = text(name) else { return standard }
        guard let choice = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw Self.invalid("\(name) takes one of \(names)")
        }
        return choice
    }

    private static func invalid(_ message: String) -> TraceError {
        TraceError(.invalidArgument, message)
    }
}

/// A span of time with inclusive ends; nil where it is open.
struct QuerySpan: Equatable, Sendable {
    var from: EpochNanoseconds?
    var to: EpochNanoseconds?
}

/// Decodes percent-encoded text of a request's target (RFC 3986).
enum PercentDecoding {
    /// Returns the text; nil if an escape is cut off or the bytes are not UTF-8.
    static func text(_ encoded: Substring, plusIsSpace: Bool = false) -> String? {
        var bytes: [UInt8] = []
        var rest = encoded.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(digit),
                    let low = rest.popFirst().flatMap(digit)
                else { return nil }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
