import SystemIO
package import TraceModel

// Settings remembered by scripts/cluster
// ======================================
//
// `run/cluster.conf` in the data directory: lines of NAME=VALUE, `#` before remarks. Names are those of the
// settings; an empty value is none. `workers` says which workers own the slots, `scaling` where an interrupted
// scale was to lead. Values that came from a configuration file are not in it, so that a line taken out of that file
// is of no more effect. The last line is the checksum of those before, as `cksum` prints it: `# cksum CHECKSUM BYTES`.
// `run/cluster.conf.mirror` is a copy.

/// The settings that the last start left, and the workers that may own slots of the data directory.
package struct RememberedSettings: Sendable {
    /// The workers that may own slots; nil where there are none yet.
    package var owners: [Resource: Int]?
    /// Where an interrupted scale was to lead; nil where none was interrupted.
    package var scaling: [Resource: Int]?
    /// The other settings, as NAME=VALUE.
    package var others: [String]

    /// - Parameters:
    ///   - owners: The workers that own the slots; those that are left out have one.
    ///   - scaling: Where a scale that begins leads.
    ///   - others: The other settings, as NAME=VALUE.
    package init(
        owners: [Resource: Int]?,
        scaling: [Resource: Int]? = nil,
        others: [String] = []
    ) {
        self.owners = owners.map(Self.complete)
        self.scaling = scaling.map(Self.complete)
        self.others = others
    }

    /// The workers that the next start runs, unless other settings say otherwise.
    package var workers: [Resource: Int] { scaling ?? owners ?? Self.complete([:]) }

    /// The workers that may own slots: after an interrupted scale, those of before and those of after.
    package var possibleOwners: [Resource: Int]? {
        guard let scaling else { return owners }
        return Self.complete(owners ?? [:]).merging(scaling, uniquingKeysWith: max)
    }

    private static func complete(_ workers: [Resource: Int]) -> [Resource: Int] {
        Dictionary(uniqueKeysWithValues: Resource.allCases.map { ($0, workers[$0] ?? 1) })
    }

    // MARK: Loading

    /// Loads what the last start left. A damaged file is written anew from its copy, or else set aside; where there is none, the
    /// workers are those that have saved something. `warn` gets a message about each. Blocks.
    /// - Throws: `TraceError(.configuration)` that names the line.
    package static func load(
        from dataDirectory: String,
        warn: (String) -> Void
    ) throws(TraceError) -> RememberedSettings {
        let path = "\(dataDirectory)/\(ClusterPaths.remembered)"
        let (found, remedy) = try find(path)
        do throws(SystemError) {
            switch remedy {
            case nil: break
            case .healed:
                warn("\(path) was damaged; it is written anew from its copy.")
                try FileSystem.copy(mirror(of: path), to: path)
            case .lost where FileSystem.exists(path):
                warn("\(path) is damaged; it is kept as \(path).damaged.")
                try FileSystem.rename(path, to: path + ".damaged")
            case .lost: break
            }
        } catch { throw TraceError(.configuration, "\(path) can't be mended", cause: error) }
        if let found { return try settings(in: found.text, of: found.path) }
        var settings = RememberedSettings(owners: nil)
        guard let savers = savers(in: dataDirectory) else { return settings }
        settings.owners = complete(savers)
        warn(
            """
            \(path) is missing: the workers are those that have saved something, \(WorkerCounts.text(settings.workers)). \
            Other settings of the last up are forgotten; name them again, or in \
            \(dataDirectory)/\(ClusterPaths.configuration).
            """
        )
        try settings.save(in: dataDirectory)
        return settings
    }

    /// Reads the settings without a change to the file; `warn` gets a message where it is damaged. Blocks.
    /// - Throws: `TraceError(.configuration)` that names the line.
    static func read(_ path: String, warn: (String) -> Void) throws(TraceError) -> SettingLayer {
        let (found, remedy) = try find(path)
        switch remedy {
        case nil: break
        case .healed:
            warn("\(path) is damaged; its copy holds, and the next up writes it anew from that.")
        case .lost:
            warn(
                "\(path) is damaged; the next up keeps it as \(path).damaged and goes on without it."
            )
        }
        guard let found else { return SettingLayer() }
        return try layer(found.text, found.path)
    }

    /// What has to be done about a damaged file.
    private enum Remedy {
        case healed
        case lost
    }

    /// Returns the content of the file, or of its copy where the file is damaged or missing; nil where neither is whole.
    private static func find(
        _ path: String
    ) throws(TraceError) -> (found: (text: String, path: String)?, remedy: Remedy?) {
        let mirror = mirror(of: path)
        guard FileSystem.exists(path) || FileSystem.exists(mirror) else { return (nil, nil) }
        if let bytes = try contents(path), isWhole(bytes) {
            return ((String(decoding: bytes, as: UTF8.self), path), nil)
        }
        if let bytes = try contents(mirror), isWhole(bytes) {
            return ((String(decoding: bytes, as: UTF8.self), mirror), .healed)
        }
        return (nil, .lost)
    }

    /// Returns the path of the file's copy.
    private static func mirror(of path: String) -> String { path + ".mirror" }

    private static func contents(_ path: String) throws(TraceError) -> [UInt8]? {
        guard FileSystem.exists(path) else { return nil }
        do throws(SystemError) { return try FileSystem.contents(path) } catch {
            throw TraceError(.configuration, "\(path) can't be read", cause: error)
        }
    }

    /// Returns the number of workers of each resource that have saved something; nil where none has. A surplus worker, such as
    /// a retired one, does no harm.
    private static func savers(in dataDirectory: String) -> [Resource: Int]? {
        var savers: [Resource: Int] = [:]
        let names = (try? FileSystem.list("\(dataDirectory)/\(ClusterPaths.checkpoints)")) ?? []
        for name in names {
            let parts = name.split(separator: ".", maxSplits: 2)
            guard parts.count == 3,
                parts[2].hasPrefix("reserve") || parts[2].hasPrefix("checkpoint"),
                let worker = WorkerName("\(parts[0]).\(parts[1])"),
                worker.index < Limits.workersPerResourceMax
            else { continue }
            savers[worker.resource] = max(savers[worker.resource] ?? 1, worker.index + 1)
        }
        return savers.isEmpty ? nil : savers
    }

    // MARK: Saving

    /// Replaces the file and its copy, each atomically. Blocks.
    package func save(in dataDirectory: String) throws(TraceError) {
        let path = "\(dataDirectory)/\(ClusterPaths.remembered)"
        let bytes = Array(text.utf8)
        do throws(SystemError) {
            for path in [Self.mirror(of: path), path] {
                var thrown: SystemError?
                unsafe bytes.withUnsafeBytes { buffer in
                    do throws(SystemError) { unsafe try FileSystem.publish(path, buffer) } catch {
                        thrown = error
                    }
                }
                if let thrown { throw thrown }
            }
        } catch { throw TraceError(.configuration, "\(path) can't be written", cause: error) }
    }

    private var text: String {
        var text = """
            # Settings remembered by scripts/cluster, with a checksum at the end; flags, the environment and a \
            configuration file win over them.

            """
        for line in others { text += line + "\n" }
        text += "workers=\(owners.map(WorkerCounts.text) ?? "")\n"
        text += "scaling=\(scaling.map(WorkerCounts.text) ?? "")\n"
        return text + "# cksum \(Self.cksum(Array(text.utf8)))\n"
    }

    // MARK: Format

    /// Whether the file is as it was written. Versions before 0.2 wrote no checksum, and did not mention one in the first line.
    static func isWhole(_ bytes: [UInt8]) -> Bool {
        let mark = Array("# cksum ".utf8)
        let newline = UInt8(ascii: "\n")
        let content = bytes.last == newline ? bytes.dropLast() : bytes[...]
        let last = content.lastIndex(of: newline).map { $0 + 1 } ?? 0
        if content[last...].starts(with: mark) {
            return content[last...].dropFirst(mark.count).elementsEqual(cksum(bytes[..<last]).utf8)
        }
        let lines = content.split(separator: newline)
        return lines.first?.firstRange(of: Array("checksum".utf8)) == nil
            && lines.contains { $0.starts(with: Array("workers=".utf8)) }
    }

    /// What POSIX' `cksum` prints of these bytes: a CRC over them and their number, and the number.
    static func cksum(_ bytes: some Collection<UInt8>) -> String {
        var crc: UInt32 = 0
        func add(_ byte: UInt8) {
            crc ^= UInt32(byte) << 24
            for _ in 0..<8 { crc = crc << 1 ^ (crc >> 31 == 1 ? 0x04C1_1DB7 : 0) }
        }
        for byte in bytes { add(byte) }
        var rest = bytes.count
        while rest > 0 {
            add(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
        return "\(~crc) \(bytes.count)"
    }

    private static func settings(
        in text: String,
        of path: String
    ) throws(TraceError) -> RememberedSettings {
        var settings = RememberedSettings(owners: nil)
        for (number, line) in lines(of: text) {
            guard let counts = ["workers=", "scaling="].first(where: line.hasPrefix) else {
                settings.others.append(String(line))
                continue
            }
            guard let workers = WorkerCounts.parse(String(line.dropFirst(counts.count))) else {
                throw problem("\(line) names no workers", at: number, of: path)
            }
            guard !workers.isEmpty else { continue }
            let all = complete(workers)
            if counts == "workers=" { settings.owners = all } else { settings.scaling = all }
        }
        return settings
    }

    /// Returns the lines that are neither empty nor remarks, with their numbers.
    private static func lines(of text: String) -> [(number: Int, line: Substring)] {
        text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            .filter { !$0.element.isEmpty && !$0.element.hasPrefix("#") }
            .map { ($0.offset + 1, $0.element) }
    }

    private static func problem(_ message: String, at number: Int, of path: String) -> TraceError {
        TraceError(.configuration, "\(path):\(number): \(message)", remedy: "Delete the line")
    }

    static func layer(_ text: String, _ path: String) throws(TraceError) -> SettingLayer {
        var layer = SettingLayer()
        for (number, line) in lines(of: text) {
            do throws(TraceError) { try read(line, into: &layer) } catch {
                throw problem(error.message, at: number, of: path)
            }
        }
        return layer
    }

    private static func read(_ line: Substring, into layer: inout SettingLayer) throws(TraceError) {
        let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        // `scaling` comes behind `workers` in the file, and so wins.
        let name = parts[0] == "scaling" ? "workers" : String(parts[0])
        guard parts.count == 2, let setting = Setting.all.first(where: { $0.name == name }) else {
            throw TraceError(.configuration, "unknown setting \(parts[0])")
        }
        guard !parts[1].isEmpty else { return }
        // A missing configuration file matters only if no other one is named, so its existence is not checked here.
        if case .file = setting.kind {
            return layer.set(name, .text(String(parts[1])), .remembered)
        }
        for (key, value) in try setting.values(of: String(parts[1]), at: name) {
            layer.set(key, value, .remembered)
        }
    }
}
