import SystemIO
package import TraceModel

/// The settings that the programs of a running cluster were started with, to compare with those of the next start.
package struct RunningSettings: Sendable {
    /// The command line of each running program.
    private let commands: [Program: [String]]
    private let workers: [Resource: Int]

    /// - Parameters:
    /// - commands: The command line of each running program.
    /// - workers: The number of workers of each resource.
    package init(commands: [Program: [String]], workers: [Resource: Int]) {
        self.commands = commands
        self.workers = workers
    }

    /// A setting with which the cluster runs and would not be started now.
    package struct Difference: Equatable, Sendable {
        /// The setting's flag.
        package let flag: String
        package let running: String
        package let wanted: String

        /// A message for the operator.
        package var text: String { "\(flag): it runs with \(running), not with \(wanted)" }
    }

    /// Returns the differences in the order of `Setting.all`, without the numbers of workers.
    package func differences(from configuration: EffectiveConfiguration) -> [Difference] {
        configuration.entries.compactMap { entry in
            let setting = entry.setting
            // Behind HAProxy, the addresses that clients know are its own.
            let readers = setting.readers.sorted { $0 == .edge && $1 != .edge }
            guard let program = readers.first(where: { commands[$0] != nil }),
                let command = commands[program]
            else { return nil }
            let running = value(of: setting, in: command)
            let next = readers.first { $0 != .edge || configuration.usesEdge } ?? program
            let wanted = value(of: setting, in: configuration.arguments(of: next))
            guard running != wanted else { return nil }
            return Difference(
                flag: setting.flag,
                running: running ?? setting.absentText,
                wanted: wanted ?? setting.absentText
            )
        }
    }

    /// Returns the argument of `scale` that makes the numbers of workers those wanted; nil where they are.
    package func scaling(to configuration: EffectiveConfiguration) -> String? {
        let changed = Resource.allCases.compactMap { resource -> String? in
            guard case .number(let wanted) = configuration[Setting.key(of: resource)],
                let running = workers[resource],
                running != wanted
            else { return nil }
            return "\(resource.name)=\(wanted)"
        }
        return changed.isEmpty ? nil : changed.joined(separator: ",")
    }

    /// Returns a setting's value in a command line, or nil where it is left out, so that the default applies.
    private func value(of setting: Setting, in command: [String]) -> String? {
        guard let index = command.firstIndex(of: setting.flag) else { return nil }
        if case .onOff = setting.kind { return "on" }
        return index + 1 < command.count ? command[index + 1] : nil
    }
}

// Settings remembered by scripts/cluster
// ======================================
//
// `run/cluster.conf` in the data directory: lines of NAME=VALUE, `#` before remarks. Names are those of the
// settings; an empty value is none. `workers` says which workers own the slots, `scaling` where an interrupted
// scale was to lead. The script writes it; values that came from a configuration file are not in it, so that a
// line taken out of the file is of no more effect. The last line is the checksum of those before, as `cksum` prints it:
// `# cksum CHECKSUM BYTES`. `run/cluster.conf.mirror` is a copy. `up` mends a damaged file; here it is only passed over.

/// Reads the settings that the last start left.
enum RememberedSettings {
    /// Reads the file, or its copy if the file is damaged; `warn` gets a message then. Without either there are no settings.
    /// Blocks.
    /// - Throws: `TraceError(.configuration)` that names the line.
    static func read(_ path: String, warn: (String) -> Void) throws(TraceError) -> SettingLayer {
        let mirror = path + ".mirror"
        guard FileSystem.exists(path) || FileSystem.exists(mirror) else { return SettingLayer() }
        if let bytes = try contents(path), isWhole(bytes) {
            return try layer(String(decoding: bytes, as: UTF8.self), path)
        }
        if let bytes = try contents(mirror), isWhole(bytes) {
            warn("\(path) is damaged; its copy holds, and the next up writes it anew from that.")
            return try layer(String(decoding: bytes, as: UTF8.self), mirror)
        }
        warn("\(path) is damaged; the next up keeps it as \(path).damaged and goes on without it.")
        return SettingLayer()
    }

    private static func contents(_ path: String) throws(TraceError) -> [UInt8]? {
        guard FileSystem.exists(path) else { return nil }
        do throws(SystemError) { return try FileSystem.contents(path) } catch {
            throw TraceError(.configuration, "\(path) can't be read", cause: error)
        }
    }

    /// Whether the file is as `settings_save` in scripts/lib/settings.sh wrote it. Versions before 0.2 wrote no checksum, nor
    /// of one in the first line.
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

    static func layer(_ text: String, _ path: String) throws(TraceError) -> SettingLayer {
        var layer = SettingLayer()
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.isEmpty && !line.hasPrefix("#") {
            do throws(TraceError) { try read(line, into: &layer) } catch {
                let problem = "\(path):\(index + 1): \(error.message)"
                throw TraceError(.configuration, problem, remedy: "Delete the line")
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
