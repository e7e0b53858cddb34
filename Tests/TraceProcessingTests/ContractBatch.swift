import TraceModel

/// Events of one host that arrive together.
struct ContractBatch {
    var host: String
    var events: [ContractEvent]
    var arrival: EpochNanoseconds
    var lsn: LSN
    var semantics = Semantics.cumulative

    var bytes: [UInt8] { events.flatMap(\.bytes) }

    /// What of it goes to the owner of these slots.
    func share(_ owns: (UInt8) -> Bool) -> ContractBatch {
        var share = self
        share.events = events.filter { owns($0.slot) }
        return share
    }

    /// The batch with its events in another order.
    func reordered(_ change: (inout [ContractEvent]) -> Void) -> ContractBatch {
        var batch = self
        change(&batch.events)
        return batch
    }
}
