import TraceModel
import TraceWire

extension GoldenScript {
    /// Entries and exits that nest, recur, miss their other half, come late, and outlast the window.
    mutating func addFunctions() {
        batches(at: 2) { batch in
            batch.call(.entry, "main", cookie: 1, at: 500)
            batch.call(.entry, "main", cookie: 2, at: 501)
            batch.call(.exit, "main", cookie: 2, at: 1_001)
            for (index, name) in Self.names.enumerated() {
                let time = 1_002 + Int64(index) * 10
                batch.call(.entry, name, cookie: -1, at: time)
                batch.call(.exit, name, cookie: -1, at: time + 3)
            }
            // Two at one time, and then an earlier one.
            batch.call(.entry, "f", cookie: .min, at: 1_200, calls: .max)
            batch.call(.entry, "f", cookie: .max, at: 1_200)
            batch.call(.exit, "f", cookie: .max, at: 1_200)
            batch.call(.entry, "late", cookie: 3, at: 1_150, thread: 12)
            batch.call(.exit, "never entered", cookie: 4, at: 1_300)
            batch.call(.init(7), "neither", cookie: 5, at: 1_301)
        }
        batches(at: 3) { batch in
            batch.call(.exit, "late", cookie: 3, at: 1_400, thread: 12)
            batch.call(.entry, "no time", cookie: 6, timestamp: "yesterday")
            batch.call(.exit, "no time", cookie: 6, timestamp: "")
        }
        tick(at: 40)
        rotate()
        batches(at: 50) { batch in
            batch.call(.exit, "f", cookie: .min, at: 50_000)
            batch.call(.exit, "main", cookie: 1, at: 50_001)
            batch.call(.entry, "main", cookie: 7, at: 50_001)
        }
    }

    /// Stacks, memory, launches, transfers, and events of no known kind.
    mutating func addGPUs() {
        batches(at: 2) { batch in
            for (index, name) in Self.names.enumerated() {
                let time = 900 + Int64(index) * 10
                batch.gpu(at: time, .launch(pid: 20, kernelName: name, calls: UInt64(index)))
                batch.gpu(at: time + 1, .transfer(pid: 20, bytesPerSecond: .max, kind: name))
                batch.gpu(at: time + 2, .callStack(pid: 20, frames: ["main", "a|b", "", name]))
            }
            batch.gpu(at: 1_100, .callStack(pid: 20, frames: ["cudaLaunchKernel+0x1", " \t"]))
            batch.gpu(at: 1_101, .callStack(pid: 21, frames: []))
            batch.gpu(at: 1_102, .callStack(pid: 21, frames: (0..<600).map { "frame \($0)" }))
            batch.gpu(at: 1_003, .memory(pid: 20, bytes: .max))
            batch.gpu(at: 1_003, .memory(pid: 20, bytes: 0))
            batch.gpu(at: 1_200, .none)
            // An event of type 7 with a time and nothing else: field 2, 14 bytes.
            let time = Array(Self.time(1_300).utf8)
            batch.add(
                0,
                bytes: [0x12, UInt8(time.count + 4), 0x0A, UInt8(time.count)] + time + [0x10, 7]
            )
        }
        rotate()
        batches(at: 5) { batch in
            batch.gpu(at: 4_000, .launch(pid: 20, kernelName: "plain", calls: 5))
            batch.gpu(at: 4_001, .callStack(pid: 20, frames: ["main", "a|b", "", "plain"]))
        }
    }
}

extension GoldenScript.Batch {
    struct CallEdge {
        static let entry = CallEdge(0)
        static let exit = CallEdge(1)
        let type: Int32
        init(_ type: Int32) { self.type = type }
    }

    fileprivate mutating func call(
        _ edge: CallEdge,
        _ name: String,
        cookie: Int64,
        at milliseconds: Int64 = 0,
        timestamp: String? = nil,
        thread: UInt32 = 10,
        calls: UInt64 = 3
    ) {
        add(10) {
            var event = BatchEncoder.Function()
            event.timestamp = timestamp ?? GoldenScript.time(milliseconds)
            event.eventType = edge.type
            event.cookie = cookie
            event.functionName = name
            event.pid = thread
            event.tgid = 10
            event.callCount = calls
            event.averageDurationMicroseconds = calls
            $0.append(event)
        }
    }

    fileprivate mutating func gpu(at milliseconds: Int64, _ payload: BatchEncoder.GPU.Payload) {
        let pid: UInt32 =
            switch payload {
            case .none: 0
            case .callStack(let pid, _), .memory(let pid, _), .launch(let pid, _, _),
                .transfer(let pid, _, _):
                pid
            }
        add(pid) {
            var event = BatchEncoder.GPU()
            event.timestamp = GoldenScript.time(milliseconds)
            event.payload = payload
            $0.append(event)
        }
    }
}
