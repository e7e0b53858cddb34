package import TraceModel

/// The kind of a family: how its values behave and merge.
package enum MetricKind: UInt8, Sendable {
    /// A value that only grows. Values of several sources are added up.
    case counter = 0
    /// A value of which the latest counts.
    case gauge = 1
    /// Counts by bucket and a sum. Values of several sources are added up.
    case histogram = 2
}

/// Makes label values that may be sent and exposed.
package enum MetricLabel {
    /// The value of every label of the series into which a family's series beyond its limit are folded.
    package static let other = "other"

    /// Returns a name as text of at most `Limits.labelBytesMax` bytes; invalid UTF-8 becomes U+FFFD.
    /// A name that is longer, or had to be repaired, keeps its beginning and gets `~` and the hash of all its bytes
    /// appended, so that two names never become one series. Not for the hot path: it runs once a name, when the name is
    /// interned.
    package static func text(of bytes: ByteView) -> String {
        let kept = bytes.cut(at: Limits.labelBytesMax + 4)
        let whole = kept.string
        if bytes.count <= Limits.labelBytesMax, unsafe whole.utf8.elementsEqual(kept.buffer) {
            return whole
        }
        let hash = unsafe String(Slot.hash(host: bytes.buffer), radix: 16)
        var start = whole[...]
        // Remove one scalar at a time: U+FFFD takes three bytes where one byte may have been sent.
        while start.utf8.count > Limits.labelBytesMax - 17 { start.unicodeScalars.removeLast() }
        return start + "~" + hash
    }
}

/// Bucket bounds that several families share, in base units.
package enum MetricBounds {
    /// Durations of function calls, in seconds.
    package static let functionSeconds: [Double] = [
        0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5,
    ]
    /// Latencies of I/O and of the service, in seconds.
    package static let latencySeconds: [Double] = [
        0.000_01, 0.000_1, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5,
    ]
    /// Durations of a window's merge, in seconds.
    package static let mergeSeconds: [Double] = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60]
    /// Sizes of allocations, in bytes.
    package static let allocationBytes: [Double] = [
        128, 512, 2_048, 8_192, 32_768, 131_072, 524_288, 2_097_152, 4_194_304,
    ]
    /// Numbers of events in one batch.
    package static let batchEvents: [Double] = [
        1, 10, 50, 100, 250, 500, 1_000, 5_000, 10_000, 100_000,
    ]
}

/// The name, meaning and labels of a metric family.
package struct MetricDescriptor: Sendable {
    /// Says how a family that is not sent is derived from another family.
    package struct Derivation: Sendable {
        /// One label of the derived series.
        package enum Label: Sendable {
            /// The source's label at this position.
            case copy(Int)
            /// The text `pid-<n>` for the process id at this position.
            case processOfPID(Int)
        }

        package let source: MetricFamily
        package let labels: [Label]
    }

    package let family: MetricFamily
    /// The sample's full name. Counters end in `_total`, except where the original's name does not.
    package let name: String
    package let kind: MetricKind
    /// `seconds`, `bytes`, `ratio`, or empty. The name (without `_total`) ends in it.
    package let unit: String
    package let help: String
    package let labels: [String]
    /// Upper bounds of a histogram's buckets, ascending, without +Inf, in `unit`.
    package let bounds: [Double]
    package let derivation: Derivation?
    /// Where the labels of a worker's series come from.
    let sources: [LabelSource]

    init(
        _ family: MetricFamily,
        _ name: String,
        _ kind: MetricKind,
        _ help: String,
        labels: [String] = [],
        unit: String = "",
        bounds: [Double] = [],
        from derivation: Derivation? = nil
    ) {
        precondition(
            (kind == .histogram) == !bounds.isEmpty,
            "bounds belong to histograms: \(name)"
        )
        self.family = family
        self.name = name
        self.kind = kind
        self.unit = unit
        self.help = help
        self.labels = labels
        self.bounds = bounds
        self.derivation = derivation
        sources = LabelSource.sources(of: family, labels: labels)
    }
}

/// The origin of a label of a worker's series. A value that several series of one process share is sent once.
enum LabelSource: UInt8, Sendable {
    case host
    case pid
    /// The name of the process.
    case process
    /// `pid-<n>`, which is what the original calls a process whose name it does not know.
    case pidText
    /// The function, kernel or kind of transfer that the series describes.
    case name
    /// A text of this series alone.
    case text

    /// Returns the sources of a family's labels.
    static func sources(of family: MetricFamily, labels: [String]) -> [LabelSource] {
        labels.map { label in
            switch label {
            case "host": .host
            case "pid": .pid
            case "process": isFunction(family) ? .pidText : .process
            case "function", "kernel", "kernel_name", "kind_str": .name
            case "kind": labels.contains("pid") ? .name : .text
            default: .text
            }
        }
    }

    /// Whether a family's events are calls, which carry no process name.
    private static func isFunction(_ family: MetricFamily) -> Bool {
        switch family {
        case .neutracerFunctionCallsTotal, .neutracerFunctionStats, .neutracerActiveFunctions,
            .neutracerFunctionDurationSeconds:
            true
        default: false
        }
    }
}

/// Every metric family. Raw values are sent between processes and stored in the aggregator's saved state, so never
/// reuse one. `MetricCatalog` holds each family's name, kind and labels.
package enum MetricFamily: UInt16, CaseIterable, Sendable, Hashable {
    // MARK: What agents sent
    case eventsTotal = 1
    case batchEvents = 2
    case batchProcessingSeconds = 3
    case activeClients = 4
    case lastActivityTimestampSeconds = 5
    case timestampsInvalidTotal = 6
    case batchesRefusedTotal = 7
    case functionCallsTotal = 8
    case functionSlowCallsTotal = 9
    case functionDurationSeconds = 10
    case functionUnmatchedExitsTotal = 11
    case activeFunctions = 12
    case cpuUtilizationRatio = 13
    case cpuMigrationsTotal = 14
    case cpuNumaMigrationsTotal = 15
    case cpuTimeSecondsTotal = 16
    case memoryUsageBytes = 17
    case memoryPeakBytes = 18
    case memoryAllocationsTotal = 19
    case memoryFreesTotal = 20
    case memoryAllocationSizeBytes = 21
    case networkBytesTotal = 22
    case networkPacketsTotal = 23
    case networkActiveConnections = 24
    case networkListeningPorts = 25
    case ioBytesTotal = 26
    case ioOperationsTotal = 27
    case ioLatencySeconds = 28
    case gpuMemoryBytes = 29
    case gpuKernelLaunchesTotal = 30
    case gpuTransferRateBytesPerSecond = 31
    case anomaliesTotal = 32
    case valuesInvalidTotal = 33
    case memoryAllocatedBytesTotal = 34
    case memoryFreedBytesTotal = 35
    case networkBytesSampled = 36
    case functionMeanDurationSeconds = 37
    case hostLastBatchTimestampSeconds = 38

    // MARK: About this server
    case buildInfo = 100
    case errorsTotal = 101
    case receivedEventsTotal = 102
    case writtenEventsTotal = 103
    case deduplicatedEventsTotal = 104
    case deadLetteredEventsTotal = 105
    case rejectedEventsTotal = 106
    case routerLogBudgetBytes = 109
    case routerUp = 110
    case routerAccepting = 111
    case routerHeadLSN = 112
    case routerLogBytes = 113
    case routerQueueBytes = 114
    case routerFsyncSeconds = 115
    case routerAckSeconds = 116
    case routerDiskFreeBytes = 117
    case routerWindow = 118
    case routerSlotMoveSeconds = 119
    case workerUp = 120
    case workerLagBytes = 121
    case workerAppliedLSN = 122
    case workerCheckpointLSN = 123
    case workerRestartsTotal = 124
    case workerAppliedEventsTotal = 125
    case workerBusySecondsTotal = 126
    case workerSkewRatio = 127
    case workerLost = 128
    case processRecentEnds = 129
    case mergesTotal = 130
    case mergeBytesTotal = 131
    case mergeSeconds = 132
    case finalFilesTotal = 133
    case retentionWindows = 134
    case retentionBytes = 135
    case retentionFilesDeletedTotal = 136
    case retentionBytesDeletedTotal = 137
    case mergeWaitingWindows = 138
    case mergeCurrentBytes = 139
    case metricSeries = 140
    case mergeCurrentMergedBytes = 141
    case mergeSegmentBytesTotal = 142
    case workerCheckpointsTotal = 143
    case workerCheckpointSecondsTotal = 144
    case workerCheckpointBytesTotal = 145
    case lostRowsTotal = 146
    case rebuiltRowsTotal = 147
    case objectStoreUploadedFilesTotal = 148
    case objectStoreUploadedBytesTotal = 149
    case objectStoreFailuresTotal = 150
    case objectStoreWaitingWindows = 151
    case objectStoreOldestWaitingSeconds = 152
    case grpcConnectionsClosedTotal = 160
    case httpConnectionsClosedTotal = 180
    case httpAcceptErrorsTotal = 181

    // MARK: The original server's families
    case neutracerTracesTotal = 200
    case neutracerBatchSize = 201
    case neutracerActiveClients = 202
    case neutracerProcessingTimeSeconds = 203
    case neutracerInactivityTimeSeconds = 204
    case neutracerFunctionCallsTotal = 210
    case neutracerFunctionDurationSeconds = 211
    case neutracerFunctionStats = 212
    case neutracerActiveFunctions = 213
    case neutracerCPUUtilizationPercent = 220
    case neutracerCPUOnTimeMicroseconds = 221
    case neutracerCPUOffTimeMicroseconds = 222
    case neutracerCPUMigrationsTotal = 223
    case neutracerNumaMigrationsTotal = 224
    case neutracerIOThroughputBytes = 230
    case neutracerIOLatencyMilliseconds = 231
    case neutracerIOOperationsPerSecond = 232
    case neutracerIOTotalBytes = 233
    case neutracerMemoryUsageBytes = 240
    case neutracerMemoryPeakBytes = 241
    case neutracerMemoryAllocationsPerSecond = 242
    case neutracerMemoryFreesPerSecond = 243
    case neutracerMemoryTotalAllocations = 244
    case neutracerMemoryTotalFrees = 245
    case neutracerMemoryAllocationSizeBytes = 246
    case neutracerNetworkTxBytesRate = 250
    case neutracerNetworkRxBytesRate = 251
    case neutracerNetworkTxPacketsRate = 252
    case neutracerNetworkRxPacketsRate = 253
    case neutracerNetworkTotalTxBytes = 254
    case neutracerNetworkTotalRxBytes = 255
    case neutracerNetworkTotalTxPackets = 256
    case neutracerNetworkTotalRxPackets = 257
    case neutracerNetworkActiveConnections = 258
    case neutracerNetworkListeningPorts = 259
    case neutracerGPUMemorySizeBytes = 270
    case neutracerGPUMemoryTransferRateMegabytesPerSecond = 271
    case neutracerGPUKernelFunctionCount = 272

    package var descriptor: MetricDescriptor { MetricCatalog.byRawValue[Int(rawValue)] }

    /// Whether the value of a series that several slots report is the greatest of theirs. Other gauges show the latest.
    var isMaximum: Bool { self == .hostLastBatchTimestampSeconds }

    /// Whether a slot may stop to report a series that other slots go on with, so that the store keeps what the slot
    /// has counted. Such series end with the last one of their hosts.
    var outlivesSlots: Bool { self == .anomaliesTotal }

    /// True for the original's families (`MetricNames.neutracer`), false for the server's own.
    package var isNeuTracer: Bool { rawValue >= MetricFamily.neutracerTracesTotal.rawValue }
}
