public import SystemIO
public import TraceModel

/// A run buffer as the hot path holds it: nobody counts references. Valid as long as the buffer lives.
///
///     var text = target.beginRow()
///     text.append("{\"ts\":")
///     …
///     target.endRow(text, ts: ts, pid: pid)
///
/// One row at a time; nothing else may be appended to the buffer meanwhile.
@usableFromInline package struct RowTarget {
    @usableFromInline let rows: Unmanaged<RunBuffer>

    init(_ rows: RunBuffer) { self.rows = Unmanaged.passUnretained(rows) }

    /// The buffer itself, for what is rare.
    package var buffer: RunBuffer { rows._withUnsafeGuaranteedRef { $0 } }

    @inlinable @inline(__always) package func beginRow() -> RowWriter {
        rows._withUnsafeGuaranteedRef { buffer in
            assert(buffer.text.count == buffer.rowStart, "a row has begun")
            let at = buffer.text.reserve(RowWriter.slackBytes)
            let end = buffer.text.base + buffer.text.capacity
            return RowWriter(rows, at: at, end: end)
        }
    }

    /// Ends a row of a host's trace: one event `{"ts":…,"pid":…,…}` without a line's end.
    @inlinable @inline(__always) package func endRow(_ row: RowWriter, ts: EpochNanoseconds, pid: UInt32) {
        var row = row
        row.append(",\n")
        rows._withUnsafeGuaranteedRef { buffer in
            buffer.commit(row.at)
            buffer.file(ts: ts, pid: pid, host: 0)
        }
    }

    /// Ends a CSV row: adds the last two columns, the host's field and what `time` appends, the time in nanoseconds, and
    /// the line's end. The second column must be `pid`.
    @inlinable @inline(__always) package func endRow(
        _ row: RowWriter, ts: EpochNanoseconds, pid: UInt32, host: HostID, field: ByteView,
        _ time: (inout RowWriter) -> Void
    ) {
        var row = row
        row.append(byte: UInt8(ascii: ","))
        row.append(field)
        row.append(byte: UInt8(ascii: ","))
        time(&row)
        row.append("\r\n")
        rows._withUnsafeGuaranteedRef { buffer in
            buffer.commit(row.at)
            buffer.file(ts: ts, pid: pid, host: host.index)
        }
    }
}
