import SystemIO

/// The zone that this machine's clock shows.
enum MachineTimeZone {
    /// Its name, as in `Europe/Berlin`; UTC where the machine does not say. Blocks on the file system.
    static var name: String {
        let directory = "/zoneinfo/"
        if let path = FileSystem.realPath("/etc/localtime"),
            let range = path.firstRange(of: directory)
        {
            return String(path[range.upperBound...])
        }
        let text = (try? FileSystem.contents("/etc/timezone")) ?? []
        let name = String(decoding: text, as: UTF8.self).prefix { !$0.isWhitespace }
        return name.isEmpty ? "UTC" : String(name)
    }
}
