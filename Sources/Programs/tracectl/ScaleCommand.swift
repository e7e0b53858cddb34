import ArgumentParser
import OperatorTools
import TraceModel

struct ScaleCommand: ParsableCommand {
    private static let resources = Resource.allCases.map(\.name).joined(separator: ", ")

    static let configuration = CommandConfiguration(
        commandName: "scale",
        abstract: "Moves the work of some resources to another number of workers.",
        discussion: """
            Returns once every slot is with its new owner. The workers must be running already (or still): \
            scripts/cluster scale starts new ones before and ends retired ones after. Resources: \
            \(resources); 1 to \
            \(Limits.workersPerResourceMax) workers each.

              tracectl scale function=4
              tracectl scale function=4,cpu=2 --data /var/lib/trace
            """
    )

    @Argument(
        help: ArgumentHelp("The new numbers of workers.", valueName: "resource=count,…"),
        transform: { text in
            guard let counts = WorkerCounts.parse(text), !counts.isEmpty else {
                throw ValidationError(
                    "not RESOURCE=COUNT[,…] with each resource once: \(resources); counts 1 to "
                        + "\(Limits.workersPerResourceMax)"
                )
            }
            return counts
        }
    )
    var counts: [Resource: Int]

    @OptionGroup var data: DataOptions
    @OptionGroup var waiting: WaitOptions

    func run() throws {
        let (directory, counts) = (data.directory, counts)
        let result = try waiting.run(in: directory) {
            try AdminClient.scale(to: counts, dataDirectory: directory)
        }
        Terminal.output.line(result)
    }
}
