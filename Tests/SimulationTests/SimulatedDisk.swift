import Glibc
import IngestLog
import SystemIO
import TestSupport

/// A file system in memory that distinguishes the page cache from the disk.
///
/// A name or a byte is durable once its directory or file has been synced. Before that, a power cut keeps or loses
/// it as the generator decides: sectors of 512 bytes one by one, and names one by one unless they depend on each
/// other (a rename is one step). A process may be killed at any call; its later calls have no effect. A sync may
/// fail, which drops the dirty pages; the disk may be full.
///
/// For one thread. Paths are relative, as all paths of the system are.
final class SimulatedDisk: SystemDriver, @unchecked Sendable {
    /// Faults of a disk or a kernel.
    enum Lie: Hashable {
        /// `fdatasync` returns without having written.
        case dataSync
        /// `fsync` of a directory returns without having written.
        case directorySync
    }

    struct Counts {
        var calls = 0
        var kills = 0
        var powerCuts = 0
        var failedSyncs = 0
        var refusedWrites = 0
        var damagedCopies = 0
        var rebuiltSegments = 0
    }

    private static let sectorBytes = 512

    private final class Node {
        let isDirectory: Bool
        var data: [UInt8] = []
        var durable: [UInt8] = []
        /// Sectors that may differ between the two.
        var dirty: Set<Int> = []
        /// Sectors that are allocated on disk: overwriting them needs no space.
        var allocated: Set<Int> = []

        init(isDirectory: Bool) { self.isDirectory = isDirectory }
    }

    /// A change of names that becomes durable as a whole or not at all.
    private typealias NameChange = [(path: String, node: Node?)]

    var lies: Set<Lie> = []
    /// Number of calls until the running process is killed; nil if it is not.
    var callsUntilKill: Int?
    /// Number of syncs until one fails; nil if none does.
    var syncsUntilFailure: Int?
    var isFull = false
    /// Number of sectors that are free; nil: enough.
    var freeSectors: Int?
    /// Whether queries for free space also report a full disk, not only writes.
    var showsFull = false
    private(set) var isKilled = false
    var counts = Counts()

    /// Receives a description of each call and each fault.
    var onCall: ((String) -> Void)?

    private var random: SeededGenerator
    private var names: [String: Node] = [:]
    private var durableNames: [String: Node] = [:]
    private var pendingNames: [NameChange] = []
    private var open: [Int32: (path: String, node: Node)] = [:]
    private var nextDescriptor: Int32 = 1 << 30
    private var time: Int64 = 1_763_856_000_000_000_000

    /// Where the kernel says which boot this is.
    private static let bootPath = "/proc/sys/kernel/random/boot_id"

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        let boot = Node(isDirectory: false)
        names[Self.bootPath] = boot
        durableNames[Self.bootPath] = boot
        noteBoot()
    }

    private func noteBoot() {
        let boot = names[Self.bootPath]
        boot?.data = Array("\(counts.powerCuts)".utf8)
        boot?.data += [UInt8](repeating: 0x2D, count: 36 - (boot?.data.count ?? 0))
        boot?.durable = boot?.data ?? []
    }

    // MARK: Faults

    /// Ends the killed process; calls have an effect again.
    func processEnded() {
        if isKilled { counts.kills += 1 }
        isKilled = false
        callsUntilKill = nil
    }

    /// Cuts the power: data that is not durable survives in part or not at all. No process is left.
    func cutPower() {
        counts.powerCuts += 1
        processEnded()
        onCall?("power cut")
        keepSomeNames()
        let survival = oneOf([0, 0.1, 0.5, 0.9, 1])
        var seen: Set<ObjectIdentifier> = []
        for path in durableNames.keys.sorted() {
            guard let node = durableNames[path], seen.insert(ObjectIdentifier(node)).inserted else {
                continue
            }
            settle(node, survival)
        }
        names = durableNames
        noteBoot()
        open.removeAll()
        isFull = false
        syncsUntilFailure = nil
    }

    /// Changes a byte of one of two equal, durable copies of a mirrored file.
    func damageCopy() {
        let mirrors = names.keys.filter { MirroredFile.name(of: $0) != $0 }.sorted()
        guard let mirror = mirrors.randomElement(using: &random) else { return }
        let pair = [MirroredFile.name(of: mirror), mirror]
        let nodes = pair.compactMap { names[$0] }
        guard nodes.count == 2, nodes[0].data == nodes[1].data,
            pair.allSatisfy({ names[$0] === durableNames[$0] }),
            nodes.allSatisfy({ $0.data == $0.durable }),
            let index = pair.indices.randomElement(using: &random),
            let position = nodes[index].data.indices.randomElement(using: &random)
        else { return }
        counts.damagedCopies += 1
        onCall?("byte \(position) of \(pair[index]) changes")
        nodes[index].data[position] ^= 1 << UInt8(position % 8)
        nodes[index].durable = nodes[index].data
    }

    /// Changes a byte of a file, on disk too. A second call restores it.
    func flip(_ path: String, at position: Int) {
        guard let node = names[path], node.data.indices.contains(position) else { return }
        onCall?("byte \(position) of \(path) changes")
        node.data[position] ^= 4
        if node.durable.indices.contains(position) { node.durable[position] ^= 4 }
    }

    /// Truncates a file, on disk too, as somebody does who should not.
    func cut(_ path: String, to size: Int) {
        guard let node = names[path], node.data.count > size else { return }
        onCall?("\(path) is cut to \(size) bytes")
        node.data.removeLast(node.data.count - size)
        if node.durable.count > size { node.durable.removeLast(node.durable.count - size) }
        node.dirty = node.dirty.filter { $0 * Self.sectorBytes < size }
    }

    /// Removes a file, on disk too.
    func lose(_ path: String) {
        onCall?("\(path) is removed")
        // What happened to the name before is durable with that.
        for change in pendingNames { apply(change) }
        pendingNames = []
        names[path] = nil
        durableNames[path] = nil
    }

    private func chance(_ probability: Double) -> Bool {
        Double.random(in: 0..<1, using: &random) < probability
    }

    private func oneOf(_ probabilities: [Double]) -> Double {
        probabilities.randomElement(using: &random) ?? 0
    }

    private func keepSomeNames() {
        let survival = oneOf([0, 0.5, 1])
        var dropped: Set<String> = []
        for change in pendingNames {
            if change.contains(where: { dropped.contains($0.path) }) || !chance(survival) {
                dropped.formUnion(change.map(\.path))
            } else {
                apply(change)
            }
        }
        pendingNames = []
        // The content of a removed directory is removed too.
        durableNames = durableNames.filter { path, _ in
            guard path != Self.bootPath else { return true }
            var parent = FileSystem.parent(of: path)
            while parent != "." {
                if durableNames[parent] == nil { return false }
                parent = FileSystem.parent(of: parent)
            }
            return true
        }
    }

    private func apply(_ change: NameChange) {
        for (path, node) in change { durableNames[path] = node }
    }

    private func settle(_ node: Node, _ survival: Double) {
        var size = node.durable.count
        if survival == 1 || (survival > 0 && chance(0.5)) { size = node.data.count }
        var result = [UInt8](repeating: 0, count: size)
        Self.copy(node.durable, to: &result, 0..<min(size, node.durable.count))
        for sector in node.dirty.sorted() where chance(survival) {
            let start = sector * Self.sectorBytes
            let end = min(start + Self.sectorBytes, size, node.data.count)
            if start < end { Self.copy(node.data, to: &result, start..<end) }
        }
        node.data = result
        node.durable = result
        node.dirty = []
    }

    private static func copy(_ source: [UInt8], to target: inout [UInt8], _ range: Range<Int>) {
        guard !range.isEmpty else { return }
        source.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { target in
                UnsafeMutableRawBufferPointer(rebasing: target[range]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: source[range])
                )
            }
        }
    }

    private func failure(_ errno: Int32, _ call: String, _ subject: String) -> SystemError {
        SystemError(errno: errno, call: call, subject: subject)
    }

    /// Called at the begin of every call.
    private func enter(_ call: String, _ subject: String) throws(SystemError) {
        counts.calls += 1
        onCall?("\(call) \(subject)")
        if let left = callsUntilKill {
            callsUntilKill = left - 1
            if left == 0 { onCall?("killed at \(call) \(subject)") }
            if left <= 0 { isKilled = true }
        }
        if isKilled { throw failure(ESHUTDOWN, call, subject) }
    }

    // MARK: Files

    private func path(_ descriptor: Int32) -> String { open[descriptor]?.path ?? "" }

    private func node(_ descriptor: Int32) throws(SystemError) -> Node {
        guard let file = open[descriptor] else { throw failure(ESTALE, "descriptor", "") }
        return file.node
    }

    func open(_ path: String, _ access: File.Access) throws(SystemError) -> Int32 {
        try enter("open", path)
        let node: Node
        switch (names[path], access) {
        case (nil, .read): throw failure(ENOENT, "open", path)
        case (let known?, _): node = known
        case (nil, _):
            try requireParent(of: path, "open")
            if isFull, chance(0.5) { throw failure(ENOSPC, "open", path) }
            node = Node(isDirectory: false)
            change([(path, node)])
        }
        if access == .replace { resize(node, to: 0) }
        nextDescriptor += 1
        open[nextDescriptor] = (path, node)
        return nextDescriptor
    }

    func close(_ descriptor: Int32) { open[descriptor] = nil }

    func size(_ descriptor: Int32) throws(SystemError) -> Int {
        try enter("fstat", path(descriptor))
        return try node(descriptor).data.count
    }

    func write(
        _ descriptor: Int32,
        _ bytes: UnsafeRawBufferPointer,
        at offset: Int
    ) throws(SystemError) {
        do throws(SystemError) { try enter("pwrite", path(descriptor)) } catch {
            // Killed in the middle of it.
            if callsUntilKill == -1, let file = open[descriptor], !bytes.isEmpty {
                let part = Int.random(in: 0..<bytes.count, using: &random)
                put(UnsafeRawBufferPointer(rebasing: bytes[..<part]), at: offset, in: file.node)
            }
            throw error
        }
        let node = try node(descriptor)
        let new = Self.sectors(offset..<offset + bytes.count).filter {
            !node.allocated.contains($0)
        }
        let free = isFull ? 0 : freeSectors ?? .max
        freeSectors = freeSectors.map { $0 - min($0, new.count) }
        guard new.count > free else { return put(bytes, at: offset, in: node) }
        let hole = new[free]
        counts.refusedWrites += 1
        let room = max(0, hole * Self.sectorBytes - offset)
        put(UnsafeRawBufferPointer(rebasing: bytes[..<room]), at: offset, in: node)
        throw failure(ENOSPC, "pwrite", "")
    }

    private static func sectors(_ range: Range<Int>) -> Range<Int> {
        range.isEmpty
            ? 0..<0 : range.lowerBound / sectorBytes..<(range.upperBound - 1) / sectorBytes + 1
    }

    private func put(_ bytes: UnsafeRawBufferPointer, at offset: Int, in node: Node) {
        guard !bytes.isEmpty else { return }
        let end = offset + bytes.count
        if end > node.data.count { resize(node, to: end) }
        node.data.withUnsafeMutableBytes {
            UnsafeMutableRawBufferPointer(rebasing: $0[offset..<end]).copyMemory(from: bytes)
        }
        for sector in Self.sectors(offset..<end) {
            node.dirty.insert(sector)
            node.allocated.insert(sector)
        }
    }

    private func resize(_ node: Node, to size: Int) {
        let before = node.data.count
        if size < before {
            node.data.removeLast(before - size)
            for sector in Self.sectors(size..<before) {
                node.dirty.insert(sector)
                if sector * Self.sectorBytes >= size { node.allocated.remove(sector) }
            }
        } else if size > before {
            node.data += [UInt8](repeating: 0, count: size - before)
        }
    }

    func read(
        _ descriptor: Int32,
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: Int
    ) throws(SystemError) -> Int {
        try enter("pread", path(descriptor))
        let node = try node(descriptor)
        let count = max(0, min(buffer.count, node.data.count - offset))
        guard count > 0 else { return 0 }
        node.data.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
        }
        return count
    }

    func syncData(_ descriptor: Int32) throws(SystemError) {
        try enter("fdatasync", path(descriptor))
        let node = try node(descriptor)
        if let left = syncsUntilFailure {
            syncsUntilFailure = left > 0 ? left - 1 : nil
            if left == 0 {
                counts.failedSyncs += 1
                dropDirty(of: node)
                throw failure(EIO, "fdatasync", open[descriptor]?.path ?? "")
            }
        }
        if lies.contains(.dataSync) { return }
        let excess = node.durable.count - node.data.count
        if excess > 0 { node.durable.removeLast(excess) }
        if excess < 0 { node.durable += [UInt8](repeating: 0, count: -excess) }
        for sector in node.dirty {
            let start = sector * Self.sectorBytes
            let end = min(start + Self.sectorBytes, node.data.count)
            if start < end { Self.copy(node.data, to: &node.durable, start..<end) }
        }
        node.dirty = []
    }

    /// Does what Linux does with pages that could not be written: they count as clean, and are read from the cache
    /// until they are dropped from it.
    private func dropDirty(of node: Node) {
        if chance(0.5) { node.data = node.durable }
        node.dirty = []
    }

    func truncate(_ descriptor: Int32, to size: Int) throws(SystemError) {
        try enter("ftruncate", path(descriptor))
        resize(try node(descriptor), to: size)
    }

    func allocate(_ descriptor: Int32, _ size: Int) throws(SystemError) {
        try enter("posix_fallocate", path(descriptor))
        let node = try node(descriptor)
        let sectors = Self.sectors(0..<size)
        if isFull, !sectors.allSatisfy(node.allocated.contains) {
            throw failure(ENOSPC, "posix_fallocate", path(descriptor))
        }
        node.allocated.formUnion(sectors)
        if node.data.count < size { resize(node, to: size) }
    }

    // MARK: Names

    private func change(_ change: NameChange) {
        for (path, node) in change { names[path] = node }
        pendingNames.append(change)
    }

    private func requireParent(of path: String, _ call: String) throws(SystemError) {
        let parent = FileSystem.parent(of: path)
        guard parent == "." || names[parent]?.isDirectory == true else {
            throw failure(ENOENT, call, path)
        }
    }

    func exists(_ path: String) -> Bool { !isKilled && names[path] != nil }

    func size(of path: String) -> Int? { isKilled ? nil : names[path]?.data.count }

    func makeDirectory(_ path: String) throws(SystemError) {
        try enter("mkdir", path)
        guard names[path] == nil else { throw failure(EEXIST, "mkdir", path) }
        try requireParent(of: path, "mkdir")
        change([(path, Node(isDirectory: true))])
    }

    func list(_ path: String) throws(SystemError) -> [String] {
        try enter("opendir", path)
        return names.keys.filter { FileSystem.parent(of: $0) == path }.map {
            String($0.dropFirst(path.utf8.count + 1))
        }
        .sorted()
    }

    func rename(_ from: String, to: String) throws(SystemError) {
        try enter("rename", from)
        guard let node = names[from] else { throw failure(ENOENT, "rename", from) }
        try requireParent(of: to, "rename")
        change([(from, nil), (to, node)])
    }

    func remove(_ path: String) throws(SystemError) {
        try enter("unlink", path)
        guard names[path] != nil else { return }
        change([(path, nil)])
    }

    func syncDirectory(_ path: String) throws(SystemError) {
        try enter("fsync", path)
        guard path == "." || names[path]?.isDirectory == true else {
            throw failure(ENOENT, "open", path)
        }
        if lies.contains(.directorySync) { return }
        var needed: Set<String> = []
        var isNeeded = [Bool](repeating: false, count: pendingNames.count)
        for index in pendingNames.indices.reversed() {
            let paths = pendingNames[index].map(\.path)
            guard
                paths.contains(where: { needed.contains($0) || FileSystem.parent(of: $0) == path })
            else { continue }
            isNeeded[index] = true
            needed.formUnion(paths)
        }
        for (index, change) in pendingNames.enumerated() where isNeeded[index] { apply(change) }
        pendingNames = pendingNames.indices.filter { !isNeeded[$0] }.map { pendingNames[$0] }
    }

    func freeBytes(at path: String) throws(SystemError) -> Int { isFull && showsFull ? 0 : 1 << 40 }

    // MARK: Time

    func pass(seconds: Int64) { time += seconds * 1_000_000_000 }

    func clock() -> Int64 {
        time += 1_000_000
        return time
    }
}
