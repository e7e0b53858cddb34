import Glibc
package import HTTPTypes
import NIOCore
import NIOHTTP1
import Synchronization
import SystemIO

/// The open connections of a server: their `ConnectionTable` and their channels. Any thread.
final class Connections: Sendable {
    /// The table, and the channels by id.
    private struct State {
        var table: ConnectionTable
        var channels: [ConnectionTable.ID: any Channel] = [:]
        var last: ConnectionTable.ID = 0
    }

    private let bounds: HTTPBounds
    private let tally: HTTPTally
    private let state: Mutex<State>

    init(_ bounds: HTTPBounds, _ tally: HTTPTally) {
        self.bounds = bounds
        self.tally = tally
        state = Mutex(State(table: ConnectionTable(bounds)))
    }

    var isEmpty: Bool { state.withLock { $0.table.isEmpty } }

    func hasRoom() -> Bool { state.withLock { $0.table.hasRoom(now: WallClock.monotonic()) } }

    /// Registers an accepted connection. Closes another one if there are too many.
    func opened() -> ConnectionTable.ID {
        let now = WallClock.monotonic()
        let id = state.withLock { state in
            state.last += 1
            state.table.opened(state.last, now: now)
            return state.last
        }
        end { $0.makeRoom(now: now).map { [$0] } ?? [] }
        return id
    }

    /// Attaches the channel, so that the connection can be closed. Throws if it should have been closed meanwhile.
    func attach(_ channel: any Channel, to id: ConnectionTable.ID) throws {
        let isCut = state.withLock { state in
            state.channels[id] = channel
            return state.table.isCut(id)
        }
        if isCut { throw ChannelError.ioOnClosedChannel }
    }

    func closed(_ id: ConnectionTable.ID) {
        state.withLock { state in
            state.table.closed(id)
            state.channels[id] = nil
        }
    }

    /// Passes an event with its time to the table.
    func note(_ change: (inout ConnectionTable, Int64) -> Void) {
        let now = WallClock.monotonic()
        state.withLock { change(&$0.table, now) }
    }

    /// Records that a reply of the connection carries this body. May close readers of older bodies.
    func holds(_ id: ConnectionTable.ID, _ body: SharedBody) {
        note { table, _ in table.holds(id, serial: body.serial, bytes: body.buffer.readableBytes) }
        end { table in
            var endings: [ConnectionTable.Ending] = []
            while let ending = table.freeBodies() { endings.append(ending) }
            return endings
        }
    }

    /// Closes the connections whose deadline has passed.
    func expire() {
        let now = WallClock.monotonic()
        end { $0.expire(now: now) }
    }

    func closeAll() {
        for channel in state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }

    private func end(_ decide: (inout ConnectionTable) -> [ConnectionTable.Ending]) {
        let endings = state.withLock { state in
            decide(&state.table).map { ($0, state.channels[$0.id]) }
        }
        for (ending, channel) in endings {
            // A refusal is counted when it is sent, as the head may have arrived after all.
            if let reason = ending.reason, ending.way != .refuse { tally.count(reason) }
            if let channel { end(channel, ending.way) }
        }
    }

    private func end(_ channel: any Channel, _ way: ConnectionTable.Ending.Way) {
        switch way {
        case .refuse:
            channel.pipeline.fireUserInboundEventTriggered(
                RequestGuard.Refusal(
                    status: .requestTimeout,
                    text: "no request within \(Int(bounds.headSeconds)) s",
                    reason: .slowHead
                )
            )
        case .close: channel.close(promise: nil)
        case .reset:
            let options = channel as? any SocketOptionProvider
            _ = options?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
            // Runs after the option is set, on the same event loop.
            channel.close(promise: nil)
        }
    }
}

/// The bytes of a reply, in memory once for all replies that carry them: connections send slices of it.
package final class SharedBody: Sendable {
    private static let count = Atomic<UInt64>(0)

    let buffer: ByteBuffer
    /// Greater than the serial of every body made before.
    let serial = SharedBody.count.add(1, ordering: .relaxed).newValue

    /// Creates a body with a copy of the bytes.
    package init(_ bytes: some Sequence<UInt8>) { buffer = ByteBuffer(bytes: bytes) }

    /// Calls `body` with the bytes, which are valid only during the call.
    package func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let result = unsafe buffer.withUnsafeReadableBytes { bytes in
            Swift.Result { () throws(Failure) -> Result in try unsafe body(bytes) }
        }
        return try result.get()
    }
}

/// A body that is produced while it is sent, so that it takes no memory.
package struct HTTPStream: Sendable {
    /// Size of the whole body; nil if it is not known before its end.
    let bytes: Int?
    /// Returns the next piece. An empty one ends a body of unknown size.
    let next: @Sendable () async throws -> [UInt8]

    /// Creates a body of `bytes` bytes. `next` is called until they are complete; it must not block. If it throws, the
    /// connection is closed, which the client takes for a reply that is cut off.
    package init(bytes: Int, next: @escaping @Sendable () async throws -> [UInt8]) {
        self.bytes = bytes
        self.next = next
    }

    /// Creates a body of unknown size, which ends with the first empty piece; see above.
    package init(next: @escaping @Sendable () async throws -> [UInt8]) {
        bytes = nil
        self.next = next
    }
}

/// A reply to a request. `HTTPServer` adds `Content-Length`, if the size is known, and `Connection`.
package struct HTTPReply: Sendable {
    /// What follows the head.
    enum Body: Sendable {
        case shared(SharedBody)
        case stream(HTTPStream)
    }

    package var status: HTTPResponse.Status
    package var headers: HTTPFields
    let body: Body

    package init(status: HTTPResponse.Status, headers: HTTPFields, body: SharedBody) {
        self.status = status
        self.headers = headers
        self.body = .shared(body)
    }

    package init(status: HTTPResponse.Status, headers: HTTPFields, stream: HTTPStream) {
        self.status = status
        self.headers = headers
        body = .stream(stream)
    }
}

/// The client of a connection, for replies that take long: they may end early when it has gone. Any thread.
package final class HTTPPeer: Sendable {
    private let hasGone = Atomic(false)

    package init() {}

    /// Whether the client has closed the connection, or at least the side on which it sends.
    package var isGone: Bool { hasGone.load(ordering: .relaxed) }

    func leave() { hasGone.store(true, ordering: .relaxed) }
}
