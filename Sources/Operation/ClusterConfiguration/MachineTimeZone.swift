import SystemIO

/// The zone that this machine's clock shows, which is what glibc reads: /etc/localtime. /etc/timezone is only a name that
/// may be right: the two disagree where one was changed, or mounted from another machine, without the other.
struct MachineTimeZone {
    /// Its name, as in `Europe/Berlin`; `/etc/localtime` where the machine has a zone that no name is known of; UTC where
    /// it has none. Blocks on the file system.
    static var name: String {
        MachineTimeZone(localtime: "/etc/localtime", timezone: "/etc/timezone", zones: "/usr/share/zoneinfo").name
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

    /// Whether the zone of that name has these rules. Most differ in size, which is quicker to ask.
    private func isZone(_ name: String, _ rules: [UInt8]) -> Bool {
        let path = "\(zones)/\(name)"
        return FileSystem.size(path) == rules.count && (try? FileSystem.contents(path)) == rules
    }

    /// What the machine says itself, then the names in use today, then the older ones that are still known.
    private func names() -> [String] {
        let named = text(timezone).prefix { !$0.isWhitespace }
        let today = text("\(zones)/zone.tab").split(separator: "\n").filter { !$0.hasPrefix("#") }.compactMap {
            $0.split(separator: "\t").dropFirst(2).first.map(String.init)
        }
        return [String(named), "UTC", "Etc/UTC"].filter { !$0.isEmpty } + today + all(below: "")
    }

    /// The names in the directory and one below it, but for those that say nothing or are there twice.
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
