import TraceModel

/// The call that a `B` event opens, as far as the events tell calls apart.
struct OpenedCall: Hashable {
    private let ts: EpochNanoseconds
    private let pid: UInt32
    private let tid: UInt32
    private let cookie: Int64
    private let name: UInt64
    private let host: UInt64

    /// Whether the event repeats the opening of a call that went on over a rotation.
    let isContinued: Bool

    /// Nil for any other event. `host` stands for the file's host.
    init?(_ file: FinalFile, host: UInt64) {
        guard let row = EventRow(file) else { return nil }
        self.init(row, host: host)
    }

    /// Nil for any other event.
    init?(_ row: EventRow, host: UInt64) {
        guard let tid = row.tid, let call = row.call, call.phase == .begin else { return nil }
        self.init(call, began: row.ts, pid: row.pid, tid: tid, host: host)
    }

    /// The call that an exit ends, where the exit says when it began; nil for any other event.
    init?(endedBy row: EventRow, host: UInt64) {
        guard let tid = row.tid, let call = row.call, let began = call.began else { return nil }
        self.init(call, began: began, pid: row.pid, tid: tid, host: host)
    }

    private init(_ call: EventRow.Call, began: EpochNanoseconds, pid: UInt32, tid: UInt32, host: UInt64) {
        isContinued = call.isContinued
        ts = began
        self.pid = pid
        self.tid = tid
        cookie = call.cookie
        name = Slot.hash(host: call.name)
        self.host = host
    }

    static func == (left: OpenedCall, right: OpenedCall) -> Bool {
        left.ts == right.ts && left.pid == right.pid && left.tid == right.tid && left.cookie == right.cookie
            && left.name == right.name && left.host == right.host
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(ts)
        hasher.combine(pid)
        hasher.combine(tid)
        hasher.combine(cookie)
    }
}
