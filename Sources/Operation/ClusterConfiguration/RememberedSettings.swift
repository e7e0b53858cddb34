import SystemIO
import TraceModel

// What scripts/cluster remembers
// ==============================
//
// `run/cluster.conf` in the data directory: lines of NAME=VALUE, `#` before remarks. Names are those of the
// settings; an empty value is none. `workers` says which workers own the slots, `scaling` where an interrupted
// scale was to lead. The script writes it; values that came from a configuration file are not in it, so that a
// line taken out of the file is of no more effect.

/// Reads what the last start left.
enum RememberedSettings {
    /// Nothing where there is no such file. Blocks.
    /// - Throws: `TraceError(.configuration)` that names the line.
    static func read(_ path: String) throws(TraceError) -> SettingLayer {
        guard FileSystem.exists(path) else { return SettingLayer() }
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FileSystem.contents(path)
        } catch {
            throw TraceError(.configuration, "\(path) can't be read", cause: error)
        }
        return try layer(String(decoding: bytes, as: UTF8.self), path)
    }

    static func layer(_ text: String, _ path: String) throws(TraceError) -> SettingLayer {
        var layer = SettingLayer()
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.isEmpty && !line.hasPrefix("#") {
            do throws(TraceError) {
                try read(line, into: &layer)
            } catch {
                let problem = "\(path):\(index + 1): \(error.message)"
                throw TraceError(.configuration, problem, remedy: "Delete the line")
            }
        }
        return layer
    }

    private static func read(
        _ line: Substring,
        into layer: inout SettingLayer
    ) throws(TraceError) {
        let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        // It stands behind `workers`, and so wins.
        let name = parts[0] == "scaling" ? "workers" : String(parts[0])
        guard parts.count == 2, let setting = Setting.all.first(where: { $0.name == name }) else {
            throw TraceError(.configuration, "unknown setting \(parts[0])")
        }
        guard !parts[1].isEmpty else { return }
        // Whether that file is still there matters only if no other one is named.
        if case .file = setting.kind {
            return layer.set(name, .text(String(parts[1])), .remembered)
        }
        for (key, value) in try setting.values(of: String(parts[1]), at: name) {
            layer.set(key, value, .remembered)
        }
    }
}
