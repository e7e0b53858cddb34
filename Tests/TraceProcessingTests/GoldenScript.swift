import TraceModel
import TraceWire

/// A fixed, small sequence of batches of one resource, with every kind of value that a file has to bear:
/// what the golden files are made of.
struct GoldenScript {
    enum Step {
        case batch(ContractBatch)
        /// The clock as the log has it, without events.
        case tick(EpochNanoseconds)
    }

    /// 2025-12-31 23:59:59 UTC: the script's first second, the last one of a year.
    static let start: EpochNanoseconds = 1_767_225_599_000_000_000

    /// Names as they come and as they must not be trusted. `<~>` stands for bytes that are no UTF-8.
    static let names = [
        "plain", "quoted \"name\", with a \\", "two\nlines\r\nand a\ttab",
        "\u{1}control\u{1F}\u{7F}",
        "💥 é\u{301} \u{2028}", "no UTF-8 <~> here", "=SUM(A1:A2)", "@cmd", "-1+2",
        String(repeating: "long ", count: 65_536 / 5),
    ]

    /// Steps by window.
    private(set) var windows: [[Step]] = [[]]
    private var lsn: LSN = 0

    static func of(_ resource: Resource) -> GoldenScript {
        var script = GoldenScript()
        switch resource {
        case .function: script.addFunctions()
        case .cpu: script.addCPUs()
        case .memory: script.addMemory()
        case .network: script.addNetwork()
        case .io: script.addIO()
        case .gpu: script.addGPUs()
        }
        return script
    }

    // MARK: Steps

    /// A batch of events of two hosts' processes of one id: `fill` is called once a host.
    mutating func batches(at seconds: Int64, _ fill: (inout Batch) -> Void) {
        for host in EventGenerator.hosts.prefix(2) {
            lsn += 100
            var batch = Batch(host: host)
            fill(&batch)
            windows[windows.count - 1].append(
                .batch(
                    ContractBatch(
                        host: host,
                        events: batch.events,
                        arrival: Self.start + seconds * 1_000_000_000,
                        lsn: lsn
                    )
                )
            )
        }
    }

    mutating func tick(at seconds: Int64) {
        windows[windows.count - 1].append(.tick(Self.start + seconds * 1_000_000_000))
    }

    mutating func rotate() { windows.append([]) }

    /// Events in the order in which they are sent.
    struct Batch {
        let host: String
        private(set) var events: [ContractEvent] = []

        init(host: String) { self.host = host }

        mutating func add(_ pid: UInt32, _ append: (inout BatchEncoder) -> Void) {
            var encoder = BatchEncoder()
            append(&encoder)
            add(pid, bytes: EventGenerator.spoiled(Array(encoder.bytes)))
        }

        /// Bytes that an encoder would not write.
        mutating func add(_ pid: UInt32, bytes: [UInt8]) {
            events.append(ContractEvent(host: host, pid: pid, time: 0, bytes: bytes))
        }
    }

    /// So many milliseconds from the start, within a minute: even ones as a date, odd ones as seconds.
    static func time(_ milliseconds: Int64) -> String {
        if milliseconds % 2 == 1 {
            return ContractEvent.timestamp(start + milliseconds * 1_000_000)
        }
        let fraction = "\(milliseconds % 1_000 + 1_000)".dropFirst()
        if milliseconds < 1_000 { return "2025-12-31 23:59:59.\(fraction)" }
        let second = "\(milliseconds / 1_000 + 99)".dropFirst()
        return "2026-01-01 00:00:\(second).\(fraction)"
    }
}
