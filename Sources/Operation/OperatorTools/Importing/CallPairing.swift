/// A `B` or an `E` event until its partner is found.
struct CallBoundary {
    var time: Int64
    /// Index into the recording's names; of an `E` without a name `noName`.
    var name: UInt32
    var thread: UInt32
    var order: UInt32
    var isBegin: Bool

    static let noName = UInt32.max
}

/// Joins begins and ends to calls, thread by thread in order of time.
///
/// An end without a name ends the innermost call. One with a name ends the innermost call of that name; those inside it, whose
/// own ends are missing, end with it. O(n log n).
struct CallPairing {
    private var open: [CallBoundary] = []
    /// How many calls of each name are open, so that no end searches for a call that is not there.
    private var openByName: [UInt32: Int] = [:]

    static func pair(_ boundaries: inout [CallBoundary], into recording: inout Recording) throws {
        boundaries.sort { ($0.thread, $0.time, $0.order) < ($1.thread, $1.time, $1.order) }
        var pairing = CallPairing()
        var thread: UInt32?
        for boundary in boundaries {
            if boundary.thread != thread { try pairing.leaveOpen(in: &recording) }
            thread = boundary.thread
            if boundary.isBegin {
                pairing.open.append(boundary)
                pairing.openByName[boundary.name, default: 0] += 1
            } else {
                try pairing.end(boundary, in: &recording)
            }
        }
        try pairing.leaveOpen(in: &recording)
    }

    private mutating func end(_ end: CallBoundary, in recording: inout Recording) throws {
        let isKnown =
            end.name == CallBoundary.noName ? !open.isEmpty : openByName[end.name, default: 0] > 0
        guard isKnown else { return recording.skip(.endWithoutBegin) }
        while let begin = open.popLast() {
            openByName[begin.name, default: 0] -= 1
            let isOwnEnd = end.name == CallBoundary.noName || end.name == begin.name
            try recording.add(call(begin, end: end.time, hasOwnEnd: isOwnEnd))
            if isOwnEnd { return }
        }
    }

    /// The calls of a thread that are still open behind its last event.
    private mutating func leaveOpen(in recording: inout Recording) throws {
        for begin in open {
            try recording.add(call(begin, end: RecordedCall.open, hasOwnEnd: false))
        }
        open.removeAll(keepingCapacity: true)
        openByName.removeAll(keepingCapacity: true)
    }

    private func call(_ begin: CallBoundary, end: Int64, hasOwnEnd: Bool) -> RecordedCall {
        RecordedCall(
            start: begin.time,
            end: end,
            name: begin.name,
            thread: begin.thread,
            order: begin.order,
            events: hasOwnEnd ? 2 : 1,
            isUnfinished: !hasOwnEnd
        )
    }
}
