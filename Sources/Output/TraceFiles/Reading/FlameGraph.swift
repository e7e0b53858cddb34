import Compression
import SystemIO
import TraceModel

/// Writes call paths in the formats of flame graph viewers, in pieces.
@safe package struct FlameGraph {
    /// The form of the output.
    package enum Format: String, CaseIterable, Sendable {
        /// Lines `host;process;outermost;…;innermost self-nanoseconds`, for flamegraph.pl and others.
        case folded
        /// Gzip-compressed protobuf, for `go tool pprof` and Pyroscope.
        case pprof
        /// JSON for speedscope.app.
        case speedscope
        /// One JSON object: `name`, `calls`, `self_ns`, `total_ns`, `children` and so on; the root has `coverage`.
        case json
        /// A picture: outermost calls at the top, widths by time.
        case svg
    }

    /// Receives one piece of the output.
    package typealias Output = (UnsafeRawBufferPointer) throws -> Void

    private let paths: CallPaths
    private let coverage: [UInt8]
    private let output: Output

    /// - Parameter coverage: What the paths cover, a JSON object that the root of `.json` has under `coverage`.
    package init(_ paths: CallPaths, coverage: [UInt8] = [], _ output: @escaping Output) {
        self.paths = paths
        self.coverage = coverage
        unsafe self.output = unsafe output
    }

    private static let pieceBytes = 64 << 10

    /// Writes everything in one of the text formats.
    package func write(_ format: Format) throws {
        var text = RawBuffer(capacity: Self.pieceBytes)
        switch format {
        case .folded: try writeFolded(&text)
        case .pprof: try writePprof(&text)
        case .speedscope: try writeSpeedscope(&text)
        case .json: try writeJSON(&text)
        case .svg: try writeSVG(&text)
        }
        try put(&text)
    }

    private func put(_ text: inout RawBuffer) throws {
        guard text.count > 0 else { return }
        try unsafe output(text.bytes)
        text.removeAll()
    }

    private func putIfFull(_ text: inout RawBuffer) throws {
        if text.count >= Self.pieceBytes { try put(&text) }
    }

    /// Visits nodes, parents before children, children by name. `visit` gets the path down to the node.
    private func forEachNode(_ visit: (_ path: [Int]) throws -> Void) rethrows {
        let children = paths.childrenByName()
        var path: [Int] = []
        var open: [(node: Int, depth: Int)] = children[paths.nodes.count].reversed().map { ($0, 0) }
        while let (node, depth) = open.popLast() {
            path.removeSubrange(depth...)
            path.append(node)
            try visit(path)
            for child in children[node].reversed() { open.append((child, depth + 1)) }
        }
    }

    private func name(_ node: Int) -> [UInt8] { paths.names[paths.nodes[node].name] }

    // MARK: Folded stacks

    private func writeFolded(_ text: inout RawBuffer) throws {
        try forEachNode { path in
            let node = path[path.count - 1]
            guard paths.nodes[node].selfNanoseconds > 0 else { return }
            for (depth, frame) in path.enumerated() {
                if depth > 0 { text.append(";") }
                for byte in name(frame) { text.append(byte: FoldedStacks.shown(byte)) }
            }
            text.append(" ")
            text.appendDecimal(paths.nodes[node].selfNanoseconds)
            text.append("\n")
            try putIfFull(&text)
        }
    }

    // MARK: pprof

    private func writePprof(_ text: inout RawBuffer) throws {
        let compressor = unsafe try CompressedText(output)
        let writer = unsafe PprofWriter { try unsafe compressor.append($0) }
        writer.begin(span: paths.covered)
        try forEachNode { path in
            let node = paths.nodes[path[path.count - 1]]
            guard node.calls > 0 || node.selfNanoseconds > 0, path.count > 2 else { return }
            try writer.add(
                path: path[2...].map(name),
                calls: node.calls,
                nanoseconds: node.selfNanoseconds,
                labels: [("host", .text(name(path[0]))), ("process", .text(name(path[1])))]
            )
        }
        try writer.finish()
        try compressor.finish()
    }

    // MARK: speedscope

    private func writeSpeedscope(_ text: inout RawBuffer) throws {
        text.append("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",")
        text.append("\"exporter\":\"trace-processor \(BuildInfo.version)\",")
        text.append("\"activeProfileIndex\":0,\"shared\":{\"frames\":[")
        for (position, name) in paths.names.enumerated() {
            text.append(position > 0 ? ",\n{\"name\":" : "\n{\"name\":")
            unsafe name.withUnsafeBytes { _ = unsafe text.appendJSONString(ByteView($0)) }
            text.append("}")
            try putIfFull(&text)
        }
        text.append("]},\"profiles\":[{\"type\":\"sampled\",\"name\":\"calls\",")
        text.append("\"unit\":\"nanoseconds\",\"startValue\":0,\"endValue\":")
        text.appendDecimal(paths.totalNanoseconds)
        text.append(",\"samples\":[")
        var isFirst = true
        try forEachNode { path in
            guard paths.nodes[path[path.count - 1]].selfNanoseconds > 0 else { return }
            text.append(isFirst ? "\n[" : ",\n[")
            isFirst = false
            for (depth, node) in path.enumerated() {
                if depth > 0 { text.append(",") }
                text.appendDecimal(UInt64(paths.nodes[node].name))
            }
            text.append("]")
            try putIfFull(&text)
        }
        text.append("],\"weights\":[")
        isFirst = true
        try forEachNode { path in
            let time = paths.nodes[path[path.count - 1]].selfNanoseconds
            guard time > 0 else { return }
            if !isFirst { text.append(",") }
            isFirst = false
            text.appendDecimal(time)
            try putIfFull(&text)
        }
        text.append("]}]}\n")
    }

    // MARK: JSON

    private func writeJSON(_ text: inout RawBuffer) throws {
        let totals = paths.totals()
        text.append("{\"name\":\"all\",\"calls\":0,\"self_ns\":0,\"total_ns\":")
        text.appendDecimal(paths.totalNanoseconds)
        if !coverage.isEmpty {
            text.append(",\"coverage\":")
            unsafe coverage.withUnsafeBytes { unsafe text.append($0) }
        }
        var depth = 0
        try forEachNode { path in
            let node = path[path.count - 1]
            if path.count > depth {
                text.append(",\"children\":[\n{\"name\":")
            } else {
                for _ in path.count..<depth { text.append("}]") }
                text.append("},\n{\"name\":")
            }
            depth = path.count
            unsafe name(node).withUnsafeBytes { _ = unsafe text.appendJSONString(ByteView($0)) }
            text.append(",\"calls\":")
            text.appendDecimal(paths.nodes[node].calls)
            text.append(",\"self_ns\":")
            text.appendDecimal(paths.nodes[node].selfNanoseconds)
            text.append(",\"total_ns\":")
            text.appendDecimal(totals[node])
            try putIfFull(&text)
        }
        for _ in 0..<depth { text.append("}]") }
        text.append("}\n")
    }

    // MARK: SVG

    private static let width = 1_200.0
    private static let rowHeight = 18
    /// Narrower nodes are left out, with what is inside them.
    private static let widthMin = 0.5
    /// Bytes of a name that fit into a width.
    private static let charactersPerPixel = 1 / 7.0

    private func writeSVG(_ text: inout RawBuffer) throws {
        let totals = paths.totals()
        let children = paths.childrenByName()
        let all = paths.totalNanoseconds
        let scale = all > 0 ? Self.width / Double(all) : 0
        let hosts = children[paths.nodes.count]
        var depthMax = 0
        // Twice the same walk: the height stands at the beginning.
        forEachBox(hosts, children, totals, scale) { _, depth, _ in
            depthMax = max(depthMax, depth)
        }
        let height = (depthMax + 2) * Self.rowHeight
        text.append(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1200\" height=\"\(height)\" "
        )
        text.append("viewBox=\"0 0 1200 \(height)\" font-family=\"monospace\" font-size=\"11\">\n")
        try appendBox(x: 0, depth: 0, width: Self.width, "all", all, calls: nil, &text)
        try forEachBox(hosts, children, totals, scale) { node, depth, x in
            try appendBox(
                x: x,
                depth: depth + 1,
                width: Double(totals[node]) * scale,
                Self.shown(name(node)),
                totals[node],
                calls: paths.isFunction(node) ? paths.nodes[node].calls : nil,
                &text
            )
        }
        text.append("</svg>\n")
    }

    /// Visits the nodes that are wide enough, with their depth and the position of their left edge.
    private func forEachBox(
        _ hosts: [Int],
        _ children: [[Int]],
        _ totals: [UInt64],
        _ scale: Double,
        _ visit: (Int, _ depth: Int, _ x: Double) throws -> Void
    ) rethrows {
        var open: [(nodes: [Int], next: Int, x: Double)] = [(hosts, 0, 0)]
        while let level = open.last {
            guard level.next < level.nodes.count else {
                open.removeLast()
                continue
            }
            let node = level.nodes[level.next]
            let width = Double(totals[node]) * scale
            open[open.count - 1].next += 1
            open[open.count - 1].x += width
            guard width >= Self.widthMin else { continue }
            try visit(node, open.count - 1, level.x)
            open.append((children[node], 0, level.x))
        }
    }

    private func appendBox(
        x: Double,
        depth: Int,
        width: Double,
        _ name: String,
        _ nanoseconds: UInt64,
        calls: UInt64?,
        _ text: inout RawBuffer
    ) throws {
        let all = Double(max(paths.totalNanoseconds, 1))
        let (y, left) = (depth * Self.rowHeight, Self.hundredths(x))
        let percent = Self.hundredths(Double(nanoseconds) * 100 / all)
        let milliseconds = Self.hundredths(Double(nanoseconds) / 1e6)
        let count = calls.map { ", \($0) calls" } ?? ""
        text.append("<g><title>\(name): \(milliseconds) ms, \(percent) %\(count)</title>")
        text.append("<rect x=\"\(left)\" y=\"\(y)\" width=\"\(Self.hundredths(width))\" ")
        text.append("height=\"\(Self.rowHeight - 1)\" fill=\"\(Self.colour(of: name))\"/>")
        let fitting = Int((width - 6) * Self.charactersPerPixel)
        if fitting >= 3 {
            text.append("<text x=\"\(Self.hundredths(x + 3))\" y=\"\(y + 13)\">")
            text.append(Self.cut(name, at: fitting))
            text.append("</text>")
        }
        text.append("</g>\n")
        try putIfFull(&text)
    }

    /// Formats a number with two decimals.
    private static func hundredths(_ number: Double) -> String {
        let whole = Int((number * 100).rounded())
        let rest = whole % 100
        return "\(whole / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    /// A warm colour that a name always has.
    private static func colour(of name: String) -> String {
        let hash = name.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        return "rgb(\(205 + hash % 50),\(90 + hash / 64 % 110),\(60 + hash / 8_192 % 50))"
    }

    /// Returns a name as text of XML: what XML has no characters for is replaced.
    private static func shown(_ name: [UInt8]) -> String {
        var shown = ""
        for scalar in String(decoding: name, as: UTF8.self).unicodeScalars {
            switch scalar {
            case "&": shown += "&amp;"
            case "<": shown += "&lt;"
            case ">": shown += "&gt;"
            case "\"": shown += "&quot;"
            case _
            where scalar.value < 0x20 || scalar.properties.generalCategory == .control
                || scalar.value & 0xFFFE == 0xFFFE:
                shown += "\u{FFFD}"
            default: shown.unicodeScalars.append(scalar)
            }
        }
        return shown
    }

    /// Cuts escaped text at a number of characters, an escaped one counting once.
    private static func cut(_ text: String, at count: Int) -> String {
        var cut = ""
        var left = count
        var isEscaped = false
        for scalar in text.unicodeScalars {
            if left == 0 { return cut + "…" }
            cut.unicodeScalars.append(scalar)
            if scalar == "&" { isEscaped = true }
            if scalar == ";" { isEscaped = false }
            if !isEscaped { left -= 1 }
        }
        return cut
    }
}

/// Compresses an output with gzip in pieces.
@safe private final class CompressedText {
    private let compressor: CompressedWriter
    private let output: FlameGraph.Output

    init(_ output: @escaping FlameGraph.Output) throws {
        compressor = try CompressedWriter(.gzip)
        unsafe self.output = unsafe output
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws {
        try unsafe compressor.compress(bytes, isLast: false) { try unsafe output($0) }
    }

    func finish() throws {
        let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        try unsafe compressor.compress(none, isLast: true) { try unsafe output($0) }
    }
}
