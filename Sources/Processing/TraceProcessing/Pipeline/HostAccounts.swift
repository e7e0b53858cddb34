import AnomalyRules
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel

/// What each slot knows of the hosts of its processes: when the last batch came, and how many findings there were. An
/// account begins with the first process of the host in the slot. It ends at the first check for quiet processes that
/// finds none left, so that findings of a process's end are still reported.
///
/// The counts are part of the slots' state, times follow from the processes. Not on the hot path: accounts change when
/// processes come or go, when a finding is recorded, and when series are collected.
final class HostAccounts {
    /// One host in one slot.
    private struct Account {
        let host: HostID
        var processes = 0
        /// The arrival of the last batch, as of the last collection.
        var lastBatch = EpochNanoseconds.min
        /// Findings by rule; empty before the first one.
        var findings: [UInt64] = []
        var isChanged = false
        /// The series, as last reported.
        var timeSeries = SeriesSet()
        var findingSeries = SeriesSet()
    }

    /// The counts of the first slot.
    private let first: UnsafeMutablePointer<SlotTotals>
    @exclusivity(unchecked) private var accounts = [[Account]](repeating: [], count: Slot.count)
    /// Positions in a slot's accounts, by the host's index.
    @exclusivity(unchecked) private var positions = [[UInt32: Int]](
        repeating: [:],
        count: Slot.count
    )

    /// Creates accounts of the slots whose counts begin at `totals`.
    init(_ totals: UnsafeMutablePointer<SlotTotals>) { first = totals }

    // MARK: Processes

    /// Adds a process of a host.
    func add(_ host: HostID, slot: UInt8) {
        let position = position(of: host, slot: slot)
        accounts[Int(slot)][position].processes += 1
    }

    private func position(of host: HostID, slot: UInt8) -> Int {
        if let known = known(host, slot) { return known }
        let position = accounts[Int(slot)].count
        positions[Int(slot)][host.index] = position
        accounts[Int(slot)].append(Account(host: host))
        return position
    }

    /// Returns the position of a host's account. The first is found without hashing: many workers have one host.
    private func known(_ host: HostID, _ slot: UInt8) -> Int? {
        let slot = Int(slot)
        guard !accounts[slot].isEmpty else { return nil }
        return accounts[slot][0].host.index == host.index ? 0 : positions[slot][host.index]
    }

    /// Removes a process of a host. Its account stays.
    func remove(_ host: HostID, slot: UInt8) {
        guard let position = known(host, slot) else { return }
        accounts[Int(slot)][position].processes -= 1
    }

    /// Whether the slot has accounts.
    func isEmpty(slot: Int) -> Bool { accounts[slot].isEmpty }

    /// Ends the accounts of a slot that have no processes. Returns whether there were any.
    func endUnused(slot: Int) -> Bool { end(slot: slot) { $0.processes == 0 } }

    /// Ends the accounts of evicted hosts in a slot. Returns whether there were any.
    func end(slot: Int, isEvicted: (HostID) -> Bool) -> Bool {
        end(slot: slot) { isEvicted($0.host) }
    }

    private func end(slot: Int, _ isOver: (Account) -> Bool) -> Bool {
        guard accounts[slot].contains(where: isOver) else { return false }
        accounts[slot].removeAll(where: isOver)
        positions[slot] = [:]
        for (position, account) in accounts[slot].enumerated() {
            positions[slot][account.host.index] = position
        }
        return true
    }

    /// Removes the accounts of a slot that another worker owns now.
    func drop(slot: UInt8) {
        accounts[Int(slot)] = []
        positions[Int(slot)] = [:]
    }

    // MARK: Counts

    /// Counts a finding in the slot whose counts these are.
    func count(_ rule: RuleID, of host: HostID, in totals: UnsafeMutablePointer<SlotTotals>) {
        let slot = totals - first
        guard let position = positions[slot][host.index] else { return }
        if accounts[slot][position].findings.isEmpty {
            accounts[slot][position].findings = [UInt64](repeating: 0, count: RuleID.count)
        }
        accounts[slot][position].findings[Int(rule.rawValue)] += 1
        accounts[slot][position].isChanged = true
    }

    /// Notes the arrival of a batch.
    func heard(_ host: HostID, slot: UInt8, at arrival: EpochNanoseconds) {
        let slot = Int(slot)
        guard let position = positions[slot][host.index],
            accounts[slot][position].lastBatch < arrival
        else { return }
        accounts[slot][position].lastBatch = arrival
        accounts[slot][position].isChanged = true
    }

    // MARK: Series

    /// Adds the series of a slot's hosts: of those that changed since the last collection, or of all.
    func collect(
        slot: UInt8,
        of resource: Resource,
        isFull: Bool,
        into series: inout SeriesWriter,
        name: (HostID) -> String
    ) {
        for position in accounts[Int(slot)].indices {
            guard isFull || accounts[Int(slot)][position].isChanged else { continue }
            Self.collect(&accounts[Int(slot)][position], of: resource, into: &series, name: name)
        }
    }

    private static func collect(
        _ account: inout Account,
        of resource: Resource,
        into series: inout SeriesWriter,
        name: (HostID) -> String
    ) {
        account.isChanged = false
        series.use(host: name(account.host), pid: 0, name: .empty, isNew: false)
        if account.lastBatch != .min {
            series.begin(account.timeSeries, count: 1)
            series.add(.hostLastBatchTimestampSeconds, Double(account.lastBatch) / 1e9)
            account.timeSeries = series.end()
        }
        guard !account.findings.isEmpty else { return }
        series.begin(account.findingSeries, count: RuleID.count)
        for rule in RuleID.allCases {
            let count = account.findings[Int(rule.rawValue)]
            series.add(
                .anomaliesTotal,
                Double(count),
                if: count > 0,
                [resource.name, "\(rule.name)"]
            )
        }
        account.findingSeries = series.end()
    }

    // MARK: State

    /// Appends the findings of a slot's hosts in the order of their names: the number of hosts u32, then for each the
    /// name (counted), whether it is this machine u8, the number of rules u8, and of each of these the rule u8 and the
    /// count.
    func encode(slot: UInt8, into buffer: inout RawBuffer, files: TraceFileManager) {
        let found = accounts[Int(slot)].filter { !$0.findings.isEmpty }
            .map { (name: TextKey(files.hostName($0.host)), host: $0.host, findings: $0.findings) }
            .sorted { $0.name < $1.name }
        buffer.append(integer: UInt32(found.count))
        for host in found {
            buffer.append(counted: host.name.text)
            buffer.append(byte: files.isThisMachine(host.host) ? 1 : 0)
            let rules = RuleID.allCases.filter { host.findings[Int($0.rawValue)] > 0 }
            buffer.append(byte: UInt8(rules.count))
            for rule in rules {
                buffer.append(byte: rule.rawValue)
                buffer.append(varint: host.findings[Int(rule.rawValue)])
            }
        }
    }

    /// Decodes the findings of a slot's hosts. Processes have been added before.
    /// - Throws: `TraceError(.corrupt)` if the bytes are not what `encode` appends.
    func decode(
        slot: UInt8,
        from reader: inout StateReader,
        files: TraceFileManager
    ) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let name = ByteView(try reader.counted())
            let isThisMachine = try reader.integer(UInt8.self) == 1
            let host = files.registerHost(name, isThisMachine: isThisMachine, countsAsUse: false)
            let position = position(of: host, slot: slot)
            var findings = [UInt64](repeating: 0, count: RuleID.count)
            for _ in 0..<(try reader.integer(UInt8.self)) {
                guard let rule = RuleID(rawValue: try reader.integer(UInt8.self)) else {
                    throw TraceError(.corrupt, "Stored state has findings of an unknown rule")
                }
                findings[Int(rule.rawValue)] = try reader.varint()
            }
            accounts[Int(slot)][position].findings = findings
            accounts[Int(slot)][position].isChanged = true
        }
    }
}
