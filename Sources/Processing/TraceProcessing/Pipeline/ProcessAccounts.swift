import SystemIO
import TraceMetrics
import TraceModel

/// What is counted of a process under one of its names.
protocol ProcessAccount: NamedEntry, ~Copyable {
    /// Whether it changed since the last collection.
    var isDirty: Bool { get set }

    /// One group of series.
    mutating func collect(_ series: inout SeriesWriter)
}

/// What is counted of one process id, by the names that it had: an account stays when the process takes
/// another name, so that no counter goes back or away should the name return.
struct ProcessAccounts<Account: ProcessAccount & ~Copyable>: ~Copyable {
    private var table = NamedTable<Account>()
    /// The account of the name that the process has now; nil where it has to be looked up.
    private var current: NamedTable<Account>.Place?

    init() {}

    /// The account that an event with this comm belongs to, after `identity` has seen it.
    @inline(__always) mutating func account(
        of sample: ProcessIdentity.Sample,
        comm: ByteView,
        _ identity: borrowing ProcessIdentity
    ) -> NamedTable<Account>.Place {
        if sample.isRenamed { current = nil }
        if sample.isLate, let known = table.find(comm) { return dirtied(known) }
        if let current { return dirtied(current) }
        let name = identity.name.view
        let account = table.entry(of: name, countMax: Limits.namesPerProcessMax).place
        current = account
        return dirtied(account)
    }

    @inline(__always) private func dirtied(
        _ account: NamedTable<Account>.Place
    ) -> NamedTable<Account>.Place {
        account.pointee.isDirty = true
        return account
    }

    @inline(__always) var stateBytes: Int { table.stateBytes }

    /// Leaves the series under one of the names: last of what a model collects.
    mutating func collect(_ series: inout SeriesWriter, all: Bool) {
        for account in table.entries where all || account.pointee.isDirty {
            account.pointee.isDirty = false
            series.use(processName: account.pointee.name)
            account.pointee.collect(&series)
        }
    }

    borrowing func encode(into buffer: inout RawBuffer) { table.encode(into: &buffer) }

    init(decoding reader: inout StateReader) throws(TraceError) {
        table = try NamedTable<Account>(decoding: &reader)
    }
}
