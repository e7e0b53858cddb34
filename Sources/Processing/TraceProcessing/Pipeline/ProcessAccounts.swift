import SystemIO
import TraceMetrics
import TraceModel

/// The counters of a process under one of its names.
protocol ProcessAccount: NamedEntry, ~Copyable {
    /// Whether it changed since the last collection.
    var isDirty: Bool { get set }

    /// Adds one group of series.
    mutating func collect(_ series: inout SeriesWriter)
}

/// The counters of one process id, by the names that it had. An account stays when the process takes another name, so
/// that no counter decreases or disappears if the name returns.
struct ProcessAccounts<Account: ProcessAccount & ~Copyable>: ~Copyable {
    private var table = NamedTable<Account>()
    /// The account of the current name; nil if it has to be searched.
    private var current: NamedTable<Account>.Place?

    init() {}

    /// Returns the account that an event with this comm belongs to. Call it after `identity` has observed the event.
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

    /// Collects the series. Leaves the writer at one of the names, so a model calls this last.
    mutating func collect(_ series: inout SeriesWriter, all: Bool) {
        for account in table.entries where all || account.pointee.isDirty {
            account.pointee.isDirty = false
            series.use(processName: account.pointee.name)
            account.pointee.collect(&series)
        }
    }

    /// Takes over the memory of another process's accounts. This process has none.
    mutating func takeMemory(of gone: inout ProcessAccounts) { table.takeMemory(of: &gone.table) }

    borrowing func encode(into buffer: inout RawBuffer) { table.encode(into: &buffer) }

    init(decoding reader: inout StateReader) throws(TraceError) {
        table = try NamedTable<Account>(decoding: &reader)
    }
}
