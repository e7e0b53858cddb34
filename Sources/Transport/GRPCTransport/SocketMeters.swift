internal import CSocketMeter

/// Counts a server's memory at its sockets: incomplete messages, open calls, and messages not answered yet. A
/// connection without room is not read until `resume`. All functions may be called from any thread.
@safe final class SocketMeters: @unchecked Sendable {
    struct Totals: Equatable {
        /// Bytes of incomplete messages on small and on large connections.
        var smallBytes = 0
        var largeBytes = 0
        /// Memory of open calls in bytes.
        var callBytes = 0
        var pausedConnections = 0
        /// Connections with a message larger than the server accepts.
        var oversizedConnections = 0
        /// Total number of connections closed for too many frames without payload.
        var floodedConnections = 0
    }

    private let budget: OpaquePointer
    /// Values of `heldBytes` at which connections are paused.
    private let heldSteps: [Int]

    init(_ configuration: GRPCServerConfiguration) {
        precondition(
            trace_meter_is_in_place() != 0,
            "the gRPC core does not call this executable's recvmsg"
        )
        heldSteps = [configuration.heldLargeBytesMax, configuration.heldBytesMax]
        var limits = trace_meter_limits()
        limits.announced_bytes_max = Int64(configuration.announcedBytesMax)
        limits.small_bytes_max = Int64(configuration.smallMessageBytesMax)
        limits.small_total_bytes_max = Int64(configuration.smallPartialBytesMax)
        limits.large_total_bytes_max = Int64(configuration.largePartialBytesMax)
        limits.held_large_bytes_max = Int64(configuration.heldLargeBytesMax)
        limits.held_bytes_max = Int64(configuration.heldBytesMax)
        limits.header_block_bytes_max = Int64(configuration.headerBlockBytesMax)
        limits.call_bytes = Int64(configuration.callBytes)
        // A client may exceed the limit of streams before it has received it.
        limits.calls_max = Int32(clamping: 2 * configuration.streamsPerConnectionMax)
        limits.untaken_calls_max = Int32(clamping: configuration.untakenCallsMax)
        limits.idle_frames_burst = Int32(clamping: configuration.idleFramesBurst)
        limits.idle_frames_per_second = Int32(clamping: configuration.idleFramesPerSecond)
        guard let created = unsafe trace_meter_budget_create(&limits) else {
            preconditionFailure("trace_meter_budget_create")
        }
        unsafe budget = created
    }

    deinit { unsafe trace_meter_budget_destroy(budget) }

    var totals: Totals {
        let totals = cTotals
        return Totals(
            smallBytes: Int(totals.small_bytes),
            largeBytes: Int(totals.large_bytes),
            callBytes: Int(totals.call_bytes),
            pausedConnections: Int(totals.paused),
            oversizedConnections: Int(totals.oversized),
            floodedConnections: Int(totals.flooded)
        )
    }

    private var cTotals: trace_meter_totals {
        var totals = trace_meter_totals()
        unsafe trace_meter_budget_totals(budget, &totals)
        return totals
    }

    // MARK: Messages not answered yet

    /// Bytes of messages that the handler has received and not answered yet.
    var heldBytes: Int { Int(cTotals.held_bytes) }

    /// Adds to `heldBytes`.
    func take(_ bytes: Int) { unsafe trace_meter_hold(budget, Int64(bytes)) }

    /// Subtracts from `heldBytes`. Returns true if that crossed a limit, so that a paused connection may resume.
    func giveBack(_ bytes: Int) -> Bool {
        let before = Int(unsafe trace_meter_hold(budget, -Int64(bytes)))
        assert(before >= bytes)
        return heldSteps.contains { before >= $0 && before - bytes < $0 }
    }

    // MARK: One connection

    /// Starts metering a connection; before its first byte.
    func begin(_ descriptor: Int32) -> Bool { unsafe trace_meter_begin(budget, descriptor) != 0 }

    /// Stops metering a connection that is closed.
    func end(_ descriptor: Int32) { unsafe trace_meter_end(budget, descriptor) }

    /// Returns the state of a connection at `now` (monotonic ns); nil if it is not metered or is closed.
    func inspect(_ descriptor: Int32, now: Int64) -> MeteredConnection? {
        var view = trace_meter_view()
        guard unsafe trace_meter_inspect(budget, descriptor, now, &view) != 0 else { return nil }
        return MeteredConnection(
            descriptor: descriptor,
            partialBytes: Int(view.partial_bytes),
            dataBytes: Int(view.data_bytes),
            callBytes: Int(view.call_bytes),
            callByteSeconds: Int(view.call_byte_seconds),
            openCalls: Int(view.open_calls),
            pausedSince: view.paused_since == 0 ? nil : view.paused_since,
            lastActive: view.last_active,
            isOversized: view.is_oversized != 0,
            isPrivileged: view.is_privileged != 0
        )
    }

    /// Records that the server has taken a call of the connection. With `isIngest` the connection sends batches, so it
    /// is paused while too many messages are held.
    func takeCall(_ descriptor: Int32, isIngest: Bool) {
        unsafe trace_meter_take_call(budget, descriptor, isIngest ? 1 : 0)
    }

    /// Makes a connection privileged: it is read even while incomplete messages take all their budget.
    func setPrivileged(_ descriptor: Int32, _ on: Bool) {
        unsafe trace_meter_set_privileged(budget, descriptor, on ? 1 : 0)
    }

    /// Resumes a paused connection if there is room.
    func resume(_ descriptor: Int32) { unsafe trace_meter_resume(budget, descriptor) }

    /// Sends a GOAWAY so that the client opens its next call elsewhere. Returns false if that is not possible now.
    func sendAway(_ descriptor: Int32) -> Bool {
        unsafe trace_meter_send_away(budget, descriptor) != 0
    }
}

/// The state of one connection at one moment.
struct MeteredConnection: Equatable, Sendable {
    let descriptor: Int32
    /// Bytes received of incomplete messages.
    var partialBytes = 0
    /// Total message bytes received.
    var dataBytes = 0
    /// Memory of open calls in bytes, and that multiplied by their ages in seconds.
    var callBytes = 0
    var callByteSeconds = 0
    var openCalls = 0
    /// When reading was paused (monotonic ns); nil if it is not paused.
    var pausedSince: Int64?
    /// Time of the last byte in either direction (monotonic ns).
    var lastActive: Int64 = 0
    var isOversized = false
    var isPrivileged = false
}
