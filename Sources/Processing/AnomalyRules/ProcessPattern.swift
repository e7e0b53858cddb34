/// Which processes an override is for: all that is given has to match.
struct ProcessPattern: Sendable {
    /// With `*` for any characters; nil for every one.
    var comm: String?
    var host: String?
    var pid: UInt32?

    func matches(comm: String, host: String, pid: UInt32) -> Bool {
        if let expected = self.pid, expected != pid { return false }
        if let pattern = self.comm, !Self.matches(pattern, comm) { return false }
        if let pattern = self.host, !Self.matches(pattern, host) { return false }
        return true
    }

    /// Tries the shortest text for a `*` first and lengthens that of the last one only, which is enough.
    static func matches(_ pattern: String, _ text: String) -> Bool {
        let pattern = Array(pattern.utf8)
        let text = Array(text.utf8)
        var p = 0
        var t = 0
        var star: (pattern: Int, text: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = (p, t)
                p += 1
            } else if p < pattern.count, pattern[p] == text[t] {
                p += 1
                t += 1
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                p = last.pattern + 1
                t = last.text + 1
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
