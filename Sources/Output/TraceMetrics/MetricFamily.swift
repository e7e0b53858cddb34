/// Every metric there is. Raw values travel between processes and stand in the aggregator's saved state:
/// never reuse one. The catalog holds each family's name, kind and labels.
package enum MetricFamily: UInt16, CaseIterable, Sendable, Hashable {
    // MARK: What the agents sent
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
    case grpcConnectionsClosedTotal = 160
    case httpConnectionsClosedTotal = 180
    case httpAcceptErrorsTotal = 181

    // MARK: The original's names
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

    /// True for the original's families (`MetricNames.neutracer`), false for the server's own.
    package var isNeuTracer: Bool { rawValue >= MetricFamily.neutracerTracesTotal.rawValue }
}
