/// What one load came to, beside what the machine allows in the same minutes.
package struct LoadReport: Sendable, Codable {
    package let plan: LoadPlan
    package let server: ServerFigures
    /// The do-nothing server under the same load.
    package let floor: ServerFigures
    package let disk: DiskProbe
    /// Each run by itself, in the order they were made.
    package let serverRuns: [RunFigures]
    package let floorRuns: [RunFigures]

    package init(
        plan: LoadPlan,
        server: ServerFigures,
        floor: ServerFigures,
        disk: DiskProbe,
        serverRuns: [RunFigures],
        floorRuns: [RunFigures]
    ) {
        self.plan = plan
        self.server = server
        self.floor = floor
        self.disk = disk
        self.serverRuns = serverRuns
        self.floorRuns = floorRuns
    }
}
