import TraceModel

/// What a worker keeps to go on from: its files' lengths and its slots' state.
struct ContractCheckpoint {
    var lsn: LSN
    var offsets: [UInt8]
    var slots: [UInt8: [UInt8]]
}
