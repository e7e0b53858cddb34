package import SystemIO
package import TraceFiles
package import TraceModel

/// Renders a summary as a JSON object: totals and top lists for people and `jq`, with units in the names, and under
/// `state` the whole summary in base64 (`WindowSummary`'s encoding), from which `tracectl summary` merges windows.
///
///     {"resource":"function","stem":"20251009_085320","window":7,"events":2,"processes":1,
///     "first_ts_ns":1760000000000000000,"last_ts_ns":1760000000100000000,"tables":{
///     "functions":{"rows":1,"totals":{"calls":1,…,"p99_ms":100.1},"top":{"slowest":[
///     {"host":"beta","pid":3,"process":"pid-3","function":"main","calls":1,…},
///     …]}}},"state":"AgA…"}
///
/// Tables whose names end in `_overall` add up the rows of one name over all processes (for devices, over those of one
/// host). Times (`_ts_ns`) are nanoseconds since the epoch, or null. `share_percent` of a CPU is its share of the
/// process's samples in the window; for several windows, in those in which the process was seen on that CPU.
/// `complete` is false where there were more names than fit into `Limits.summaryOverallBytesMax`.
package struct SummaryDocument {
    private let summary: WindowSummary
    private let topRows: Int

    /// - Parameter topRows: How many rows each list shows.
    package init(_ summary: WindowSummary, topRows: Int = Limits.summaryTopRows) {
        self.summary = summary
        self.topRows = topRows
    }

    /// Appends the object of one window's file, with a line end.
    package func appendFile(stem: String, window: UInt64, to text: inout RawBuffer) {
        text.append("{")
        appendHead(&text)
        text.append(",\"stem\":\"")
        text.append(stem)
        text.append("\",\"window\":")
        text.appendDecimal(window)
        text.append(",\n")
        appendTables(&text)
        text.append(",\n\"server\":\"trace-processor ")
        text.append(BuildInfo.version)
        text.append("\",\"state\":\"")
        text.append(Base64.encode(summary.encoded))
        text.append("\"}\n")
    }

    /// Appends the object without the fields of one window's file. `windows` says how many it is merged from.
    package func append(windows: Int, to text: inout RawBuffer) {
        text.append("{")
        appendHead(&text)
        text.append(",\"windows\":")
        text.appendDecimal(UInt64(windows))
        text.append(",\n")
        appendTables(&text)
        text.append("}")
    }

    private func appendHead(_ text: inout RawBuffer) {
        text.append("\"resource\":\"")
        text.append(summary.resource.name)
        text.append("\",\"events\":")
        text.appendDecimal(summary.events)
        text.append(",\"processes\":")
        text.appendDecimal(summary.processes)
        text.append(",\"first_ts_ns\":")
        text.appendDecimal(summary.isEmpty ? 0 : summary.firstTime)
        text.append(",\"last_ts_ns\":")
        text.appendDecimal(summary.isEmpty ? 0 : summary.lastTime)
    }

    private func appendTables(_ text: inout RawBuffer) {
        text.append("\"tables\":{")
        for (position, table) in summary.tables.enumerated() {
            text.append(position == 0 ? "\n\"" : ",\n\"")
            text.append(table.schema.name)
            text.append("\":{\"rows\":")
            text.appendDecimal(table.rowCount)
            if table.schema.source != nil {
                text.append(table.isComplete ? ",\"complete\":true" : ",\"complete\":false")
            }
            text.append(",\"totals\":{")
            appendNumbers(table.schema.cells(of: table.totals, table.sketch, isTotal: true), &text)
            text.append("},\"top\":{")
            for (position, list) in table.schema.lists.enumerated() {
                text.append(position == 0 ? "\n\"" : ",\n\"")
                text.append(list.name)
                text.append("\":[")
                for (position, row) in table.top(list, topRows).enumerated() {
                    text.append(position == 0 ? "\n" : ",\n")
                    appendRow(row, table.schema, &text)
                }
                text.append("]")
            }
            text.append("}}")
        }
        text.append("}")
    }

    private func appendRow(_ row: SummaryRow, _ schema: SummaryTableSchema, _ text: inout RawBuffer)
    {
        text.append("{")
        if schema.scope != .everywhere {
            text.append("\"host\":")
            Self.append(row.key.host, to: &text)
            text.append(",")
        }
        if schema.scope == .process {
            text.append("\"pid\":")
            text.appendDecimal(row.key.pid)
            text.append(",\"process\":")
            Self.append(row.process, to: &text)
            text.append(",")
        }
        if let item = schema.item {
            text.append("\"")
            text.append(item)
            text.append("\":")
            Self.append(row.key.item, to: &text)
            text.append(",")
        }
        appendNumbers(schema.cells(of: row.values, row.sketch), &text)
        text.append("}")
    }

    private func appendNumbers(_ cells: [SummaryCell], _ text: inout RawBuffer) {
        for (position, cell) in cells.enumerated() {
            text.append(position == 0 ? "\"" : ",\"")
            text.append(cell.name)
            text.append("\":")
            switch cell.value {
            case .whole(let number), .time(let number): text.appendDecimal(number)
            case .real(let number): text.appendJSONDouble(number)
            case .none: text.append("null")
            }
        }
    }

    private static func append(_ bytes: [UInt8], to text: inout RawBuffer) {
        unsafe bytes.withUnsafeBytes { _ = unsafe text.appendJSONString(ByteView($0)) }
    }
}

/// Names and builds a window's summary file: `output/summary/summary_<stem>_<resource>.json`.
package enum SummaryFile {
    package static let directory = "\(ClusterPaths.output)/summary"

    /// Returns the name of a window's file.
    package static func name(_ resource: Resource, stem: String) -> String {
        "summary_\(stem)_\(resource.name).json"
    }

    /// Builds a window's file from its workers' summaries, in any order. Returns nil where the window had no events.
    /// - Throws: `TraceError(.corrupt)` where one of them is damaged.
    package static func document(
        _ resource: Resource,
        stem: String,
        window: UInt64,
        summaries: [[UInt8]]
    ) throws -> WindowDocument? {
        var merged = WindowSummary(resource)
        for bytes in summaries where !bytes.isEmpty {
            let summary = try WindowSummary(bytes)
            guard summary.resource == resource else {
                throw TraceError(.corrupt, "A summary of \(resource.name) is of another resource")
            }
            merged.merge(summary)
        }
        guard !merged.isEmpty else { return nil }
        merged.keepTop()
        var text = RawBuffer(capacity: 64 << 10)
        SummaryDocument(merged).appendFile(stem: stem, window: window, to: &text)
        return WindowDocument(
            path: "\(directory)/\(name(resource, stem: stem))",
            bytes: unsafe Array(text.bytes),
            span: merged.firstTime <= merged.lastTime ? merged.firstTime...merged.lastTime : nil
        )
    }
}

extension SummaryFile {
    /// Decodes the summary that a window's file contains.
    /// - Throws: `TraceError(.corrupt)` if it contains none.
    package static func summary(in file: [UInt8]) throws(TraceError) -> WindowSummary {
        // Quotes within names are escaped, so no name contains this text.
        let mark = Array("\"state\":\"".utf8)
        let start = file.indices.reversed().first {
            file[$0] == mark[0] && file[$0...].starts(with: mark)
        }
        guard let start, case let text = file[(start + mark.count)...],
            let end = text.firstIndex(of: UInt8(ascii: "\"")),
            let state = Base64.decode(text[..<end]), let summary = try? WindowSummary(state)
        else { throw TraceError(.corrupt, "the file contains no summary, or a damaged one") }
        return summary
    }
}

/// Encodes bytes for a JSON string, and decodes them: RFC 4648, section 4, with padding.
package enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )

    /// Encodes bytes as base64.
    package static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var group: UInt32 = 0
            for offset in 0..<3 {
                group = group << 8 | (offset < count ? UInt32(bytes[start + offset]) : 0)
            }
            for digit in 0..<4 {
                let value = Int(group >> UInt32(18 - 6 * digit)) & 63
                text.append(digit <= count ? alphabet[value] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Decodes base64 with padding; nil if it is none.
    package static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var (group, digits, padding): (UInt32, Int, Int) = (0, 0, 0)
        for character in text {
            if character == UInt8(ascii: "=") {
                padding += 1
                group <<= 6
            } else {
                guard padding == 0, let value = values[Int(character)] else { return nil }
                group = group << 6 | value
            }
            digits += 1
            guard digits == 4 else { continue }
            bytes.append(UInt8(truncatingIfNeeded: group >> 16))
            if padding < 2 { bytes.append(UInt8(truncatingIfNeeded: group >> 8)) }
            if padding < 1 { bytes.append(UInt8(truncatingIfNeeded: group)) }
            (group, digits) = (0, 0)
        }
        return padding > 2 ? nil : bytes
    }

    private static let values: [UInt32?] = {
        var values = [UInt32?](repeating: nil, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt32(value) }
        return values
    }()
}
