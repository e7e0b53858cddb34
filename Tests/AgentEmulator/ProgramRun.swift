/// A traced process.
package struct TracedProcess: Sendable {
    package let pid: UInt32
    package let parent: UInt32
    package let comm: String
    /// Thread ids in order; the first one is `pid`.
    package let threads: [TracedThread]
}

/// A thread of a traced process.
package struct TracedThread: Sendable {
    package let id: UInt32
    package let name: String
}

/// Everything that happens in the traced processes, in order of time, whatever an agent says of it.
package struct ProgramRun: Sendable {
    package let processes: [TracedProcess]
    package let happenings: [Happening]

    /// Puts what several threads do into one order: by time, and at the same time as given.
    init(processes: [TracedProcess], happenings: [Happening]) {
        self.processes = processes
        self.happenings = happenings.enumerated().sorted {
            ($0.element.time, $0.offset) < ($1.element.time, $1.offset)
        }
        .map(\.element)
    }
}

/// One thing that happens in a traced process.
package struct Happening: Sendable {
    /// Microseconds since the start of the run.
    package var time: Int64
    /// The position of the process in `ProgramRun.processes`.
    package let process: Int
    package let thread: UInt32
    package let action: Action

    package init(time: Int64, process: Int, thread: UInt32, action: Action) {
        self.time = time
        self.process = process
        self.thread = thread
        self.action = action
    }
}

/// What happens.
package enum Action: Sendable {
    case enter(ProgramFunction)
    /// The end of the call that began at this time.
    case leave(ProgramFunction, began: Int64)
    case scheduled(CPUSlice)
    case allocate(MemoryBlock)
    case free(MemoryBlock)
    case packet(Packet)
    case disk(DiskOperation)
    case launch(kernel: String)
    case deviceMemory(bytes: UInt64)
    case transfer(kind: String, mebibytesPerSecond: Double)
    case callStack([String])
}

/// What a process did on its CPUs since its previous slice.
package struct CPUSlice: Sendable {
    package let cpu: UInt32
    /// Microseconds on a CPU.
    package let onTime: Int64
    package let isMigration: Bool
    package let isNUMAMigration: Bool
}

/// An allocation on the heap.
package struct MemoryBlock: Sendable {
    package let address: UInt64
    package let size: UInt64
    package let stack: UInt64
}

/// A packet that a thread sends or receives.
package struct Packet: Sendable {
    package let isSend: Bool
    package let bytes: UInt64
    package let connection: Connection
    /// Whether the packet may follow another one so quickly that an agent skips it.
    package var isSkippable = false
}

/// A connection as the traced process sees it.
package struct Connection: Hashable, Sendable {
    package let transport: String
    package let localAddress: String
    package let localPort: UInt32
    package let remoteAddress: String
    package let remotePort: UInt32
}

/// A read or a write, at its end.
package struct DiskOperation: Sendable {
    package let isRead: Bool
    package let bytes: UInt64
    /// Microseconds.
    package let latency: Int64
    package let device: String
}

/// A function of the traced programs.
package enum ProgramFunction: Int, CaseIterable, Sendable {
    case trainStep, nextBatch, forward, layer, traverse, launchKernel, copyMemory, allocate
    case streamStep, handleRequest, parse, unnamed, loadFile, decode, checkpoint

    /// As the agent sends it; one is empty, as of a symbol that could not be resolved.
    package var name: String {
        switch self {
        case .trainStep: "train_step"
        case .nextBatch: "next_batch(int)"
        case .forward: "Model::forward(Tensor const&)"
        case .layer: "Layer::apply<float>"
        case .traverse: "traverse"
        case .launchKernel: "cudaLaunchKernel"
        case .copyMemory: "cudaMemcpy"
        case .allocate: "operator new(unsigned long)"
        case .streamStep: "stream_step"
        case .handleRequest: "handle_request"
        case .parse: "parse"
        case .unnamed: ""
        case .loadFile: "load_file"
        case .decode: "decode"
        case .checkpoint: "write_checkpoint"
        }
    }

    /// As the server shows it.
    package var shownName: String { name.isEmpty ? "unknown" : name }

    /// The function's id, the same for all of its calls.
    package var cookie: Int64 { 0x5EED_0000_1000 + Int64(rawValue) * 0x40 }
}
