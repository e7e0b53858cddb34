import SystemIO

/// Finds the name of this machine's time zone, which glibc reads from /etc/localtime. /etc/timezone is only a hint: the
/// two disagree where one of them was changed, or mounted from another machine.
struct MachineTimeZone {
    /// The zone's name, such as `Europe/Berlin`; `/etc/localtime` where no name is known for the machine's zone; UTC
    /// where it has none. Blocks on the file system.
    static var name: String {
        MachineTimeZone(
            localtime: "/etc/localtime",
            timezone: "/etc/timezone",
            zones: "/usr/share/zoneinfo"
        ).name
    }

    let localtime: String
    /// A file with the zone's name.
    let timezone: String
    /// The directory of all zones.
    let zones: String

    var name: String {
        let directory = "/zoneinfo/"
        if let path = FileSystem.realPath(localtime), let range = path.firstRange(of: directory) {
            return String(path[range.upperBound...])
        }
        guard let rules = try? FileSystem.contents(localtime), !rules.isEmpty else { return "UTC" }
        return names().first { isZone($0, rules) } ?? localtime
    }

    /// Whether the zone of that name has these rules. Most zones differ in size, which is quicker to compare.
    private func isZone(_ name: String, _ rules: [UInt8]) -> Bool {
        let path = "\(zones)/\(name)"
        return FileSystem.size(path) == rules.count && (try? FileSystem.contents(path)) == rules
    }

    /// Returns names in the order in which to try them: the machine's own hint, then the names in use, then older ones.
    private func names() -> [String] {
        let named = text(timezone).prefix { !$0.isWhitespace }
        let today = text("\(zones)/zone.tab").split(separator: "\n").filter { !$0.hasPrefix("#") }
            .compactMap {
                $0.split(separator: "\t").dropFirst(2).first.map(String.init)
            }
        return [String(named), "UTC", "Etc/UTC"].filter { !$0.isEmpty } + today + all(below: "")
    }

    /// Returns the names in a directory and one level below, without aliases and files that are no zones.
    private func all(below directory: String) -> [String] {
        let left = ["posix", "right", "localtime", "posixrules"]
        return ((try? FileSystem.list("\(zones)/\(directory)")) ?? []).filter {
            !left.contains($0) && !$0.contains(".")
        }.flatMap { name in
            let path = directory.isEmpty ? name : "\(directory)/\(name)"
            let below = directory.isEmpty ? all(below: path) : []
            return below.isEmpty ? [path] : below
        }
    }

    private func text(_ path: String) -> String {
        String(decoding: (try? FileSystem.contents(path)) ?? [], as: UTF8.self)
    }
}
