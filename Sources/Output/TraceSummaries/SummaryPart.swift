package import TraceModel

/// Whose parts are added to a summary.
package struct SummaryOwner {
    package let host: [UInt8]
    package let pid: UInt32
    /// The process's name as it was last.
    package let process: [UInt8]

    package init(host: [UInt8], pid: UInt32, process: [UInt8]) {
        self.host = host
        self.pid = pid
        self.process = process
    }
}

/// What one process, or one item of it, adds to a summary, as it lies with its owner: there are many, and few become
/// rows. Borrowed for as long as it is being added.
package struct SummaryPart {
    /// Empty where the part is the process.
    package let item: ByteView
    package let values: SummaryValues
    package let sketch: UnsafePointer<QuantileSketch>

    package init(
        item: ByteView,
        values: SummaryValues,
        sketch: UnsafePointer<QuantileSketch>
    ) {
        self.item = item
        self.values = values
        self.sketch = sketch
    }

    /// Whether its row would come before the one of that key.
    func precedes(_ key: SummaryRow.Key, of owner: SummaryOwner) -> Bool {
        let order = owner.host.withUnsafeBytes { host in
            key.host.withUnsafeBytes { SummaryRow.Key.order(host, $0) }
        }
        if order != 0 { return order < 0 }
        if owner.pid != key.pid { return owner.pid < key.pid }
        return key.item.withUnsafeBytes { SummaryRow.Key.order(item.buffer, $0) < 0 }
    }

    func row(of owner: SummaryOwner) -> SummaryRow {
        SummaryRow(
            key: SummaryRow.Key(host: owner.host, pid: owner.pid, item: Array(item.buffer)),
            process: owner.process,
            values: values,
            sketch: sketch.pointee
        )
    }
}
