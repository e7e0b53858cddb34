package import TraceFiles
package import TraceModel
package import TraceTime

/// The processor of each resource: the one place to register another.
package enum ProcessorRegistry {
    /// Returns the CSV header of a resource's tables.
    package static func csvHeader(of resource: Resource) -> StaticString {
        switch resource {
        case .function: FunctionModel.csvHeader
        case .cpu: CPUModel.csvHeader
        case .memory: MemoryModel.csvHeader
        case .network: NetworkModel.csvHeader
        case .io: IOModel.csvHeader
        case .gpu: GPUModel.csvHeader
        }
    }

    /// Creates the processor of a resource.
    package static func makeProcessor(
        of resource: Resource,
        files: TraceFileManager,
        zone: TimeZoneRules,
        budget: StateBudget = StateBudget()
    ) -> any TraceProcessor {
        switch resource {
        case .function: EventProcessor<FunctionModel>(files: files, zone: zone, budget: budget)
        case .cpu: EventProcessor<CPUModel>(files: files, zone: zone, budget: budget)
        case .memory: EventProcessor<MemoryModel>(files: files, zone: zone, budget: budget)
        case .network: EventProcessor<NetworkModel>(files: files, zone: zone, budget: budget)
        case .io: EventProcessor<IOModel>(files: files, zone: zone, budget: budget)
        case .gpu: EventProcessor<GPUModel>(files: files, zone: zone, budget: budget)
        }
    }
}
