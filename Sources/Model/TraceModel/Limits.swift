/// Every bound of the system, units last in the names. `assertRelations()` runs at start and in a test.
/// Those that every event meets are inlinable: a stored one would be a call into this module.
@usableFromInline package enum Limits {
    // MARK: Ingest
    /// One `TraceBatch`: accepted up to exactly this, as the original accepts.
    package static let messageBytesMax = 100 * 1_000 * 1_000
    /// Events in one batch; one of an empty event is 2 bytes.
    package static let batchEventsMax = 4_000_000
    /// Names of processes and threads in one batch.
    package static let batchNamesMax = 65_536
    /// A string field of an event as sent; what is written is cut at `nameBytesMax`.
    @inlinable package static var stringFieldBytesMax: Int { 1 << 20 }
    /// Names (functions, comm, kernels, devices) beyond this are cut and counted.
    @inlinable package static var nameBytesMax: Int { 4_096 }
    /// A text takes at most half as many bytes more in JSON than it has itself, and so many; where escaping would make more
    /// of it, its end is cut and counted. Of a call stack all frames together.
    @inlinable package static var escapedSpareBytes: Int { 32 }
    /// Of the name of a process or thread what viewers show, and of what agents call them: it stands in rows of events that
    /// did not bring it, and in each window's trace once more.
    @inlinable package static var shownNameBytesMax: Int { 128 }
    package static let hostBytesMax = 255
    package static let clientIDBytesMax = 255
    /// `Anomaly` messages in one event.
    package static let eventAnomaliesMax = 64
    /// Findings of one event that are recorded as ours whatever their text.
    package static let eventFindingsMin = 2
    /// Text that an event's findings need for each further one that is.
    package static let findingTextBytesMin = 32
    /// Frames kept of one call stack.
    @inlinable package static var stackFramesMax: Int { 512 }
    package static let metadataBytesMax = 16 << 10
    package static let streamsPerConnectionMax = 1_024
    /// Messages being received or waiting for their commit, together.
    package static let ingestBytesMax = 512 << 20
    /// Messages waiting for their commit, from which on connections that send batches are not read.
    package static let heldBytesMax = ingestBytesMax / 4
    /// The same for connections with much of incomplete messages: what is between is left to small calls.
    package static let heldLargeBytesMax = heldBytesMax / 4
    /// A connection with more of incomplete messages counts as large.
    package static let smallMessageBytesMax = 4 << 20
    /// Incomplete messages on connections that are not large; at this, those wait unread, but for a few.
    package static let smallPartialBytesMax = 32 << 20
    /// So many of those go on all the same, so that the others' turn comes.
    package static let smallPrivilegedMax = 8
    /// The same of those that are large, but for one.
    package static let largePartialBytesMax = 128 << 20
    /// A message that announces more is refused as soon as it begins; the core refuses one that is a little too large.
    package static let announcedBytesMax = messageBytesMax + (1 << 20)
    /// Where others wait for room, who brings less of a message in a second is refused.
    package static let uploadBytesPerSecondMin = 128 << 10
    /// What the core keeps of an open call, beside its message.
    package static let callBytes = 8 << 10
    /// Open calls together; beyond it, the connections with the most and oldest of them give way.
    package static let callBytesMax = 128 << 20
    /// Calls of one connection that the router has not looked at yet; beyond it, the connection is not read.
    package static let untakenCallsMax = 64
    /// One block of HTTP/2 headers; the core answers what is beyond `metadataBytesMax` and below this.
    package static let headerBlockBytesMax = 64 << 10
    /// HTTP/2 frames of one connection that carry nothing (resets, pings, settings…) at once, and a second.
    package static let idleFramesBurst = 1_000
    package static let idleFramesPerSecond = 200
    /// Acknowledgements of all streams that clients have not read; beyond it a stream with more than its share ends.
    package static let streamSendBytesMax = 32 << 20
    package static let streamSendShareBytes = 16 << 10
    /// What one unread message of a stream takes, beside its bytes.
    package static let streamSendOverheadBytes = 64
    /// Connections counted as active clients.
    package static let activeClientsMax = 65_536
    /// Open connections of agents; near that, those idle for longest give way.
    package static let grpcConnectionsMax = 4_096
    /// Of one address so many idle ones are no more a reason to give way than those of others.
    package static let grpcIdlePerHostMax = 64
    /// How long a router that ends goes on with the calls it has; longer than a call is held, and with
    /// the next start shorter than the 20 s for which a client waits for a server's first word.
    package static let routerEndSeconds = 10
    /// How long a call is held before `RESOURCE_EXHAUSTED`.
    package static let callHoldSeconds = 5
    /// Time in which a connection has to bring something of the message of a call.
    package static let receiveSeconds = 60

    // MARK: Log
    /// Groups that many calls share are written no more often than this: a write, its sync and its way to the workers
    /// cost the same for few.
    package static let commitSpacingNanoseconds: Int64 = 2_000_000
    /// Fewer calls that share a group do not wait for more.
    package static let commitSharedMin = 4
    /// One commit group: what shares a write and an `fdatasync`, unless one record alone is larger.
    package static let commitGroupBytesMax = 8 << 20
    /// Memory of routed commit groups that the router keeps for the next ones: those of the fabric's stretch, and more.
    package static let spareGroupsBytesMax = 20 << 20
    package static let logFileBytes = 64 << 20
    /// The record at the head of each log file: de-duplication window, slot map, window number.
    package static let logFileHeadBytesMax = 18 << 20
    package static let logRecordBytesMax = messageBytesMax + 4_096
    /// Behind a record that is written ahead, for what is committed while the log's next file is made.
    package static let logAheadTailBytes = 16 << 20

    // MARK: Disk
    /// The least budget of the ingest log: a file being written and its spare, and as much that waits.
    package static let logBudgetBytesMin = 4 * logFileBytes
    /// Bytes of JSON and CSV that one byte of usual events becomes at most; function events take 3.2.
    package static let outputBytesPerWireByteMax = 4
    /// The same of the worst events: texts that escaping makes half as long again, in up to four places; what an event takes
    /// whatever it holds not counted.
    package static let escapedBytesPerWireByteMax = 6
    /// What one event takes whatever it holds, in JSON and, about half as much, in the table.
    package static func outputBytesPerEvent(_ resource: Resource) -> Int {
        let rest =
            switch resource {
            case .function: repeatedBytesPerEvent
            case .memory, .network: eventFindingsMin * findingBytes
            case .cpu, .io, .gpu: 0
            }
        return jsonBytesPerEvent(resource) * 3 / 2 + rest
    }
    /// What a finding takes beside its text, in the trace and in both files of anomalies.
    package static let findingBytes = 500
    /// What one window of one resource becomes at most, however bad its events, as its bytes and its estimated JSON end it.
    package static let windowMergeBytesMax =
        windowGrowthMax * (windowWireBytesMax * escapedBytesPerWireByteMax + windowJSONBytesMax * 3 / 2)
        + windowGrowthMax * windowRepeatedBytesMax
    /// Bytes of segments that merging a call stack's can make of one: escaped by half, and a folded stack.
    package static let mergedBytesPerStackByteMax = 4
    /// Places of the log that the router remembers with what their events become at most.
    package static let pendingMarksMax = 4_096
    /// Log bytes between two of them, where the log is short.
    package static let pendingMarkBytes = 64 << 10
    /// Left free for checkpoints when no batch is taken any more.
    package static let checkpointReserveBytes = 32 << 20
    /// Held on disk by each worker, beside a checkpoint's size, for rows that wait to be written.
    package static let workerReserveBytes = 4 * runFlushBytes

    // MARK: Dead letters
    /// A record that has ended its worker so often is set aside.
    package static let recordDeathsMax = 3
    /// Verdicts in force: on records that the log still holds.
    package static let verdictsMax = 4_096
    /// Workers whose events wait to be set aside.
    package static let deadLetterCasesMax = 512
    /// Batches of a dead letter are cut at this size, unless one event alone is larger.
    package static let letterBatchBytesMax = 4 << 20
    /// Hosts that a letter's description names.
    package static let letterHostsMax = 16

    // MARK: De-duplication
    /// Ranges of sequences remembered, one a client as a rule; beyond it the one silent for longest is forgotten.
    package static let dedupRangesMax = 4_096
    /// Of one client: a sequence far ahead of the others begins another one.
    package static let dedupRangesPerClientMax = 4
    /// No client has counted its batches so far: a thousand a second would take 35 years.
    package static let dedupCountedMax: UInt64 = 1 << 40
    /// Sequences of one range remembered below its greatest.
    package static let dedupSequencesMax = 256

    // MARK: Memory
    /// In the router what is as large has pages of its own, and is handed on (`SharePool`, `IngestQueue.recycle`).
    package static let routerMappedBytesMin = 256 << 10
    /// The same in the other processes, where messages and rows come and go below that.
    package static let mappedBytesMin = 8 << 20
    /// Free memory that a process keeps at its heap's end.
    package static let heapSpareBytesMax = 32 << 20

    // MARK: Fabric
    package static let workersPerResourceMax = 64
    /// Groups that go to the workers in one message; one alone may be larger.
    package static let shareStretchBytes = 4 << 20
    /// Groups go to the workers no more often than this, unless there are `shareStretchBytes` of them.
    package static let fabricSpacingNanoseconds: Int64 = 150_000_000
    /// How often it is looked whether there are.
    package static let fabricLookNanoseconds: Int64 = 5_000_000
    /// Memory of sent shares that the router keeps for the next ones.
    package static let sharePoolBytesMax = 12 << 20
    /// Unapplied bytes the router lets one worker hold.
    package static let workerCreditBytes = 10 << 20
    /// Durable groups that wait in memory for the fabric; beyond it the log is read instead.
    package static let fabricInboxBytesMax = 12 << 20
    package static let fabricMessageBytesMax = logRecordBytesMax + (1 << 20)
    /// Frames of one message, the routing id not counted.
    package static let fabricFramesMax = 4
    /// Messages that wait for one peer, unless a socket says otherwise.
    package static let fabricQueueMessagesMax = 1_024
    /// One message between processes, beside the event bytes that follow it.
    package static let clusterMessageBytesMax = 64 << 20
    package static let fabricHandshakeSeconds = 5
    package static let pollSourcesMax = 16
    package static let heartbeatSeconds = 1
    /// A process silent for longer is reported as hung: so that status, metrics and log say so within 3 s, with
    /// what it takes to notice and to make a page anew.
    package static let heartbeatLateMilliseconds = 2_250
    /// So many ends of one process within so many seconds, that nobody asked for, are a crash loop; `scripts/service/finish`
    /// slows its starts down from there on.
    package static let crashLoopFailuresMin = 5
    package static let crashLoopSeconds = 60
    /// A process that has stayed up for so long has settled; longer than its starts are apart then.
    package static let crashLoopSettledSeconds = 15
    /// Ends remembered of each process.
    package static let processEndsMax = 16
    /// No batch for so long: the open window is finalized.
    package static let pauseSeconds = 30

    /// Events of a batch after which a worker shows that it comes along.
    @inlinable package static var progressEvents: Int { 4_096 }
    /// A worker whose apply loop hangs for longer ends itself.
    package static let watchdogSeconds = 60

    // MARK: State
    /// Share bytes that a worker applies between two checkpoints, or twice as many where no window ends, and so what a
    /// restart replays, as long as they cost little.
    package static let checkpointBytes = 64 << 20
    /// Checkpoints take one part in so many of a worker's time at most.
    package static let checkpointTimeDivisor: Int64 = 10
    /// No checkpoint that is due waits longer, whatever the last one took.
    package static let checkpointSecondsMax: Int64 = 120
    /// What the state of all slots of a worker takes, unless `state_limit` says otherwise.
    package static let stateBytesMax = 512 << 20
    /// The least `state_limit`.
    package static let stateBytesMin = 64 << 20
    /// The state of one slot takes one part in so many of that at most.
    package static let stateSlotDivisor = 8
    /// Beyond so many events of a process in a window its budget is charged at each of so many only.
    @inlinable package static var chargedEvents: UInt64 { 16 }
    /// Names of the threads of one process that agents give beside events.
    package static let threadNamesBytesPerProcessMax = 1 << 20
    /// Slices in one another that viewers take, and as many entries of a sampling agent that wait for their exits.
    @inlinable package static var openSlicesPerThreadMax: Int { 512 }
    /// Calls in one another that are measured; recursion rarely goes so deep.
    @inlinable package static var openCallsPerThreadMax: Int { 65_536 }
    /// How far a time stamp may be ahead of its arrival: zones set wrong, and recordings made ahead. Beyond that it says
    /// nothing about when something happened.
    @inlinable package static var stampAheadNanosecondsMax: Int64 { 86_400_000_000_000 }
    /// Bytes of a window's trace that repeat the calls of a slot that are open at its beginning, for each event of the slot
    /// in the last window; all others are counted, and their exits are shown as instants.
    package static let repeatedBytesPerEvent = 64
    /// The same of a slot with few events.
    package static let repeatedBytesPerSlotMin = 128 << 10
    /// What slots have beside what their events earn, of one window.
    package static let repeatedBytesMin = Slot.count * repeatedBytesPerSlotMin
    /// Of a repeated call what is not its name.
    package static let repeatedCallBytes = 144
    /// Threads of one process that are named in one window's trace; viewers show further ones by their numbers.
    package static let namedThreadsPerProcessMax = 8_192
    /// Connections of one process that a window's summary holds beside those that are known: of processes that began
    /// anew in the window.
    package static let connectionItemsPerProcessMax = 4_096
    package static let listeningPortsPerProcessMax = 4_096
    package static let protocolsPerProcessMax = 16
    /// Of a network address what is kept in the state: the longest textual form of IPv6 has 45, a zone follows.
    @inlinable package static var addressBytesMax: Int { 64 }
    /// Hosts that a worker remembers; more make those give way that it has not heard of for longest.
    package static let hostsMax = 16_384
    /// One part in so many of them gives way at a time.
    package static let hostsGivenUpDivisor = 16
    /// Names that one process id has had, as its program or its threads change.
    package static let namesPerProcessMax = 16
    package static let devicesPerProcessMax = 64
    /// Kinds of transfer between host and GPU: there are four.
    package static let transferKindsMax = 16

    // MARK: What operators write
    /// `rules.json`, and the cluster's configuration.
    package static let configurationBytesMax = 1 << 20
    package static let inactivitySecondsMax = 999_999_999

    // MARK: Anomaly rules
    package static let ruleOverridesMax = 1_024
    /// Ports, and hosts, of one process that are watched for scans at once.
    package static let scanKeysPerProcessMax = 32
    package static let scanValuesPerKeyMax = 256
    /// Rules and keys of one process whose suppressed findings are counted apart; beyond it those of a rule are counted
    /// together.
    package static let suppressedKeysPerProcessMax = 32
    /// Of the worst suppressed finding's message what is kept.
    package static let suppressedMessageBytesMax = 512

    // MARK: Summaries
    /// Buckets of one quantile sketch: 20 doublings in full.
    @inlinable package static var sketchBucketsMax: Int { 1_024 }
    /// Of a name what a summary shows.
    @inlinable package static var summaryNameBytesMax: Int { 512 }
    /// Rows that each top list of a worker's summary holds, and of a window's file for later merging.
    package static let summaryRowsMax = 100
    /// Rows of one table that add up others over processes; beyond it some names are let go.
    package static let summaryOverallBytesMax = 3 << 20
    /// The same of what one slot's processes did that have given way.
    package static let summaryEvictedBytesMax = 128 << 10
    /// Rows that a top list shows.
    package static let summaryTopRows = 20

    // MARK: Files
    /// Rendered rows that wait for their order, for all files of one worker together.
    package static let runBufferBytesMax = 64 << 20
    /// A run buffer of one file holds so much: half of it new rows, which are written out then, half of it those that stayed
    /// before. Up to eight times as much where rows come out of order. The log's next sync waits for what is written
    /// before it, so more costs agents time.
    package static let runFlushBytes = 2 << 20
    /// Rows younger than this (event time) stay back at a flush so that neighbours can overtake.
    package static let runHoldbackNanoseconds: Int64 = 500_000_000
    /// Wire bytes of one resource after which the router closes a window; so many times as it has workers.
    package static let windowWireBytesMax = 40 << 20
    /// JSON of one resource, as estimated from what was received, after which the router closes a window; likewise.
    package static let windowJSONBytesMax = 100_000_000
    /// Of several workers a window is so many times as large at most: the end of one costs each worker the same, however few
    /// of its events were the worker's own.
    package static let windowGrowthMax = 4
    /// Output of one resource that workers report of the open window, after which the router closes it; likewise.
    package static let windowOutputBytesMax = windowWireBytesMax * outputBytesPerWireByteMax
    /// What the JSON of one event takes beyond the bytes that it came in, with what agents usually send: measured.
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
    /// What repeats open calls in one window, as many events as end the one before it.
    package static let windowRepeatedBytesMax =
        repeatedBytesMin + windowJSONBytesMax / jsonBytesPerEvent(.function) * repeatedBytesPerEvent
    package static let windowSecondsMax = 300
    /// One final trace or table, before it is compressed, unless one row alone is larger: viewers choke on more.
    package static let finalFileBytesMax = 110_000_000
    package static let openFilesMax = 512
    /// Traces and call stacks of single hosts that a worker writes in one window; those of further hosts share a file.
    package static let hostFilesPerWindowMax = 24_576
    /// What one of them takes at most in the announcement of its window, where its rows come in order.
    package static let closedFileBytesMax = 1_280
    /// The paths of the final files of one window of each resource, as the aggregator keeps them and `finalize` names them.
    package static let windowFilesBytesMax = 96 << 20
    /// Files that are synced one by one; more are synced with all that is on the disk, which costs a tenth as much.
    package static let filesSyncedSinglyMax = 64
    package static let mergeBufferBytes = 256 << 10
    /// One call stack or anomaly with its names, as a segment holds it: a message bounds it.
    package static let segmentRecordBytesMax = 128 << 20
    /// Runs merged at once, each with a buffer of `mergeBufferBytes`.
    package static let mergeRunsMax = 64
    /// Distinct call stacks summed in memory before they are spilled, as text.
    package static let foldedStacksBytesMax = 32 << 20

    // MARK: Metrics
    /// Series of processes that a metric shows, unless `series_limit` says otherwise.
    package static let seriesPerMetricMax = 10_000
    /// The least `series_limit`.
    package static let seriesPerMetricMin = 10
    /// Of histograms one part in so many of that: each makes a line a bucket.
    package static let histogramSeriesDivisor = 20
    /// Series of processes that the aggregator holds in all, folded ones included; further ones are dropped.
    package static let seriesHeldMax = 1_000_000
    /// Ids that a worker gives its series before it begins anew.
    package static let seriesIDsMax = 2_000_000
    /// Of these, ids that only what slots count as a whole gets.
    package static let slotSeriesIDs = 1 << 14
    /// Definitions of series in one slot's section; what is beyond waits for the slot's next one.
    package static let sectionDefinitionBytesMax = 4 << 20
    /// A process quiet for so long is forgotten, and its series with it.
    package static let processQuietSeconds: Int64 = 3_600
    /// How often processes are looked through for quiet ones.
    package static let quietCheckSeconds: Int64 = 60
    /// Series of one process about itself.
    package static let ownSeriesMax = 1_024
    package static let labelBytesMax = 256

    // MARK: Aggregator
    /// Windows of one resource announced and not yet merged; later ones are announced again.
    package static let pendingWindowsMax = 256
    package static let mergeRetrySeconds = 5
    /// Damaged segments that are kept for a look at them.
    package static let damagedBytesMax = 1 << 30
    /// How often retention looks at ages, sizes and the disk.
    package static let retentionSeconds = 5
    /// Windows that retention deletes between two merges.
    package static let retentionWindowsPerPass = 64
    /// Free bytes below which retention, where it is configured, deletes the oldest final files: what two
    /// windows of each resource become, which is where no batch is taken any more.
    package static let retentionFreeBytesMin =
        2 * Resource.allCases.count * windowWireBytesMax * windowGrowthMax * outputBytesPerWireByteMax
        + checkpointReserveBytes
    /// Of a small disk one part in so many is free enough.
    package static let retentionFreeDivisor = 20
    /// The journal of the metrics, below which the whole of them is not saved anew; above, at twice their size.
    package static let metricJournalBytesMin = 16 << 20
    /// Of the journal what waits in memory until somebody asks for a page.
    package static let metricJournalHeldBytesMax = 4 << 20
    /// Connections to the pages; where all are open, the one that does least gives way to a new one.
    package static let httpConnectionsMax = 256
    /// A request's target and header fields. No request may have a body.
    package static let httpHeadBytesMax = 16 << 10
    package static let httpHeadFieldsMax = 100
    /// Time for a request's head to arrive.
    package static let httpHeadSeconds = 10.0
    /// Time between a reply and the next request on its connection.
    package static let httpIdleSeconds = 60.0
    /// Time in which a reader takes some of its reply.
    package static let httpProgressSeconds = 30.0
    /// Time in which a reader takes some of its reply where all connections are open, and another client waits.
    package static let httpStallSeconds = 1.0
    /// Time for a whole reply then.
    package static let httpReplySeconds = 10.0
    /// Time for a client to close its connection after the last reply.
    package static let httpLingerSeconds = 1.0
    /// Old pages that slow readers keep in memory; the newest one comes on top.
    package static let httpHeldBytesMax = 256 << 20
    /// A page younger than this is served again.
    package static let pageSecondsMin = 1

    // MARK: Operator's tools
    /// Calls of one recording that `tracectl import` holds: 32 bytes each, and as much again while the array grows.
    package static let importCallsMax = 16_000_000
    package static let importNameBytesMax = 256 << 20
    package static let importThreadsMax = 65_536
    /// Final files that overlap in time and are read side by side by `tracectl cat`, each with a buffer.
    package static let catFilesMax = 256
    package static let catBufferBytes = 64 << 10
    /// Openings of calls that went on over rotations, held to be told once.
    package static let catContinuedBytesMax = 64 << 20
    /// Calls opened at one time that are remembered to be told once.
    package static let catOpeningsMax = 65_536
    /// Events in one batch of the tools.
    package static let toolBatchEvents = 500
    /// Processes that `tracectl agent` follows; those beyond are counted, not sampled.
    package static let agentProcessesMax = 32_768
    /// Names of processes and threads that `tracectl agent` remembers; those beyond are counted, not sent.
    package static let agentNamesMax = 65_536
    /// After so long `tracectl agent` sends all names again, since the server forgets quiet processes.
    package static let agentNamesSeconds = 300
    /// Sockets in one sample.
    package static let agentSocketsMax = 16_384

    /// The relations between the limits; a violation is a bug of ours, found at the first start.
    package static func assertRelations() {
        precondition(messageBytesMax < logRecordBytesMax)
        precondition(logRecordBytesMax < fabricMessageBytesMax)
        precondition(clusterMessageBytesMax < fabricMessageBytesMax)
        precondition(messageBytesMax < ingestBytesMax)
        precondition(
            heldBytesMax + largePartialBytesMax + 2 * messageBytesMax + smallPartialBytesMax + smallPrivilegedMax
                * smallMessageBytesMax <= ingestBytesMax, "what is held, what arrives, and one message more of either")
        precondition(heldLargeBytesMax < heldBytesMax, "small calls have a share of their own")
        precondition(smallMessageBytesMax < smallPartialBytesMax)
        precondition(messageBytesMax < announcedBytesMax && announcedBytesMax < largePartialBytesMax)
        precondition(metadataBytesMax < headerBlockBytesMax)
        precondition(untakenCallsMax < streamsPerConnectionMax)
        precondition(streamsPerConnectionMax * callBytes < callBytesMax)
        precondition(grpcIdlePerHostMax < grpcConnectionsMax)
        precondition(1_024 * streamSendShareBytes < streamSendBytesMax)
        precondition(
            dedupRangesMax * (dedupSequencesMax * 16 + clientIDBytesMax + 40) + verdictsMax * 32 < logFileHeadBytesMax)
        precondition(dedupRangesPerClientMax >= 2 && dedupRangesPerClientMax < dedupRangesMax)
        precondition(shareStretchBytes <= min(workerCreditBytes, logRecordBytesMax))
        precondition(2 * shareStretchBytes <= min(fabricInboxBytesMax, sharePoolBytesMax))
        precondition(routerMappedBytesMin < sharePoolBytesMax)
        precondition(fabricLookNanoseconds < fabricSpacingNanoseconds)
        precondition(commitGroupBytesMax <= min(logAheadTailBytes, logFileBytes))
        precondition(2 * commitGroupBytesMax < spareGroupsBytesMax, "a full group may be kept")
        precondition(nameBytesMax <= stringFieldBytesMax)
        precondition(addressBytesMax + 16 <= nameBytesMax)
        precondition(shownNameBytesMax <= nameBytesMax)
        precondition(
            4 * 3 <= 2 * escapedBytesPerWireByteMax, "an agent's finding stands in four places, escaped by half")
        precondition(mergedBytesPerStackByteMax * 2 >= 3 + 2, "a stack's text, escaped by half, and folded")
        precondition(protocolsPerProcessMax <= UInt8.max)
        precondition(stateBytesMin <= stateBytesMax)
        precondition(
            // What one process may hold that gives way only with the process itself: then other entries always can.
            namedThreadsPerProcessMax * 160 + threadNamesBytesPerProcessMax + connectionItemsPerProcessMax * 600
                + (listeningPortsPerProcessMax + 4_096) * 128 < stateBytesMin / stateSlotDivisor,
            "a process at all its bounds fits into a slot")
        precondition(8 * runFlushBytes <= runBufferBytesMax)
        precondition(stringFieldBytesMax * 6 < segmentRecordBytesMax, "escaped in full")
        precondition(mergeRunsMax < openFilesMax, "runs of one merge are open together")
        precondition(catFilesMax < openFilesMax)
        precondition(filesSyncedSinglyMax < openFilesMax)
        precondition(hostsMax < hostFilesPerWindowMax && hostsMax / hostsGivenUpDivisor > 0)
        precondition(
            // A name of bytes that are no text becomes three times as long.
            3 * hostBytesMax + 512 <= closedFileBytesMax
                && hostFilesPerWindowMax * closedFileBytesMax < clusterMessageBytesMax / 2,
            "what a worker announces of a window is one message, with its summary")
        precondition(
            // Of a host's call stacks come two files.
            Resource.allCases.count * hostFilesPerWindowMax * 2 * 256 < windowFilesBytesMax)
        precondition(2_000 * heartbeatSeconds < heartbeatLateMilliseconds, "one may come late")
        precondition(crashLoopFailuresMin < processEndsMax)
        precondition(crashLoopSettledSeconds < crashLoopSeconds)
        precondition(pauseSeconds < windowSecondsMax)
        precondition(windowWireBytesMax < finalFileBytesMax)
        precondition(outputBytesPerWireByteMax <= escapedBytesPerWireByteMax)
        precondition(windowJSONBytesMax < windowOutputBytesMax, "usual events end a window by what is estimated")
        precondition(windowJSONBytesMax < finalFileBytesMax, "one worker's window usually is one file")
        precondition(
            openSlicesPerThreadMax * (repeatedCallBytes + 40) * 4 <= repeatedBytesPerSlotMin * 3,
            "a thread's calls are repeated, whatever their number")
        precondition(
            2 * windowRepeatedBytesMax <= windowOutputBytesMax,
            "most of a window is its own events, so it is not ended by what it repeats")
        precondition(callHoldSeconds < routerEndSeconds)
        precondition(openSlicesPerThreadMax <= 512, "Perfetto nests B and E 512 deep")
        precondition(openSlicesPerThreadMax <= openCallsPerThreadMax)
        precondition(workersPerResourceMax <= Slot.count)
        precondition(seriesPerMetricMin <= seriesPerMetricMax)
        precondition(seriesPerMetricMax <= seriesHeldMax)
        precondition(seriesHeldMax <= seriesIDsMax - slotSeriesIDs)
        precondition(Slot.count * 64 <= slotSeriesIDs, "a group of series for each slot")
        precondition(
            seriesIDsMax * 12 + 2 * sectionDefinitionBytesMax < clusterMessageBytesMax,
            "a slot's section is one message")
        precondition(metricJournalHeldBytesMax < metricJournalBytesMin)
        precondition(httpHeadSeconds < httpIdleSeconds)
        precondition(httpStallSeconds < httpReplySeconds)
        precondition(quietCheckSeconds < processQuietSeconds)
        precondition(ruleOverridesMax < UInt16.max)
        precondition(scanValuesPerKeyMax <= UInt16.max)
        precondition(suppressedKeysPerProcessMax <= 128, "and one a rule: a byte counts them")
        precondition(suppressedMessageBytesMax + 128 <= nameBytesMax, "the words before it are not cut off it")
        precondition(sketchBucketsMax <= UInt16.max)
        precondition(summaryTopRows <= summaryRowsMax)
        precondition(
            // Of all resources io has most: eleven lists, and three tables that add up others.
            12 * summaryRowsMax * (sketchBucketsMax * 10 + 2 * summaryNameBytesMax + 512) + 3 * summaryOverallBytesMax
                < clusterMessageBytesMax / 2)
    }
}
