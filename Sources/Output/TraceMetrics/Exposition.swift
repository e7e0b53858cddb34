package import TraceModel

/// The metric families that a page shows. The two sets share no name, so a page may hold either or both.
package struct MetricNames: OptionSet, Hashable, Sendable {
    /// The server's own families, which begin with `trace_`.
    package static let trace = MetricNames(rawValue: 1)
    /// The families of the original server, which begin with `neutracer_`.
    package static let neutracer = MetricNames(rawValue: 2)
    package static let all: MetricNames = [.trace, .neutracer]

    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }
}

/// Renders a `MetricReading` as a page in one of the formats that Prometheus reads.
package struct Exposition {
    /// The format of a page.
    package enum Format: Sendable {
        /// Prometheus text format 0.0.4.
        case text
        /// OpenMetrics 1.0.
        case openMetrics

        package var contentType: String {
            switch self {
            case .text: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    private let format: Format
    private var bytes: [UInt8] = []
    /// The labels of the current series, escaped and without braces.
    private var labelBlock: [UInt8] = []

    private init(_ format: Format) { self.format = format }

    /// Returns a page with the families of `names`, the server's own first. O(lines), about 100 ns a line.
    /// - Parameter now: The time of the reading; the original's inactivity time is relative to it.
    package static func render(
        _ reading: MetricReading,
        _ names: MetricNames,
        _ format: Format,
        now: EpochNanoseconds
    ) -> [UInt8] {
        var page = Exposition(format)
        page.bytes.reserveCapacity(1 << 16)
        if names.contains(.trace) {
            for family in reading.families where !family.descriptor.family.isNeuTracer {
                page.append(family)
            }
        }
        if names.contains(.neutracer) {
            // Derived families are built one at a time, so that no more than one is in memory.
            for descriptor in MetricCatalog.all where descriptor.family.isNeuTracer {
                let family = NeuTracerFamilies.family(descriptor, of: reading, now: now)
                if let family { page.append(family) }
            }
        }
        if format == .openMetrics { page.append("# EOF\n") }
        return page.bytes
    }

    // MARK: A family

    private mutating func append(_ family: FamilyReading) {
        let descriptor = family.descriptor
        appendHead(of: descriptor)
        switch descriptor.kind {
        case .counter, .gauge: for series in 0..<family.count { appendLine(family, series) }
        case .histogram:
            let bounds = descriptor.bounds.map { Array(ExpositionNumber.bound($0).utf8) }
            for series in 0..<family.count { appendHistogram(family, series, bounds) }
        }
    }

    private mutating func appendHead(of descriptor: MetricDescriptor) {
        let name = headName(of: descriptor)
        append("# HELP \(name) ")
        Self.appendEscaped(descriptor.help, quotes: format == .openMetrics, to: &bytes)
        append("\n# TYPE \(name) ")
        switch descriptor.kind {
        case .counter: append("counter\n")
        case .gauge: append("gauge\n")
        case .histogram: append("histogram\n")
        }
        if format == .openMetrics, !descriptor.unit.isEmpty {
            append("# UNIT \(name) \(descriptor.unit)\n")
        }
    }

    /// OpenMetrics names a counter's family without the samples' `_total`.
    private func headName(of descriptor: MetricDescriptor) -> String {
        let suffix = "_total"
        guard format == .openMetrics, descriptor.kind == .counter, descriptor.name.hasSuffix(suffix)
        else {
            return descriptor.name
        }
        return String(descriptor.name.dropLast(suffix.count))
    }

    // MARK: A series

    private mutating func appendLine(_ family: FamilyReading, _ series: Int) {
        let descriptor = family.descriptor
        setLabelBlock(family, series)
        append(descriptor.name)
        if !labelBlock.isEmpty {
            append(byte: "{")
            bytes.append(contentsOf: labelBlock)
            append(byte: "}")
        }
        append(byte: " ")
        ExpositionNumber.append(double(family.numbers(of: series)), to: &bytes)
        append(byte: "\n")
    }

    private mutating func appendHistogram(
        _ family: FamilyReading,
        _ series: Int,
        _ bounds: [[UInt8]]
    ) {
        let descriptor = family.descriptor
        let numbers = family.numbers(of: series)
        setLabelBlock(family, series)
        var start = Array("\(descriptor.name)_bucket{".utf8)
        start.append(contentsOf: labelBlock)
        if !labelBlock.isEmpty { start.append(UInt8(ascii: ",")) }
        start.append(contentsOf: "le=\"".utf8)
        var cumulative: UInt64 = 0
        for (index, count) in numbers.dropLast().enumerated() {
            cumulative &+= count
            bytes.append(contentsOf: start)
            if index < bounds.count {
                bytes.append(contentsOf: bounds[index])
            } else {
                append("+Inf")
            }
            append("\"} ")
            ExpositionNumber.append(cumulative, to: &bytes)
            append(byte: "\n")
        }
        appendTail(descriptor, "_sum")
        ExpositionNumber.append(double(numbers), to: &bytes)
        append(byte: "\n")
        appendTail(descriptor, "_count")
        ExpositionNumber.append(cumulative, to: &bytes)
        append(byte: "\n")
    }

    private mutating func appendTail(_ descriptor: MetricDescriptor, _ suffix: String) {
        append(descriptor.name)
        append(suffix)
        if !labelBlock.isEmpty {
            append(byte: "{")
            bytes.append(contentsOf: labelBlock)
            append(byte: "}")
        }
        append(byte: " ")
    }

    private mutating func setLabelBlock(_ family: FamilyReading, _ series: Int) {
        labelBlock.removeAll(keepingCapacity: true)
        for (position, name) in family.descriptor.labels.enumerated() {
            if position > 0 { labelBlock.append(UInt8(ascii: ",")) }
            labelBlock.append(contentsOf: name.utf8)
            labelBlock.append(contentsOf: "=\"".utf8)
            let value = family.text(of: family.labelNumber(series, position))
            Self.appendEscaped(value, quotes: true, to: &labelBlock)
            labelBlock.append(UInt8(ascii: "\""))
        }
    }

    /// Returns a value's last number: a counter's or gauge's value, or a histogram's sum.
    private func double(_ numbers: ArraySlice<UInt64>) -> Double {
        Double(bitPattern: numbers.last ?? 0)
    }

    // MARK: Bytes

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func append(byte: Unicode.Scalar) { bytes.append(UInt8(ascii: byte)) }

    /// Escapes backslash and newline, and with `quotes` (label values, and help texts of OpenMetrics) double quotes.
    private static func appendEscaped(_ text: String, quotes: Bool, to bytes: inout [UInt8]) {
        func isSpecial(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "\n")
                || quotes && byte == UInt8(ascii: "\"")
        }
        guard text.utf8.contains(where: isSpecial) else {
            bytes.append(contentsOf: text.utf8)
            return
        }
        for byte in text.utf8 {
            if isSpecial(byte) { bytes.append(UInt8(ascii: "\\")) }
            bytes.append(byte == UInt8(ascii: "\n") ? UInt8(ascii: "n") : byte)
        }
    }
}

/// Builds the original server's families from a reading: those that workers send, and those derived from our own.
enum NeuTracerFamilies {
    /// Returns a family's series, or nil where it has none. O(series). `now` is the time of the reading.
    static func family(
        _ descriptor: MetricDescriptor,
        of reading: MetricReading,
        now: EpochNanoseconds
    ) -> FamilyReading? {
        if descriptor.family == .neutracerInactivityTimeSeconds {
            return inactivity(descriptor, of: reading, now: now)
        }
        guard let derivation = descriptor.derivation else {
            return reading.family(descriptor.family)
        }
        guard let source = reading.family(derivation.source) else { return nil }
        return derive(descriptor, derivation, from: source)
    }

    /// Returns the time since the last batch, or nil before the first batch.
    private static func inactivity(
        _ descriptor: MetricDescriptor,
        of reading: MetricReading,
        now: EpochNanoseconds
    ) -> FamilyReading? {
        guard let last = reading.family(.lastActivityTimestampSeconds), last.count == 1,
            case .gauge(let seconds) = last.value(of: 0), seconds > 0
        else { return nil }
        var family = FamilyReading(descriptor)
        family.merge([], .gauge(max(0, Double(now) / 1e9 - seconds)))
        return family
    }

    /// Derives a family from another one. Source series that share all remaining labels are added up; of such gauges
    /// the last one is kept.
    private static func derive(
        _ descriptor: MetricDescriptor,
        _ derivation: MetricDescriptor.Derivation,
        from source: FamilyReading
    ) -> FamilyReading {
        var family = source.emptied(for: descriptor)
        var positions: [SeriesLabels: Int] = [:]
        var pidTexts: [UInt32: UInt32] = [:]
        for series in 0..<source.count {
            var labels = SeriesLabels()
            for (position, label) in derivation.labels.enumerated() {
                switch label {
                case .copy(let index): labels[position] = source.labelNumber(series, index)
                case .processOfPID(let index):
                    let pid = source.labelNumber(series, index)
                    let text = pidTexts[pid] ?? family.add(text: "pid-" + source.text(of: pid))
                    pidTexts[pid] = text
                    labels[position] = text
                }
            }
            if let position = positions[labels] {
                family.add(source.value(of: series), to: position)
            } else {
                positions[labels] = family.count
                family.append(labels, source.numbers(of: series))
            }
        }
        return family
    }
}
