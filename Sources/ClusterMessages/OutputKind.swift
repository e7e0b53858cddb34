/// The kinds of final files. Raw values travel between processes.
package enum OutputKind: UInt32, CaseIterable, Sendable, Hashable {
    case json = 0
    case csv = 1
    case stackMessage = 2
    case folded = 3
    case anomalyJSONL = 4
    case anomalyCSV = 5
}
