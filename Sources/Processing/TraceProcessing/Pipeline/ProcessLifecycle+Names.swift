import SystemIO
import TraceFiles
import TraceModel
import TraceWire

extension ProcessLifecycle where Model: ~Copyable {
    /// Names the process in the open window's trace.
    func name(_ entry: Entry, _ context: EventContext) {
        entry.pointee.namedWindow = files.window
        if entry.pointee.given.sortIndex != 0 {
            files.sortProcess(
                host: context.host,
                pid: context.pid,
                index: entry.pointee.given.sortIndex
            )
        }
        let name = entry.pointee.name
        guard name.isEmpty else {
            return files.nameProcess(host: context.host, pid: context.pid, name: name)
        }
        var text = "pid-\(context.pid)"
        text.withUTF8 {
            files.nameProcess(
                host: context.host,
                pid: context.pid,
                name: ByteView(UnsafeRawBufferPointer($0))
            )
        }
    }

    /// Applies the names that agents give processes and threads. An unknown process is created to hold its name; one
    /// that is shown already continues under the new name.
    @inline(never) mutating func takeNames(of traces: TraceBatchView) {
        var names = NameFields(in: traces.bytes)
        while let (_, name) = names.next() {
            let entry =
                table.find(host: traces.host, pid: name.processID)
                ?? newEntry(of: name.processID, time: .min, traces: traces)
            entry.pointee.lastHeard = traces.arrival
            let kept = GivenNames.kept(name.name)
            if kept.count < name.name.count {
                totals[Int(entry.pointee.slot)].namesCut += 1
                totals[Int(entry.pointee.slot)].isDirty = true
            }
            if name.threadID == 0 {
                rename(entry, to: kept, sortIndex: name.sortIndex)
            } else {
                rename(thread: name.threadID, of: entry, to: kept)
            }
            charge(entry, at: traces.arrival)
        }
    }

    private func rename(thread tid: UInt32, of entry: Entry, to name: ByteView) {
        entry.pointee.given.name(thread: tid, name)
        guard entry.pointee.threads.isNamed(tid, window: files.window) else { return }
        files.nameThread(host: entry.pointee.host, pid: entry.pointee.pid, tid: tid, name: name)
    }

    private func rename(_ entry: Entry, to name: ByteView, sortIndex: Int32) {
        guard entry.pointee.given.name(process: name, sortIndex: sortIndex) else { return }
        entry.pointee.rules = thresholds(of: entry)
        guard entry.pointee.model.processName().isEmpty else { return }
        if entry.pointee.namedWindow == files.window {
            files.nameProcess(
                host: entry.pointee.host,
                pid: entry.pointee.pid,
                name: entry.pointee.name
            )
        }
        guard entry.pointee.isShown else { return }
        entry.pointee.isShown = false
        totals[Int(entry.pointee.slot)].isFullNeeded = true
        totals[Int(entry.pointee.slot)].isDirty = true
    }
}
