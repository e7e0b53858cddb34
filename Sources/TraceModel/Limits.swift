/// Every bound of the system, units last in the names. `assertRelations()` runs at start and in a test.
package enum Limits {
    // MARK: Ingest
    /// One `TraceBatch`: accepted up to exactly this, as the original accepts.
    package static let messageBytesMax = 100 * 1_000 * 1_000
    /// Events in one batch; one of an empty event is 2 bytes.
    package static let batchEventsMax = 4_000_000
    /// A string field of an event as sent; what is written is cut at `nameBytesMax`.
    package static let stringFieldBytesMax = 1 << 20
    /// Names (functions, comm, kernels, devices) beyond this are cut and counted.
    package static let nameBytesMax = 4_096
    package static let hostBytesMax = 255
    package static let clientIDBytesMax = 255
    /// `Anomaly` messages in one event.
    package static let eventAnomaliesMax = 64
    /// Frames kept of one call stack.
    package static let stackFramesMax = 512
    package static let metadataBytesMax = 16 << 10
    package static let streamsPerConnectionMax = 1_024
    /// Messages being received or waiting for their commit, together.
    package static let ingestBytesMax = 512 << 20
    /// Messages waiting for their commit, above which no further receive is armed.
    package static let heldBytesMax = ingestBytesMax / 4
    /// Unary messages arriving at once: what the budget has left for messages of the largest size.
    package static let concurrentReceivesMax = (ingestBytesMax - heldBytesMax) / messageBytesMax
    /// Streams listening for a message at once, on top of the budget; others take turns.
    package static let streamReceivesMax = 8
    /// Connections counted as active clients.
    package static let activeClientsMax = 65_536
    /// How long a call is held before `RESOURCE_EXHAUSTED`.
    package static let callHoldSeconds = 5
    /// Time for one message to arrive once its receive is armed.
    package static let receiveSeconds = 60

    // MARK: Log
    /// One commit group: what shares a write and an `fdatasync`, unless one record alone is larger.
    package static let commitGroupBytesMax = 8 << 20
    package static let logFileBytes = 64 << 20
    /// The record at the head of each log file: de-duplication window, slot map, window number.
    package static let logFileHeadBytesMax = 18 << 20
    package static let logRecordBytesMax = messageBytesMax + 4_096

    // MARK: De-duplication
    /// Clients remembered; beyond it the one silent for longest is forgotten.
    package static let dedupClientsMax = 4_096
    /// Sequences of one client remembered below its greatest.
    package static let dedupSequencesMax = 256

    // MARK: Fabric
    package static let workersPerResourceMax = 64
    /// One share, unless one event alone is larger.
    package static let shareBytesMax = 8 << 20
    /// Unapplied bytes the router lets one worker hold.
    package static let workerCreditBytes = 32 << 20
    /// Durable groups that wait in memory for the fabric; beyond it the log is read instead.
    package static let fabricInboxBytesMax = 32 << 20
    package static let fabricMessageBytesMax = logRecordBytesMax + (1 << 20)
    /// Frames of one message, the routing id not counted.
    package static let fabricFramesMax = 4
    /// Messages that wait for one peer, unless a socket says otherwise.
    package static let fabricQueueMessagesMax = 1_024
    /// One message between processes, beside the event bytes that follow it.
    package static let clusterMessageBytesMax = 32 << 20
    package static let fabricHandshakeSeconds = 5
    package static let pollSourcesMax = 16
    package static let heartbeatSeconds = 1
    /// A worker silent for longer is reported as hung.
    package static let heartbeatLateSeconds = 3
    /// So many failures of one process within so many seconds are a crash loop.
    package static let crashLoopFailuresMin = 5
    package static let crashLoopSeconds = 60
    /// No batch for so long: the open window is finalized.
    package static let pauseSeconds = 30

    /// A worker whose apply loop hangs for longer ends itself.
    package static let watchdogSeconds = 60

    // MARK: State
    /// Share bytes that a worker applies between two checkpoints: what a restart replays at most.
    package static let checkpointBytes = 64 << 20
    package static let processesPerSlotMax = 8_192
    package static let functionsPerProcessMax = 65_536
    package static let openCallsPerThreadMax = 512
    package static let threadsPerProcessMax = 65_536
    /// Allocations of one process that wait for their release.
    package static let allocationsPerProcessMax = 65_536
    package static let connectionsPerProcessMax = 16_384
    package static let listeningPortsPerProcessMax = 4_096
    package static let protocolsPerProcessMax = 16
    /// Of a network address what is kept in the state: the longest textual form of IPv6 has 45, a zone follows.
    package static let addressBytesMax = 64
    package static let hostsMax = 1_024
    /// Names that one process id has had, as its program or its threads change.
    package static let namesPerProcessMax = 16
    package static let devicesPerProcessMax = 64
    package static let kernelsPerProcessMax = 4_096
    /// Kinds of transfer between host and GPU: there are four.
    package static let transferKindsMax = 16

    // MARK: Anomaly rules
    package static let rulesFileBytesMax = 1 << 20
    package static let ruleOverridesMax = 1_024
    /// Ports, and hosts, of one process that are watched for scans at once.
    package static let scanKeysPerProcessMax = 32
    package static let scanValuesPerKeyMax = 256

    // MARK: Summaries
    /// Buckets of one quantile sketch: 20 doublings in full.
    package static let sketchBucketsMax = 1_024
    /// Of a name what a summary shows.
    package static let summaryNameBytesMax = 512
    /// Rows that each top list of a worker's summary holds, and of a window's file for later merging.
    package static let summaryRowsMax = 100
    /// Rows that a top list shows.
    package static let summaryTopRows = 20

    // MARK: Files
    /// Rendered rows that wait for their order, for all files of one worker together.
    package static let runBufferBytesMax = 64 << 20
    /// A run buffer of one file is written out at this size.
    package static let runFlushBytes = 4 << 20
    /// Rows younger than this (event time) stay back at a flush so that neighbours can overtake.
    package static let runHoldbackNanoseconds: Int64 = 500_000_000
    /// Wire bytes of one resource after which the router closes a window: about 100 MB of JSON.
    package static let windowWireBytesMax = 40 << 20
    package static let windowSecondsMax = 300
    package static let openFilesMax = 512
    package static let mergeBufferBytes = 1 << 20
    /// One call stack or anomaly with its names, as a segment holds it: a message bounds it.
    package static let segmentRecordBytesMax = 128 << 20
    /// Runs merged at once, each with a buffer of `mergeBufferBytes`.
    package static let mergeRunsMax = 64
    /// Distinct call stacks summed in memory before they are spilled, as text.
    package static let foldedStacksBytesMax = 32 << 20

    // MARK: Metrics
    package static let seriesPerMetricMax = 50_000
    /// Series that the aggregator holds in all, folded ones included; samples of further ones are refused.
    package static let seriesHeldMax = 1_000_000
    /// Series of one process about itself.
    package static let ownSeriesMax = 1_024
    package static let labelBytesMax = 256

    // MARK: Aggregator
    /// Windows of one resource announced and not yet merged; later ones are announced again.
    package static let pendingWindowsMax = 256
    package static let mergeRetrySeconds = 5
    /// The aggregator's saved metrics, expanded.
    package static let metricArchiveBytesMax = 1 << 30
    package static let httpConnectionsMax = 64
    package static let httpHeadBytesMax = 8 << 10
    /// Time for a request's head to arrive, and for an idle connection.
    package static let httpHeadSeconds = 15
    package static let httpReplySeconds = 30
    /// A page younger than this is served again.
    package static let pageSecondsMin = 1

    // MARK: Operator's tools
    /// Calls of one recording that `tracectl import` holds: 32 bytes each, and as much again while the array grows.
    package static let importCallsMax = 16_000_000
    package static let importNameBytesMax = 256 << 20
    package static let importThreadsMax = 65_536
    package static let jsonDepthMax = 512
    /// Events in one batch of the tools.
    package static let toolBatchEvents = 500
    /// Processes that `tracectl agent` follows; those beyond are counted, not sampled.
    package static let agentProcessesMax = 32_768
    /// Sockets in one sample.
    package static let agentSocketsMax = 16_384

    /// The relations between the limits; a violation is a bug of ours, found at the first start.
    package static func assertRelations() {
        precondition(messageBytesMax < logRecordBytesMax)
        precondition(logRecordBytesMax < fabricMessageBytesMax)
        precondition(clusterMessageBytesMax < fabricMessageBytesMax)
        precondition(messageBytesMax < ingestBytesMax)
        precondition(concurrentReceivesMax >= 2, "one stalled sender must not block the others")
        precondition(concurrentReceivesMax * messageBytesMax + heldBytesMax <= ingestBytesMax)
        precondition(
            dedupClientsMax * (dedupSequencesMax * 16 + clientIDBytesMax + 32)
                < logFileHeadBytesMax
        )
        precondition(shareBytesMax <= workerCreditBytes)
        precondition(commitGroupBytesMax <= logFileBytes)
        precondition(nameBytesMax <= stringFieldBytesMax)
        precondition(addressBytesMax + 16 <= nameBytesMax)
        precondition(protocolsPerProcessMax <= UInt8.max)
        precondition(runFlushBytes <= runBufferBytesMax)
        precondition(stringFieldBytesMax * 6 < segmentRecordBytesMax, "escaped in full")
        precondition(mergeRunsMax < openFilesMax, "runs of one merge are open together")
        precondition(heartbeatSeconds < heartbeatLateSeconds)
        precondition(pauseSeconds < windowSecondsMax)
        precondition(openCallsPerThreadMax <= 512, "Perfetto nests B and E 512 deep")
        precondition(workersPerResourceMax <= Slot.count)
        precondition(seriesPerMetricMax <= seriesHeldMax)
        precondition(ruleOverridesMax < UInt16.max)
        precondition(scanValuesPerKeyMax <= UInt16.max)
        precondition(sketchBucketsMax <= UInt16.max)
        precondition(summaryTopRows <= summaryRowsMax)
        precondition(
            // Of all resources' lists io has most: eleven.
            12 * summaryRowsMax * (sketchBucketsMax * 10 + 2 * summaryNameBytesMax + 512)
                < clusterMessageBytesMax / 2
        )
    }
}
