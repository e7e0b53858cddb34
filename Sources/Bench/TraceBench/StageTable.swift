import OperatorTools

/// The stages for people.
package struct StageTable {
    private static let nameWidth = 24

    private let figures: [StageFigure]

    package init(_ figures: [StageFigure]) { self.figures = figures }

    package var text: String {
        let lines = figures.map { figure in
            row(
                figure.name,
                String(Int(figure.nanosecondsPerEvent.rounded())),
                String(Int(figure.fastestNanosecondsPerEvent.rounded())),
                Report.grouped(figure.events),
                figure.megabytesPerSecond.map { String(Int($0.rounded())) } ?? ""
            )
        }
        let head = row("STAGE", "NS/EVENT", "FASTEST", "EVENTS", "MB/S")
        return ([head] + lines).joined(separator: "\n")
    }

    private func row(_ name: String, _ values: String...) -> String {
        let start = name + String(repeating: " ", count: max(0, Self.nameWidth - name.count))
        return values.reduce(start) { line, value in
            line + String(repeating: " ", count: max(1, 14 - value.count)) + value
        }
    }
}
