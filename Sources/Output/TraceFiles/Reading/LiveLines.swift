import SystemIO
package import TraceModel

/// The findings of windows that are not published yet, in order of time, as the aggregator has them. They are borrowed
/// from its answer.
package struct LiveLines {
    /// A window of a resource.
    private struct Window: Hashable {
        let resource: [UInt8]
        let window: UInt64
    }

    private var lines: [AnomalyLine] = []
    private var at = 0

    /// Reads an answer. Takes what the selection has and what is in none of the `published` windows.
    package init(
        _ answer: UnsafeRawBufferPointer,
        _ selection: AnomalySelection,
        published: [FinalWindow]
    ) {
        let published = Set(
            published.map {
                Window(resource: Self.json($0.resource.name), window: $0.window)
            }
        )
        let resource = selection.resource.map { Self.json($0.name) }
        let rule = selection.rule.map(Self.json)
        let host = selection.host.map(Self.json)
        let pieces = unsafe answer.split(separator: UInt8(ascii: "\n"))
        for place in unsafe pieces.indices {
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: pieces[place])
            guard let line = unsafe AnomalyLine(bytes),
                let window = line.window,
                unsafe !published.contains(
                    Window(resource: Array(line.resource), window: window)
                ),
                line.ts >= selection.from ?? .min, line.ts <= selection.to ?? .max,
                selection.pid.map({ $0 == line.pid }) ?? true,
                unsafe resource?.elementsEqual(line.resource) ?? true,
                unsafe rule?.elementsEqual(line.rule) ?? true,
                unsafe host?.elementsEqual(line.host) ?? true
            else { continue }
            lines.append(line)
        }
        lines.sort { $0.ts < $1.ts }
    }

    /// Returns the next finding that is not later than `ts`.
    package mutating func next(upTo ts: EpochNanoseconds) -> AnomalyLine? {
        guard at < lines.count, lines[at].ts <= ts else { return nil }
        defer { at += 1 }
        return lines[at]
    }

    /// Calls `body` with each finding.
    package func forEachFinding(_ body: (AnomalyLine) throws -> Void) rethrows {
        try lines.forEach(body)
    }

    /// Returns a text as the workers write it.
    private static func json(_ text: String) -> [UInt8] {
        var text = text
        var buffer = RawBuffer()
        text.withUTF8 {
            _ = unsafe buffer.appendJSONString(ByteView(UnsafeRawBufferPointer($0)))
        }
        return unsafe Array(buffer.bytes)
    }
}
