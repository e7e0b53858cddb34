package import TraceFiles
package import TraceModel
package import TraceTime

/// Which processor serves which resource: the one place to register another.
package enum ProcessorRegistry {
    package static func csvHeader(of resource: Resource) -> StaticString {
        switch resource {
        case .function: FunctionModel.csvHeader
        case .cpu, .memory, .network, .io, .gpu: FunctionModel.csvHeader
        }
    }

    package static func makeProcessor(
        of resource: Resource,
        files: TraceFileManager,
        zone: TimeZoneRules
    ) -> any TraceProcessor {
        switch resource {
        case .function:
            EventProcessor<FunctionModel>(files: files, zone: zone, category: "function")
        case .cpu, .memory, .network, .io, .gpu:
            EventProcessor<FunctionModel>(files: files, zone: zone, category: "function")
        }
    }
}
