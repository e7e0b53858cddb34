/// All limits of the system, with the unit last in each name. `assertRelations()` runs at start and in a test. Limits
/// on the hot path are inlinable computed properties, as reading a stored one is a call into this module.
@usableFromInline package enum Limits {
    // MARK: Ingest
    /// Size of a `TraceBatch`; exactly this is still accepted, as by the original server.
    package static let messageBytesMax = 100 * 1_000 * 1_000
    /// Events in one batch; an empty event has 2 bytes.
    package static let batchEventsMax = 4_000_000
    /// Names of processes and threads in one batch.
    package static let batchNamesMax = 65_536
    /// Size of a string field of an event as received; output is truncated to `nameBytesMax`.
    @inlinable package static var stringFieldBytesMax: Int { 1 << 20 }
    /// Longer names (functions, comm, kernels, devices) are truncated and counted.
    @inlinable package static var nameBytesMax: Int { 4_096 }
    /// JSON escaping may make a text (or all frames of a call stack) longer by half and this many bytes. What would
    /// exceed that is truncated and counted.
    @inlinable package static var escapedSpareBytes: Int { 32 }
    /// Size of the name of a process or thread as shown in viewers. Short, because it is written to rows of events that
    /// did not carry it, and to each window's trace.
    @inlinable package static var shownNameBytesMax: Int { 128 }
    package static let hostBytesMax = 255
    package static let clientIDBytesMax = 255
    /// `Anomaly` messages in one event.
    package static let eventAnomaliesMax = 64
    /// Findings of one event that the server records whatever the size of their text.
    package static let eventFindingsMin = 2
    /// Text per finding that an event needs for each further finding to be recorded.
    package static let findingTextBytesMin = 32
    /// Frames of one call stack that are kept.
    @inlinable package static var stackFramesMax: Int { 512 }
    package static let metadataBytesMax = 16 << 10
    package static let streamsPerConnectionMax = 1_024
    /// Memory of messages being received or waiting for their commit.
    package static let ingestBytesMax = 512 << 20
    /// Messages waiting for their commit: at this limit, connections that send batches are not read.
    package static let heldBytesMax = ingestBytesMax / 4
    /// The same limit for large connections; the difference is reserved for small calls.
    package static let heldLargeBytesMax = heldBytesMax / 4
    /// A connection with more bytes of incomplete messages counts as large.
    package static let smallMessageBytesMax = 4 << 20
    /// Incomplete messages on small connections: at this limit those connections are paused, except for the privileged
    /// ones.
    package static let smallPartialBytesMax = 32 << 20
    /// Number of small connections that may continue at that limit, so that the others get their turn.
    package static let smallPrivilegedMax = 8
    /// Incomplete messages on large connections: at this limit those connections are paused, except for one.
    package static let largePartialBytesMax = 128 << 20
    /// A message that announces more is refused at once; a slightly larger message than allowed is refused by the gRPC
    /// core.
    package static let announcedBytesMax = messageBytesMax + (1 << 20)
    /// Minimum upload rate while other connections wait for room; slower calls are refused.
    package static let uploadBytesPerSecondMin = 128 << 10
    /// Memory that the gRPC core needs for an open call beside its message.
    package static let callBytes = 8 << 10
    /// Memory of all open calls; above it, the connections with the most and oldest calls are refused.
    package static let callBytesMax = 128 << 20
    /// Calls of one connection that the router has not taken yet; above it, the connection is not read.
    package static let untakenCallsMax = 64
    /// Size of a block of HTTP/2 headers; the gRPC core answers sizes between `metadataBytesMax` and this.
    package static let headerBlockBytesMax = 64 << 10
    /// HTTP/2 frames without payload (resets, pings, settings…) on one connection: burst, and per second.
    package static let idleFramesBurst = 1_000
    package static let idleFramesPerSecond = 200
    /// Unread acknowledgements of all streams; above it, a stream with more than its share is ended.
    package static let streamSendBytesMax = 32 << 20
    package static let streamSendShareBytes = 16 << 10
    /// Memory of an unread message of a stream beside its bytes.
    package static let streamSendOverheadBytes = 64
    /// Connections counted as active clients.
    package static let activeClientsMax = 65_536
    /// Open connections of agents; near the limit the longest idle ones are closed.
    package static let grpcConnectionsMax = 4_096
    /// Idle connections of one address above which they are closed before those of others.
    package static let grpcIdlePerHostMax = 64
    /// Time that a stopping router has for calls in progress. Longer than a call is held; together with the next start
    /// shorter than the 20 s that a gRPC client waits for a new server's first bytes.
    package static let routerEndSeconds = 10
    /// Time that a call is held before it is answered with `RESOURCE_EXHAUSTED`.
    package static let callHoldSeconds = 5
    /// The same for a call that waits for the log's replica, where electing a leader takes up to nine seconds.
    package static let replicaHoldSeconds = 15
    /// A call fails if its connection receives nothing of its message for this long.
    package static let receiveSeconds = 60

    // MARK: Edge
    /// Connections that HAProxy has open to clients at once; each may have one to the router.
    package static let edgeConnectionsMax = grpcConnectionsMax
    /// Connections of one address.
    package static let edgeConnectionsPerSourceMax = 1_024
    /// Calls of one address within ten seconds. One agent that sends every event by itself makes a few thousand a second.
    package static let edgeCallsPerSourceMax = 200_000
    /// Calls of one address within ten seconds that nobody has answered, mostly as the client broke them off. More than
    /// that is a flood of resets, and its connections are dropped. An agent waits for its answers.
    package static let edgeUnansweredPerSourceMax = 5_000
    /// Those of an address that has few connections, beside the calls that each connection may have open.
    package static let edgeUnansweredMin = 400
    /// Addresses whose connections and calls are counted; of more the oldest are forgotten.
    package static let edgeSourcesMax = 65_536
    package static let edgeMemoryMegabytesMax = 512
    /// Calls of one connection at once; further ones wait at the client.
    package static let edgeStreamsPerConnectionMax = 100
    /// Time for the whole head of a request.
    package static let edgeHeadSeconds = 10
    /// Time without a byte in either direction after which a call fails. Longer than a router's restart takes.
    package static let edgeSilenceSeconds = 300
    /// Time after which a connection without calls is closed.
    package static let edgeIdleSeconds = 600
    /// Time that HAProxy has for calls in progress when it is asked to end.
    package static let edgeEndSeconds = 3
    package static let edgeThreadsMax = 4
    package static let edgeTokensMax = 10_000

    // MARK: Log
    /// Minimum interval between commit groups that many calls share. A write, its sync and its delivery to the workers
    /// cost the same for few calls as for many.
    package static let commitSpacingNanoseconds: Int64 = 2_000_000
    /// A group of fewer calls is committed without waiting.
    package static let commitSharedMin = 4
    /// Size of a commit group, the unit of a write and an `fdatasync`; a single record may be larger.
    package static let commitGroupBytesMax = 8 << 20
    /// Memory of delivered commit groups that the router keeps for reuse: more than one delivery's.
    package static let spareGroupsBytesMax = 20 << 20
    package static let logFileBytes = 64 << 20
    /// Size of the record at the head of each log file: de-duplication window, slot map, window number.
    package static let logFileHeadBytesMax = 18 << 20
    package static let logRecordBytesMax = messageBytesMax + 4_096
    /// Space after a record that is written ahead, for commits while the log's next file is prepared.
    package static let logAheadTailBytes = 16 << 20

    // MARK: Disk
    /// Minimum budget of the ingest log: a file being written, its spare, and the same amount of backlog.
    package static let logBudgetBytesMin = 4 * logFileBytes
    /// Upper bound of JSON and CSV bytes per byte of typical events; function events need 3.2.
    package static let outputBytesPerWireByteMax = 4
    /// The same for the worst events, whose texts escaping makes longer by half, in up to four places. Excludes the
    /// fixed size of an event.
    package static let escapedBytesPerWireByteMax = 6
    /// Returns the fixed output size of an event: its JSON, and about half as much in the table.
    package static func outputBytesPerEvent(_ resource: Resource) -> Int {
        let rest =
            switch resource {
            case .function: repeatedBytesPerEvent + callTreeBytesPerEvent
            case .memory, .network: eventFindingsMin * findingBytes
            case .cpu, .io, .gpu: 0
            }
        return jsonBytesPerEvent(resource) * 3 / 2 + rest
    }
    /// Output size of a finding beside its text, in the trace and in both files of anomalies.
    package static let findingBytes = 500
    /// Upper bound of the output of one resource's window, given the wire bytes and estimated JSON that end it.
    package static let windowMergeBytesMax =
        windowGrowthMax
        * (windowWireBytesMax * escapedBytesPerWireByteMax + windowJSONBytesMax * 3 / 2)
        + windowGrowthMax * windowRepeatedBytesMax + profileBytesMax
    /// Output bytes of merging per byte of a call stack in segments: text escaped by half, and a folded stack.
    package static let mergedBytesPerStackByteMax = 4
    /// The same per byte of a call tree, of which each path is written, up to `profileBytesMax`.
    package static let mergedBytesPerProfileByteMax = 512
    /// Log positions for which the router remembers the expected output size.
    package static let pendingMarksMax = 4_096
    /// Minimum distance between two such positions.
    package static let pendingMarkBytes = 64 << 10
    /// Disk space left for checkpoints when batches are refused.
    package static let checkpointReserveBytes = 32 << 20
    /// Disk space that each worker reserves for buffered rows, beside a checkpoint's size.
    package static let workerReserveBytes = 4 * runFlushBytes

    // MARK: Dead letters
    /// A record that has crashed its worker this often is set aside.
    package static let recordDeathsMax = 3
    /// Verdicts in force, on records that the log still contains.
    package static let verdictsMax = 4_096
    /// Workers with a pending request to set events aside.
    package static let deadLetterCasesMax = 512
    /// Size at which batches of a dead letter are split; a single event may be larger.
    package static let letterBatchBytesMax = 4 << 20
    /// Hosts that the description of a dead letter lists.
    package static let letterHostsMax = 16

    // MARK: De-duplication
    /// Remembered ranges of sequence numbers, usually one per client; above it the longest unused one is forgotten.
    package static let dedupRangesMax = 4_096
    /// Ranges of one client: a sequence number far ahead of the others starts another range.
    package static let dedupRangesPerClientMax = 4
    /// Largest sequence number taken as a counter: at a thousand batches a second it is reached after 35 years.
    package static let dedupCountedMax: UInt64 = 1 << 40
    /// Sequence numbers remembered in one range below its greatest.
    package static let dedupSequencesMax = 256

    // MARK: Memory
    /// In the router, blocks of at least this size have their own pages and are reused (`SharePool`,
    /// `IngestQueue.recycle`).
    package static let routerMappedBytesMin = 256 << 10
    /// The same in the other processes, whose frequent messages and rows are smaller than this.
    package static let mappedBytesMin = 8 << 20
    /// Free memory that a process keeps at the end of its heap.
    package static let heapSpareBytesMax = 32 << 20

    // MARK: Fabric
    package static let workersPerResourceMax = 64
    /// Bytes of commit groups sent to the workers in one message; a single group may be larger.
    package static let shareMessageBytes = 4 << 20
    /// Minimum interval between such messages, unless `shareMessageBytes` are waiting.
    package static let fabricSpacingNanoseconds: Int64 = 150_000_000
    /// Interval at which that is checked.
    package static let fabricCheckNanoseconds: Int64 = 5_000_000
    /// Memory of sent shares that the router keeps for reuse.
    package static let sharePoolBytesMax = 12 << 20
    /// Credit of a worker: bytes sent to it and not applied yet.
    package static let workerCreditBytes = 10 << 20
    /// Durable groups queued in memory for the fabric thread; above it the groups are read from the log.
    package static let fabricInboxBytesMax = 12 << 20
    package static let fabricMessageBytesMax = logRecordBytesMax + (1 << 20)
    /// Frames of one message, the routing id not counted.
    package static let fabricFramesMax = 4
    /// Messages queued for one peer by default.
    package static let fabricQueueMessagesMax = 1_024
    /// One message between processes, without the event bytes that follow it.
    package static let clusterMessageBytesMax = 64 << 20
    package static let fabricHandshakeSeconds = 5
    package static let pollSourcesMax = 16
    package static let heartbeatSeconds = 1
    /// A process silent for longer is reported as hung. Chosen so that status, metrics and log report it within 3 s,
    /// including the time to notice it and to render a page.
    package static let heartbeatLateMilliseconds = 2_250
    /// This many unexpected ends of one process within `crashLoopSeconds` are a crash loop, from which on
    /// `scripts/service/finish` delays its starts.
    package static let crashLoopFailuresMin = 5
    package static let crashLoopSeconds = 60
    /// A process is stable again once it has been up this long; longer than the delay between starts.
    package static let crashLoopSettledSeconds = 15
    /// Ends remembered of each process.
    package static let processEndsMax = 16
    /// Time without batches after which the open window is closed.
    package static let pauseSeconds = 30

    /// Events of a batch after which a worker reports progress to its watchdog.
    @inlinable package static var progressEvents: Int { 4_096 }
    /// A worker whose apply loop hangs for longer exits.
    package static let watchdogSeconds = 60

    // MARK: State
    /// Share bytes between two checkpoints at the end of a window (twice as many within a window), and so the bytes
    /// that a restart replays, as long as checkpoints are cheap.
    package static let checkpointBytes = 64 << 20
    /// Checkpoints take at most one part in this many of a worker's time.
    package static let checkpointTimeDivisor: Int64 = 10
    /// Maximum delay of a due checkpoint, whatever the previous one took.
    package static let checkpointSecondsMax: Int64 = 120
    /// What the checkpoints of a worker that are kept for rebuilding damaged segments take together, one a window.
    package static let keptCheckpointsBytesMax = 1 << 30
    package static let keptCheckpointsMax = 16
    /// Default of `state_limit`: memory of the state of all slots of a worker.
    package static let stateBytesMax = 512 << 20
    /// Minimum of `state_limit`.
    package static let stateBytesMin = 64 << 20
    /// The state of one slot takes at most one part in this many of it.
    package static let stateSlotDivisor = 8
    /// After this many events of a process in a window, only one of this many events is charged to its budget.
    @inlinable package static var chargedEvents: UInt64 { 16 }
    /// Memory of the thread names that agents send for one process.
    package static let threadNamesBytesPerProcessMax = 1 << 20
    /// Nesting depth of slices that viewers support, and maximum number of pending entries of a sampling agent.
    @inlinable package static var openSlicesPerThreadMax: Int { 512 }
    /// Nesting depth of calls that is measured; deeper recursion is rare.
    @inlinable package static var openCallsPerThreadMax: Int { 65_536 }
    /// Tolerance for a time stamp ahead of its arrival, for wrong zones and recordings made in advance. A stamp further
    /// ahead is not used as the time of the event.
    @inlinable package static var stampAheadNanosecondsMax: Int64 { 86_400_000_000_000 }
    /// Bytes of a window's trace that may repeat a slot's calls open at its start, per event of the slot in the
    /// previous window. Other open calls are counted, and their exits become instants.
    package static let repeatedBytesPerEvent = 64
    /// Minimum of that budget for a slot with few events.
    package static let repeatedBytesPerSlotMin = 128 << 10
    /// The part of that budget which slots get without events, per window.
    package static let repeatedBytesMin = Slot.count * repeatedBytesPerSlotMin
    /// Size of a repeated call without its name.
    package static let repeatedCallBytes = 144
    /// Paths of one process's call tree in a window. Calls on further ones count under `(other)`, as do deeper ones.
    package static let callTreeNodesMax = 8_192
    package static let callTreeDepthMax = 512
    /// Size of a path in a worker's segment, without its function's name.
    package static let callTreeBytesPerEvent = 24
    /// Threads of one process that are named in a window's trace; viewers show further ones by number.
    package static let namedThreadsPerProcessMax = 8_192
    /// Connections of one process in a window's summary beside the known ones: those of processes that restarted in the
    /// window.
    package static let connectionItemsPerProcessMax = 4_096
    package static let listeningPortsPerProcessMax = 4_096
    package static let protocolsPerProcessMax = 16
    /// Bytes kept of a network address: the longest textual form of IPv6 has 45, plus a zone.
    @inlinable package static var addressBytesMax: Int { 64 }
    /// Hosts that a worker remembers; above it the least recently seen ones are evicted.
    package static let hostsMax = 16_384
    /// One part in this many of the hosts is evicted at a time.
    package static let hostsGivenUpDivisor = 16
    /// Names remembered of one process id, whose program and threads may change.
    package static let namesPerProcessMax = 16
    package static let devicesPerProcessMax = 64
    /// Kinds of transfer between host and GPU; four exist.
    package static let transferKindsMax = 16

    // MARK: Operator's files
    /// Size of `rules.json` and of the cluster's configuration.
    package static let configurationBytesMax = 1 << 20
    package static let inactivitySecondsMax = 999_999_999

    // MARK: Anomaly rules
    package static let ruleOverridesMax = 1_024
    /// Ports, or hosts, of one process that are watched for scans at the same time.
    package static let scanKeysPerProcessMax = 32
    package static let scanValuesPerKeyMax = 256
    /// Pairs of rule and key of one process whose suppressed findings are counted separately; above it they are counted
    /// per rule.
    package static let suppressedKeysPerProcessMax = 32
    /// Bytes kept of the worst suppressed finding's message.
    package static let suppressedMessageBytesMax = 512

    // MARK: Summaries
    /// Buckets of a quantile sketch: 20 complete doublings.
    @inlinable package static var sketchBucketsMax: Int { 1_024 }
    /// Bytes of a name shown in a summary.
    @inlinable package static var summaryNameBytesMax: Int { 512 }
    /// Rows of each top list in a worker's summary, and in a window's file for later merging.
    package static let summaryRowsMax = 100
    /// Rows of a table that sums others over processes; above it some names are dropped.
    package static let summaryOverallBytesMax = 3 << 20
    /// The same for the evicted processes of one slot.
    package static let summaryEvictedBytesMax = 128 << 10
    /// Rows shown of a top list.
    package static let summaryTopRows = 20

    // MARK: Files
    /// Buffered rows of all files of one worker.
    package static let runBufferBytesMax = 64 << 20
    /// Size of a run buffer: half of it new rows, which are then written, and half rows that were held back before. Up
    /// to eight times as much for rows out of order. A larger buffer would delay agents, because the log's next sync
    /// waits for the bytes written before it.
    package static let runFlushBytes = 2 << 20
    /// Rows younger than this (event time) are held back at a flush, so that rows arriving out of order can be sorted
    /// in.
    package static let runHoldbackNanoseconds: Int64 = 500_000_000
    /// Wire bytes of one resource that end a window, multiplied by the number of its workers up to `windowGrowthMax`.
    package static let windowWireBytesMax = 40 << 20
    /// Estimated JSON of one resource that ends a window, multiplied likewise.
    package static let windowJSONBytesMax = 100_000_000
    /// Maximum of that factor. The end of a window costs each worker the same, however few of the events were its own.
    package static let windowGrowthMax = 4
    /// Output of the open window, as reported by the workers of one resource, that ends it, multiplied likewise.
    package static let windowOutputBytesMax = windowWireBytesMax * outputBytesPerWireByteMax
    /// Returns the JSON bytes of an event beyond its wire bytes, measured with typical agents.
    package static func jsonBytesPerEvent(_ resource: Resource) -> Int {
        switch resource {
        case .function: 150
        case .gpu: 215
        case .cpu: 330
        case .io: 345
        case .network: 410
        case .memory: 425
        }
    }
    /// Upper bound of the bytes that repeat open calls in a window, for as many events as end the previous window.
    package static let windowRepeatedBytesMax =
        repeatedBytesMin + windowJSONBytesMax / jsonBytesPerEvent(.function) * repeatedBytesPerEvent
    package static let windowSecondsMax = 300
    /// Size of a final trace or table before compression, because viewers fail on larger files; a single row may be
    /// larger.
    package static let finalFileBytesMax = 110_000_000
    package static let openFilesMax = 512
    /// Traces and call stacks of single hosts that a worker writes in one window; further hosts share a file.
    package static let hostFilesPerWindowMax = 24_576
    /// Size of one of them in the announcement of its window, if its rows are in order.
    package static let closedFileBytesMax = 1_280
    /// Paths of the final files of one window of each resource, which the aggregator keeps and `finalize` returns.
    package static let windowFilesBytesMax = 96 << 20
    /// Up to this many files are synced individually; more are synced together with the whole file system, at a tenth
    /// of the cost.
    package static let filesSyncedSinglyMax = 64
    package static let mergeBufferBytes = 256 << 10
    /// Size of a call stack or anomaly with its names in a segment; limited by the size of a message.
    package static let segmentRecordBytesMax = 128 << 20
    /// Runs merged at the same time, each with a buffer of `mergeBufferBytes`.
    package static let mergeRunsMax = 64
    /// Text of distinct call stacks that is summed in memory before it is spilled.
    package static let foldedStacksBytesMax = 32 << 20
    /// Text of all call paths of one window's profile. Those that took the least time count under `(other)` beyond it.
    package static let profileTextBytesMax = 4 << 20
    /// Both files of a profile: the paths as text, and the same ones in protobuf with labels.
    package static let profileBytesMax = 4 * profileTextBytesMax

    // MARK: Metrics
    /// Default of `series_limit`: process series that a metric shows.
    package static let seriesPerMetricMax = 10_000
    /// Minimum of `series_limit`.
    package static let seriesPerMetricMin = 10
    /// Histograms get one part in this many of it, because each has one line per bucket.
    package static let histogramSeriesDivisor = 20
    /// Process series that the aggregator stores, including folded ones; further series are dropped.
    package static let seriesHeldMax = 1_000_000
    /// Series ids that a worker assigns before it starts over.
    package static let seriesIDsMax = 2_000_000
    /// Series ids reserved for slot totals.
    package static let slotSeriesIDs = 1 << 14
    /// Series definitions in one slot's section; the rest follows with the slot's next section.
    package static let sectionDefinitionBytesMax = 4 << 20
    /// A process silent for this long is evicted together with its series.
    package static let processQuietSeconds: Int64 = 3_600
    /// Interval of the check for silent processes.
    package static let quietCheckSeconds: Int64 = 60
    /// Series that a process reports about itself.
    package static let ownSeriesMax = 1_024
    package static let labelBytesMax = 256

    /// Findings that a worker holds for its next report.
    package static let recentFindingsBytesMax = 64 << 10
    /// Findings of windows that are not published, in the aggregator's memory. Half of what a client of the
    /// aggregator's pages reads.
    package static let liveFindingsBytesMax = 2 << 20

    /// Memory of the charts' points: about 2,700 measures of hosts.
    package static let chartHistoryBytesMax = 128 << 20
    /// Points in one answer of all series together.
    package static let chartPointsMax = 100_000
    /// Interval at which the charts' points are written.
    package static let chartSavingSeconds: Int64 = 60

    // MARK: Aggregator
    /// Announced windows of one resource that are not merged yet; further windows are announced again later.
    package static let pendingWindowsMax = 256
    package static let mergeRetrySeconds = 5
    /// Damaged segments that are kept for inspection.
    package static let damagedBytesMax = 1 << 30
    /// How often rebuilding a worker's segments of a window is begun, where the process that does it dies.
    package static let rebuildAttemptsMax = 3
    /// Interval at which retention checks ages, sizes and free space.
    package static let retentionSeconds = 5
    /// Windows that retention deletes between two merges.
    package static let retentionWindowsPerPass = 64
    /// Free bytes below which retention, if configured, deletes the oldest final files: the output of two windows of
    /// each resource, the point at which batches are refused.
    package static let retentionFreeBytesMin =
        2 * Resource.allCases.count * windowWireBytesMax * windowGrowthMax
        * outputBytesPerWireByteMax
        + checkpointReserveBytes
    /// On a small disk one part in this many is sufficient.
    package static let retentionFreeDivisor = 20
    /// Size of the parts in which larger files are uploaded to the object store.
    package static let objectPartBytes = 64 << 20
    /// Size of an answer of the object store that is no object.
    package static let objectAnswerBytesMax = 1 << 20
    /// Size of a page of a listing: 1,000 keys.
    package static let objectListBytesMax = 8 << 20
    /// Size of a window's record in the object store.
    package static let objectRecordBytesMax = 64 << 20
    /// Windows that are remembered until they are uploaded; others are looked up on the disk again.
    package static let uploadWindowsHeldMax = 4_096
    /// Longest time between two attempts to upload a window.
    package static let uploadRetrySecondsMax = 30
    /// Time that uploads get when the aggregator ends, while the object store answers.
    package static let uploadStopSeconds = 10
    /// Bytes that a command downloads from the object store.
    package static let objectDownloadBytesMax = 64 << 30
    /// Minimum size of the metrics journal for a new snapshot; above it, a snapshot is written at twice the snapshot's
    /// size.
    package static let metricJournalBytesMin = 16 << 20
    /// Journal bytes buffered until a page is requested.
    package static let metricJournalHeldBytesMax = 4 << 20
    /// Connections to the pages; at the limit the least active one is closed for a new one.
    package static let httpConnectionsMax = 256
    /// Size of a request's target and header fields. No request may have a body.
    package static let httpHeadBytesMax = 16 << 10
    package static let httpHeadFieldsMax = 100
    /// Time for a request's head to arrive.
    package static let httpHeadSeconds = 10.0
    /// Time between a reply and the next request on its connection.
    package static let httpIdleSeconds = 60.0
    /// Time for a reader to take the next part of its reply.
    package static let httpProgressSeconds = 30.0
    /// The same while all connections are in use and another client waits.
    package static let httpStallSeconds = 1.0
    /// Time for a whole reply in that case.
    package static let httpReplySeconds = 10.0
    /// Time for a client to close its connection after the last reply.
    package static let httpLingerSeconds = 1.0
    /// Memory of old pages held by slow readers, in addition to the newest page.
    package static let httpHeldBytesMax = 256 << 20
    /// A page younger than this is served again.
    package static let pageSecondsMin = 1

    // MARK: Console
    /// Queries that the console runs at the same time.
    package static let consoleQueriesMax = 4
    /// Queries that wait for one of them to end, and for how long.
    package static let consoleWaitingMax = 16
    package static let consoleWaitSeconds = 2.0
    /// Time of one query.
    package static let consoleQuerySeconds = 10.0
    /// Memory of the process; the kernel refuses it more.
    package static let consoleMemoryBytesMax = 512 << 20
    /// The newest windows that the console knows; queries leave out older ones and report that.
    package static let consoleWindowsMax = 20_000
    /// Files of these windows; about 250 bytes each.
    package static let consoleCatalogFilesMax = 200_000
    /// Memory of the tables of one query.
    package static let consoleQueryBytesMax = 72 << 20
    /// Files in one reply, anomalies in one reply, and processes that a query tells apart.
    package static let consoleFilesMax = 10_000
    package static let consoleIncidentsMax = 10_000
    package static let consoleProcessesMax = 50_000
    /// Functions in one reply, and call paths that a query tells apart; those beyond count under `(other)`.
    package static let consoleFunctionsMax = 10_000
    package static let consoleProfileNodesMax = 100_000
    /// Size of a reply with call paths.
    package static let consoleAnswerBytesMax = 16 << 20
    /// Traces of all resources that are made at the same time, of all queries.
    package static let consoleTracesMax = 2
    /// Size of a trace before compression, unless the query names a limit, and the greatest limit.
    package static let consoleTraceBytes = 64 << 20
    package static let consoleTraceBytesMax = 1 << 30
    /// Time after which a trace ends where it is, time in which what its limit leaves out is counted, and time after which
    /// its connection is closed.
    package static let consoleTraceMakingSeconds = 30.0
    package static let consoleTraceCountingSeconds = 1.0
    package static let consoleTraceSeconds = 60.0
    /// The least interval between two windows that queries close, the time that closing one may take, and the time from a
    /// window's end to its files.
    package static let consoleFinalizeSpacingSeconds = 10
    package static let consoleFinalizeSeconds = 5
    package static let consolePublishingSeconds: Int64 = 30
    /// Bytes of a trace that wait for its client.
    package static let consolePipeBytes = 512 << 10
    /// Size of a summary file that a query reads.
    package static let summaryReadBytesMax = 32 << 20
    /// Rows of each list in a reply.
    package static let consoleTopRowsMax = 100
    /// Findings of one rule and process that are at most this far apart are one incident.
    package static let incidentGapSeconds = 60
    /// Files of the console's pages: size of one, and their number.
    package static let consolePageBytesMax = 1 << 20
    package static let consolePagesMax = 64
    /// Size of one read of a file that is sent.
    package static let consoleReadBytes = 128 << 10
    /// Replies that slow readers keep in memory.
    package static let consoleHeldBytesMax = 64 << 20
    /// Added to the nice value: the console gives way to what takes events.
    package static let consoleNiceness = 10

    // MARK: Operator's tools
    /// Calls of one recording that `tracectl import` stores: 32 bytes each, and twice that while the array grows.
    package static let importCallsMax = 16_000_000
    package static let importNameBytesMax = 256 << 20
    package static let importThreadsMax = 65_536
    /// Final files overlapping in time that `tracectl cat` reads in parallel, each with a buffer.
    package static let catFilesMax = 256
    package static let catBufferBytes = 64 << 10
    /// Entries of calls that span rotations, stored so that each is printed once.
    package static let catContinuedBytesMax = 64 << 20
    /// Calls opened at the same time that are remembered so that each is printed once.
    package static let catOpeningsMax = 65_536
    /// Memory of the tables of one reading of final files by the tools.
    package static let readingBytesMax = 4 << 30
    /// Call paths of all windows that the tools add up; those beyond count under `(other)`.
    package static let profileNodesMax = 1_000_000
    /// Traces of windows that a span covers only in part; where they are larger, such windows count as a whole.
    package static let profileEventBytesMax = 256 << 20
    /// Summaries that are read for the durations of functions.
    package static let functionDurationWindowsMax = 24
    /// Names in the profiles read.
    package static let profileNamesBytesMax = 64 << 20
    /// Processes without call paths that are named.
    package static let profileSampledMax = 1_024
    /// The least limit of a trace of all resources.
    package static let traceBytesMin = 64 << 10
    /// Processes in a trace of all resources.
    package static let traceProcessesMax = 262_144
    /// Threads whose names are known to be written in a trace of all resources.
    package static let traceThreadsMax = 1_048_576
    /// Names of processes and threads that are in memory while a trace of all resources is written.
    package static let traceNamesBytesMax = 64 << 20
    /// Events in one batch of the tools.
    package static let toolBatchEvents = 500
    /// Processes that `tracectl agent` samples; further ones are counted only.
    package static let agentProcessesMax = 32_768
    /// Names of processes and threads that `tracectl agent` remembers; further ones are counted but not sent.
    package static let agentNamesMax = 65_536
    /// Interval at which `tracectl agent` sends all names again, because the server evicts silent processes.
    package static let agentNamesSeconds = 300
    /// Sockets in one sample.
    package static let agentSocketsMax = 16_384

    /// Traps at the first start if the limits contradict one another.
    package static func assertRelations() {
        precondition(messageBytesMax < logRecordBytesMax)
        precondition(callHoldSeconds < replicaHoldSeconds)
        precondition(logRecordBytesMax < fabricMessageBytesMax)
        precondition(clusterMessageBytesMax < fabricMessageBytesMax)
        precondition(messageBytesMax < ingestBytesMax)
        precondition(
            heldBytesMax + largePartialBytesMax + 2 * messageBytesMax + smallPartialBytesMax
                + smallPrivilegedMax
                * smallMessageBytesMax <= ingestBytesMax,
            "held and incomplete messages, and one more of each"
        )
        precondition(heldLargeBytesMax < heldBytesMax, "room is reserved for small calls")
        precondition(smallMessageBytesMax < smallPartialBytesMax)
        precondition(
            messageBytesMax < announcedBytesMax && announcedBytesMax < largePartialBytesMax
        )
        precondition(metadataBytesMax < headerBlockBytesMax)
        precondition(untakenCallsMax < streamsPerConnectionMax)
        precondition(streamsPerConnectionMax * callBytes < callBytesMax)
        precondition(edgeConnectionsPerSourceMax < edgeConnectionsMax)
        precondition(edgeUnansweredPerSourceMax < edgeCallsPerSourceMax)
        precondition(edgeUnansweredMin < edgeUnansweredPerSourceMax)
        precondition(edgeStreamsPerConnectionMax <= streamsPerConnectionMax)
        precondition(receiveSeconds < edgeSilenceSeconds)
        precondition(grpcIdlePerHostMax < grpcConnectionsMax)
        precondition(1_024 * streamSendShareBytes < streamSendBytesMax)
        precondition(
            dedupRangesMax * (dedupSequencesMax * 16 + clientIDBytesMax + 40) + verdictsMax * 32
                < logFileHeadBytesMax
        )
        precondition(dedupRangesPerClientMax >= 2 && dedupRangesPerClientMax < dedupRangesMax)
        precondition(shareMessageBytes <= min(workerCreditBytes, logRecordBytesMax))
        precondition(2 * shareMessageBytes <= min(fabricInboxBytesMax, sharePoolBytesMax))
        precondition(routerMappedBytesMin < sharePoolBytesMax)
        precondition(fabricCheckNanoseconds < fabricSpacingNanoseconds)
        precondition(commitGroupBytesMax <= min(logAheadTailBytes, logFileBytes))
        precondition(2 * commitGroupBytesMax < spareGroupsBytesMax, "a full group can be reused")
        precondition(nameBytesMax <= stringFieldBytesMax)
        precondition(addressBytesMax + 16 <= nameBytesMax)
        precondition(shownNameBytesMax <= nameBytesMax)
        precondition(
            4 * 3 <= 2 * escapedBytesPerWireByteMax,
            "an agent's finding is written four times and escaped"
        )
        precondition(
            mergedBytesPerStackByteMax * 2 >= 3 + 2,
            "a stack is written as escaped text and folded"
        )
        precondition(callTreeDepthMax <= openCallsPerThreadMax)
        precondition(profileTextBytesMax <= foldedStacksBytesMax, "a profile is summed in memory")
        precondition(protocolsPerProcessMax <= UInt8.max)
        precondition(stateBytesMin <= stateBytesMax)
        precondition(
            // State of one process that is evicted only with the process itself: everything else can then be evicted
            // before.
            namedThreadsPerProcessMax * 160 + threadNamesBytesPerProcessMax
                + connectionItemsPerProcessMax * 600
                + (listeningPortsPerProcessMax + 4_096) * 128 < stateBytesMin / stateSlotDivisor,
            "a process at all its limits fits into a slot"
        )
        precondition(8 * runFlushBytes <= runBufferBytesMax)
        precondition(stringFieldBytesMax * 6 < segmentRecordBytesMax, "a completely escaped text")
        precondition(mergeRunsMax < openFilesMax, "all runs of a merge are open at once")
        precondition(catFilesMax < openFilesMax)
        precondition(filesSyncedSinglyMax < openFilesMax)
        precondition(hostsMax < hostFilesPerWindowMax && hostsMax / hostsGivenUpDivisor > 0)
        precondition(
            // A name of bytes that are not UTF-8 becomes three times as long.
            3 * hostBytesMax + 512 <= closedFileBytesMax
                && hostFilesPerWindowMax * closedFileBytesMax < clusterMessageBytesMax / 2,
            "the announcement of a window and its summary are one message"
        )
        precondition(
            // Each host has two files of call stacks.
            Resource.allCases.count * hostFilesPerWindowMax * 2 * 256 < windowFilesBytesMax
        )
        precondition(
            2_000 * heartbeatSeconds < heartbeatLateMilliseconds,
            "one heartbeat may be late"
        )
        precondition(crashLoopFailuresMin < processEndsMax)
        precondition(crashLoopSettledSeconds < crashLoopSeconds)
        precondition(pauseSeconds < windowSecondsMax)
        precondition(windowWireBytesMax < finalFileBytesMax)
        precondition(outputBytesPerWireByteMax <= escapedBytesPerWireByteMax)
        precondition(
            windowJSONBytesMax < windowOutputBytesMax,
            "typical events end a window by their estimated JSON"
        )
        precondition(
            windowJSONBytesMax < finalFileBytesMax,
            "one worker's window is usually one file"
        )
        precondition(
            openSlicesPerThreadMax * (repeatedCallBytes + 40) * 4 <= repeatedBytesPerSlotMin * 3,
            "all open slices of a thread can be repeated"
        )
        precondition(
            2 * windowRepeatedBytesMax <= windowOutputBytesMax,
            "repeated calls alone do not end a window"
        )
        precondition(callHoldSeconds < routerEndSeconds)
        precondition(openSlicesPerThreadMax <= 512, "Perfetto nests B and E 512 deep")
        precondition(openSlicesPerThreadMax <= openCallsPerThreadMax)
        precondition(workersPerResourceMax <= Slot.count)
        precondition(seriesPerMetricMin <= seriesPerMetricMax)
        precondition(seriesPerMetricMax <= seriesHeldMax)
        precondition(seriesHeldMax <= seriesIDsMax - slotSeriesIDs)
        precondition(Slot.count * 64 <= slotSeriesIDs, "each slot has series ids of its own")
        precondition(
            seriesIDsMax * 12 + 2 * sectionDefinitionBytesMax < clusterMessageBytesMax,
            "a slot's section fits into one message"
        )
        precondition(metricJournalHeldBytesMax < metricJournalBytesMin)
        precondition(recentFindingsBytesMax < liveFindingsBytesMax)
        precondition(httpHeadSeconds < httpIdleSeconds)
        precondition(httpStallSeconds < httpReplySeconds)
        precondition(consoleWaitSeconds < consoleQuerySeconds)
        precondition(consoleTracesMax < consoleQueriesMax, "other queries go on beside traces")
        precondition(Double(consoleFinalizeSeconds) < consoleQuerySeconds)
        precondition(consoleTraceMakingSeconds < consoleTraceSeconds)
        precondition(
            consoleQueriesMax * max(summaryReadBytesMax, consoleQueryBytesMax) + consoleHeldBytesMax
                + 250 * consoleCatalogFilesMax < consoleMemoryBytesMax,
            "all queries at once fit into the console's memory"
        )
        precondition(quietCheckSeconds < processQuietSeconds)
        precondition(ruleOverridesMax < UInt16.max)
        precondition(scanValuesPerKeyMax <= UInt16.max)
        precondition(
            suppressedKeysPerProcessMax <= 128,
            "a byte counts the keys and one more per rule"
        )
        precondition(
            suppressedMessageBytesMax + 128 <= nameBytesMax,
            "the message's prefix fits too"
        )
        precondition(sketchBucketsMax <= UInt16.max)
        precondition(summaryTopRows <= summaryRowsMax)
        precondition(
            // io has the most of all resources: eleven lists, and three tables of sums.
            12 * summaryRowsMax * (sketchBucketsMax * 10 + 2 * summaryNameBytesMax + 512) + 3
                * summaryOverallBytesMax
                < clusterMessageBytesMax / 2
        )
    }
}
