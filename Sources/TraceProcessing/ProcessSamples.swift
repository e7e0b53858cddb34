import TraceMetrics
import TraceModel

/// Collects one process's series: the labels that all of them carry come in front by themselves.
struct ProcessSamples {
    let host: String
    let pid: String
    /// The process's name, `pid-<n>` where its events give none.
    private(set) var process: String
    /// What the original calls a process whose events carry no name.
    var original: String { "pid-\(pid)" }
    private(set) var samples: [MetricSample] = []

    init(host: String, pid: UInt32, name: String) {
        var host = host
        self.host = host.withUTF8 { MetricLabel.text(of: ByteView(UnsafeRawBufferPointer($0))) }
        self.pid = "\(pid)"
        process = name.isEmpty ? "pid-\(pid)" : name
    }

    /// Series from here on are those of the process under this name.
    mutating func use(name: ByteView) {
        process = name.isEmpty ? "pid-\(pid)" : MetricLabel.text(of: name)
    }

    /// A series labelled host, pid, process and `more`.
    mutating func add(_ family: MetricFamily, _ value: MetricValue, _ more: String...) {
        samples.append(
            MetricSample(family: family, labels: [host, pid, process] + more, value: value)
        )
    }

    /// A series labelled host and pid and `more`.
    mutating func addUnnamed(_ family: MetricFamily, _ value: MetricValue, _ more: String...) {
        samples.append(MetricSample(family: family, labels: [host, pid] + more, value: value))
    }

    /// A series with the original's labels, whatever they are.
    mutating func addOriginal(_ family: MetricFamily, _ value: Double, _ labels: String...) {
        samples.append(MetricSample(family: family, labels: labels, value: .gauge(value)))
    }

    /// A series with the original's labels `pid` and `process`.
    mutating func addByProcess(_ family: MetricFamily, _ value: Double) {
        addOriginal(family, value, pid, process)
    }
}
