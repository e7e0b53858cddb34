import TraceModel

// Entries are evicted when a slot, or all slots together, exceed the bounds of `StateBudget`.

extension ProcessLifecycle where Model: ~Copyable {
    /// Charges the process's slot with the process's current size. If that exceeds a bound, entries are evicted, but
    /// never the process itself. This has to be the last step of an event.
    @inline(__always) mutating func charge(_ entry: Entry, at arrival: EpochNanoseconds) {
        let bytes = entry.pointee.stateBytes
        let growth = bytes &- entry.pointee.chargedBytes
        guard growth != 0 else { return }
        entry.pointee.chargedBytes = bytes
        let slot = entry.pointee.slot
        totals[Int(slot)].stateBytes &+= growth
        stateBytes &+= growth
        if totals[Int(slot)].stateBytes > budget.slotBytesMax || stateBytes > budget.bytesMax {
            relieve(slot, sparing: entry, at: arrival)
        }
    }

    /// Evicts entries of the slot if it exceeds its bound, then of the largest slots if their sum exceeds its bound.
    @inline(never) private mutating func relieve(
        _ slot: UInt8,
        sparing entry: Entry,
        at arrival: EpochNanoseconds
    ) {
        if totals[Int(slot)].stateBytes > budget.slotBytesMax {
            let bytes = StateBudget.given(upOf: budget.slotBytesMax)
            sweep(slot, freeing: bytes, sparing: entry, at: arrival)
        }
        while stateBytes > budget.bytesMax {
            let largest = (0..<Slot.count).max { totals[$0].stateBytes < totals[$1].stateBytes }
            guard let largest, totals[largest].stateBytes > budget.slotBytesMin else { return }
            let before = totals[largest]
            sweep(
                UInt8(largest),
                freeing: StateBudget.given(upOf: before.stateBytes),
                sparing: entry,
                at: arrival
            )
            totals[largest].bookEvictions(since: before)
            guard totals[largest].stateBytes < before.stateBytes else { return }
        }
    }

    /// Evicts the least recently used entries until `bytes` are freed: entries of the process that takes more than
    /// half of the slot if there is one, so that no other process is affected, else of all processes. If that frees
    /// less than a quarter of it, as entries are in use, everything that can be evicted is.
    private mutating func sweep(
        _ slot: UInt8,
        freeing bytes: Int,
        sparing current: Entry,
        at arrival: EpochNanoseconds
    ) {
        let before = totals[Int(slot)].stateBytes
        sweepOnce(slot, freeing: bytes, sparing: current, at: arrival)
        guard before - totals[Int(slot)].stateBytes < bytes / 4 else { return }
        sweepOnce(slot, freeing: .max, sparing: current, at: arrival)
    }

    private mutating func sweepOnce(
        _ slot: UInt8,
        freeing bytes: Int,
        sparing current: Entry,
        at arrival: EpochNanoseconds
    ) {
        // Saved because rows of the current event are being written.
        let saved = texts.saved
        defer { texts.saved = saved }
        let all = table.entries(of: slot)
        let largest = largest(of: all, in: slot)
        let entries = largest.map { [$0] } ?? all
        var sweep = StateSweep(at: arrival)
        for place in entries.indices {
            let entry = entries[place]
            ProcessTable<Model>.prefetchEntry(of: entries, place + 8, isWhole: Model.givesWay)
            if largest == nil, entry != current {
                sweep.note(
                    StateSweep.stamp(entry.pointee.lastHeard),
                    bytes: Model.givesWay ? entry.pointee.ownBytes : entry.pointee.chargedBytes
                )
            }
            if Model.givesWay { entry.pointee.model.noteEntries(&sweep) }
        }
        sweep.decide(freeing: bytes)
        for entry in entries {
            if largest == nil, entry != current,
                sweep.takes(
                    StateSweep.stamp(entry.pointee.lastHeard),
                    bytes: entry.pointee.chargedBytes
                )
            {
                entry.pointee.isGone = true
            } else if Model.givesWay {
                giveUp(entry, &sweep, arrival)
            }
        }
        totals[Int(slot)].processesEvicted += forgetGone(of: slot)
        totals[Int(slot)].isFullNeeded = true
        totals[Int(slot)].isDirty = true
    }

    /// Returns the process that takes more than half of the slot, if there is one.
    private func largest(of entries: [Entry], in slot: UInt8) -> Entry? {
        let half = totals[Int(slot)].stateBytes / 2
        for place in entries.indices {
            ProcessTable<Model>.prefetchEntry(of: entries, place + 8, isWhole: false)
            if entries[place].pointee.chargedBytes > half { return entries[place] }
        }
        return nil
    }

    private mutating func giveUp(
        _ entry: Entry,
        _ sweep: inout StateSweep,
        _ arrival: EpochNanoseconds
    ) {
        let owner = StateOwner(
            totals: totals + Int(entry.pointee.slot),
            activity: entry.pointee.activity,
            suppressed: entry.pointee.suppressed
        )
        entry.pointee.model.giveUp(&sweep, owner) {
            context(
                of: entry,
                tid: entry.pointee.pid,
                stamp: entry.pointee.lastTime,
                arrival: arrival
            )
        }
        let bytes = entry.pointee.stateBytes
        let growth = bytes - entry.pointee.chargedBytes
        entry.pointee.chargedBytes = bytes
        totals[Int(entry.pointee.slot)].stateBytes += growth
        stateBytes += growth
        if growth < 0, !entry.pointee.isDirty { beginChanges(entry) }
    }
}
