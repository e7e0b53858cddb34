/// Which histograms are exposed: those of the functions (or processes) that were called most. They change as
/// calls do, without a counter that goes back or counts twice: one that is exposed later begins at nothing, as
/// `other` keeps what it had counted (`bases`); one that is folded takes all it has counted with it.
extension SeriesTable {
    /// A folded histogram takes the place of an exposed one when it has counted so many times as much.
    static let leadMin: UInt64 = 2

    private struct Candidate {
        let row: UInt32
        let calls: UInt64
    }

    /// Exposes the histograms that have counted most. Depends only on what the table holds, not on the order in
    /// which it came. False where all stay as they are. O(rows) where any histogram is folded.
    mutating func chooseHistograms() -> Bool {
        let families = MetricCatalog.histogramsOfProcesses.filter { self.folded[Int($0)] > 0 }
        guard !families.isEmpty else { return false }
        var exposed: [UInt8: [Candidate]] = [:]
        var folded: [UInt8: [Candidate]] = [:]
        for (number, row) in rows.enumerated()
        where row.state.contains(.isAlive) && families.contains(row.family) {
            let calls = numbers(of: row).dropLast().reduce(0, &+)
            let candidate = Candidate(row: UInt32(number), calls: calls)
            if row.state.contains(.isFolded) {
                folded[row.family, default: []].append(candidate)
            } else {
                exposed[row.family, default: []].append(candidate)
            }
        }
        var isChanged = false
        for family in families {
            let isMoved = choose(
                exposed[family] ?? [],
                against: folded[family] ?? [],
                limit: limits.exposed(of: family)
            )
            isChanged = isChanged || isMoved
        }
        return isChanged
    }

    private mutating func choose(
        _ exposed: [Candidate],
        against folded: [Candidate],
        limit: Int
    ) -> Bool {
        var vacant = max(0, limit - exposed.count)
        let least = exposed.map(\.calls).min() ?? 0
        let challengers = folded.filter {
            $0.calls > 0 && (vacant > 0 || $0.calls / Self.leadMin > least)
        }
        guard !challengers.isEmpty else { return false }
        var weakest = exposed.sorted { isBefore($1, $0) }[...]
        var isChanged = false
        for challenger in challengers.sorted(by: isBefore) {
            if vacant > 0 {
                vacant -= 1
            } else {
                guard let loser = weakest.popFirst(),
                    challenger.calls / Self.leadMin > loser.calls
                else { break }
                fold(loser.row)
            }
            expose(challenger.row)
            isChanged = true
        }
        return isChanged
    }

    /// Who has counted more; of equal ones whose labels come first.
    private func isBefore(_ left: Candidate, _ right: Candidate) -> Bool {
        if left.calls != right.calls { return left.calls > right.calls }
        let (a, b) = (rows[Int(left.row)].labels, rows[Int(right.row)].labels)
        for position in 0..<SeriesLabels.countMax where a[position] != b[position] {
            return texts.texts[Int(a[position])] < texts.texts[Int(b[position])]
        }
        return false
    }
}
