internal import CSocketMeter

/// What goes through the sockets of one server: bytes of messages not yet whole, open calls, and messages
/// not yet answered. A connection for which there is no room is not read until `resume`. Any thread.
@safe final class SocketMeters: @unchecked Sendable {
    struct Totals: Equatable {
        /// Bytes of incomplete messages on connections that hold few of them, and on those that hold many.
        var smallBytes = 0
        var largeBytes = 0
        /// Memory of open calls.
        var callBytes = 0
        var pausedConnections = 0
        /// Connections with a message larger than the server takes.
        var oversizedConnections = 0
        /// Connections ended for sending too much that carries nothing, ever.
        var floodedConnections = 0
    }

    private let budget: OpaquePointer
    /// Held bytes at which somebody may begin to wait.
    private let heldSteps: [Int]

    init(_ configuration: GRPCServerConfiguration) {
        precondition(trace_meter_is_in_place() != 0, "the core's calls of recvmsg have to come to this executable")
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
        // A client may open calls before it knows the bound.
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
            smallBytes: Int(totals.small_bytes), largeBytes: Int(totals.large_bytes), callBytes: Int(totals.call_bytes),
            pausedConnections: Int(totals.paused), oversizedConnections: Int(totals.oversized),
            floodedConnections: Int(totals.flooded))
    }

    private var cTotals: trace_meter_totals {
        var totals = trace_meter_totals()
        unsafe trace_meter_budget_totals(budget, &totals)
        return totals
    }

    // MARK: Messages not yet answered

    /// Bytes of messages that the handler has got and not yet answered.
    var heldBytes: Int { Int(cTotals.held_bytes) }

    func take(_ bytes: Int) { unsafe trace_meter_hold(budget, Int64(bytes)) }

    /// True where this made room: somebody may be waiting for it.
    func giveBack(_ bytes: Int) -> Bool {
        let before = Int(unsafe trace_meter_hold(budget, -Int64(bytes)))
        assert(before >= bytes)
        return heldSteps.contains { before >= $0 && before - bytes < $0 }
    }

    // MARK: One connection

    /// Meters a connection, from its first byte on.
    func begin(_ descriptor: Int32) -> Bool { unsafe trace_meter_begin(budget, descriptor) != 0 }

    /// The connection is closed.
    func end(_ descriptor: Int32) { trace_meter_end(descriptor) }

    /// Nil for a connection that is not metered, or is over. `now`: monotonic ns.
    func look(at descriptor: Int32, now: Int64) -> MeteredConnection? {
        var view = trace_meter_view()
        guard unsafe trace_meter_look(descriptor, now, &view) != 0 else { return nil }
        return MeteredConnection(
            descriptor: descriptor, partialBytes: Int(view.partial_bytes), dataBytes: Int(view.data_bytes),
            callBytes: Int(view.call_bytes), callByteSeconds: Int(view.call_byte_seconds),
            openCalls: Int(view.open_calls), pausedSince: view.paused_since == 0 ? nil : view.paused_since,
            lastActive: view.last_active, isOversized: view.is_oversized != 0, isPrivileged: view.is_privileged != 0)
    }

    /// The server has taken a call of the connection. `isIngest`: it sends batches, so it waits while too
    /// many messages are held.
    func takeCall(_ descriptor: Int32, isIngest: Bool) { trace_meter_take_call(descriptor, isIngest ? 1 : 0) }

    /// A privileged connection is read even where incomplete messages take all their room.
    func setPrivileged(_ descriptor: Int32, _ on: Bool) { trace_meter_set_privileged(descriptor, on ? 1 : 0) }

    /// Lets the connection be read again, if there is room for it.
    func resume(_ descriptor: Int32) { trace_meter_resume(descriptor) }

    /// Tells the client to open its next call elsewhere. False where that is not possible now.
    func sendAway(_ descriptor: Int32) -> Bool { trace_meter_send_away(descriptor) != 0 }
}

/// What is known of one connection at one moment.
struct MeteredConnection: Equatable, Sendable {
    let descriptor: Int32
    /// Of incomplete messages: what has arrived.
    var partialBytes = 0
    /// Of messages that have ever arrived.
    var dataBytes = 0
    /// Memory of its open calls, and the same times their ages.
    var callBytes = 0
    var callByteSeconds = 0
    var openCalls = 0
    /// Since when it is not read, monotonic ns.
    var pausedSince: Int64?
    /// When a byte last went by, monotonic ns.
    var lastActive: Int64 = 0
    var isOversized = false
    var isPrivileged = false
}
