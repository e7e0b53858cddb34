// swift-tools-version: 6.2
import PackageDescription

// MARK: - Settings

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"), .treatAllWarnings(as: .error),
]

/// All libraries but TraceProcessing: every unsafe use is marked.
let memoryStrict: [SwiftSetting] = strict + [.strictMemorySafety()]

let argumentParser: Target.Dependency = .product(
    name: "ArgumentParser",
    package: "swift-argument-parser"
)
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

/// The commit for `--version`; the project's scripts say it (`build_commit` in `scripts/lib/terminal.sh`).
let commit = Context.environment["TRACE_COMMIT"] ?? ""

// MARK: - Package

let package = Package(
    name: "trace-processor",
    products: [
        .executable(name: "trace-router", targets: ["trace-router"]),
        .executable(name: "trace-worker", targets: ["trace-worker"]),
        .executable(name: "trace-aggregator", targets: ["trace-aggregator"]),
        .executable(name: "trace-console", targets: ["trace-console"]),
        .executable(name: "tracectl", targets: ["tracectl"]),
        .executable(name: "trace-bench", targets: ["trace-bench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird",
            from: "2.28.1",
            traits: []
        ),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        // MARK: C libraries (module maps over Debian's headers, generated C, shims)
        .systemLibrary(name: "CGRPC", path: "Sources/Platform/CGRPC"),
        .systemLibrary(name: "CZeroMQ", path: "Sources/Platform/CZeroMQ"),
        .systemLibrary(name: "CProtobufC", path: "Sources/Platform/CProtobufC"),
        .systemLibrary(name: "CZlib", path: "Sources/Platform/CZlib"),
        .systemLibrary(name: "CZstd", path: "Sources/Platform/CZstd"),
        .target(
            name: "CTraceProtos",
            dependencies: ["CProtobufC"],
            path: "Sources/Platform/CTraceProtos",
            linkerSettings: [.linkedLibrary("protobuf-c")]
        ),
        .target(name: "CChecksum", path: "Sources/Platform/CChecksum"),
        .target(name: "CCrashCell", path: "Sources/Platform/CCrashCell"),
        .target(
            name: "CBuildInfo",
            path: "Sources/Platform/CBuildInfo",
            cSettings: commit.isEmpty ? [] : [.define("TRACE_COMMIT", to: commit)]
        ),
        .target(name: "CLinux", path: "Sources/Platform/CLinux"),
        .target(name: "CSocketMeter", path: "Sources/Platform/CSocketMeter"),
        .target(name: "CCurl", path: "Sources/Platform/CCurl"),
        .target(name: "CNATS", path: "Sources/Platform/CNATS"),

        // MARK: Vocabulary and the operating system
        .target(name: "TraceModel", path: "Sources/Model/TraceModel", swiftSettings: memoryStrict),
        .target(
            name: "SystemIO",
            dependencies: ["CBuildInfo", "CChecksum", "CCrashCell", "CLinux", "TraceModel"],
            path: "Sources/Platform/SystemIO",
            swiftSettings: memoryStrict
        ),

        // MARK: Thin wrappers: no C type leaves them
        .target(
            name: "GRPCTransport",
            dependencies: ["CGRPC", "CSocketMeter", "SystemIO", "TraceModel"],
            path: "Sources/Transport/GRPCTransport",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "GRPCServices",
            dependencies: ["CTraceProtos", "GRPCTransport", "TraceModel"],
            path: "Sources/Transport/GRPCServices",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "ZeroMQ",
            dependencies: ["CZeroMQ", "SystemIO", "TraceModel"],
            path: "Sources/Transport/ZeroMQ",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "Compression",
            dependencies: ["CZlib", "CZstd", "TraceModel"],
            path: "Sources/Platform/Compression",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "ObjectStore",
            dependencies: ["CCurl", "SystemIO", "TraceModel"],
            path: "Sources/Output/ObjectStore",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "HTTPServing",
            dependencies: [
                "SystemIO", "TraceModel", logging,
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Sources/Transport/HTTPServing",
            swiftSettings: memoryStrict
        ),

        // MARK: What the project exists for
        .target(
            name: "TraceTime",
            dependencies: ["TraceModel"],
            path: "Sources/Wire/TraceTime",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "TraceWire",
            dependencies: ["SystemIO", "TraceModel"],
            path: "Sources/Wire/TraceWire",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "IngestLog",
            dependencies: ["CChecksum", "SystemIO", "TraceModel"],
            path: "Sources/Log/IngestLog",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "TraceMetrics",
            dependencies: ["SystemIO", "TraceModel"],
            path: "Sources/Output/TraceMetrics",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "TraceFiles",
            dependencies: ["Compression", "SystemIO", "TraceModel"],
            path: "Sources/Output/TraceFiles",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "TraceSummaries",
            dependencies: ["SystemIO", "TraceFiles", "TraceModel"],
            path: "Sources/Output/TraceSummaries",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "ConfigurationText",
            dependencies: ["TraceModel"],
            path: "Sources/Operation/ConfigurationText",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "LogReplica",
            dependencies: ["CNATS", "ConfigurationText", "SystemIO", "TraceModel"],
            path: "Sources/Log/LogReplica",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "ActivityMonitoring",
            dependencies: ["TraceModel"],
            path: "Sources/Processing/ActivityMonitoring",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "AnomalyRules",
            dependencies: ["ConfigurationText", "SystemIO", "TraceModel"],
            path: "Sources/Processing/AnomalyRules",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "ClusterConfiguration",
            dependencies: ["ConfigurationText", "SystemIO", "TraceModel", "TraceTime"],
            path: "Sources/Operation/ClusterConfiguration",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "ClusterMessages",
            dependencies: ["CTraceProtos", "TraceMetrics", "TraceModel"],
            path: "Sources/Transport/ClusterMessages",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "TraceProcessing",
            dependencies: [
                "AnomalyRules", "SystemIO", "TraceFiles", "TraceMetrics", "TraceModel",
                "TraceSummaries", "TraceTime",
                "TraceWire",
            ],
            path: "Sources/Processing/TraceProcessing",
            swiftSettings: strict
        ),

        // MARK: Roles: libraries that never import one another and never import C
        .target(
            name: "RouterRole",
            dependencies: [
                "ActivityMonitoring", "ClusterMessages", "GRPCServices", "GRPCTransport",
                "IngestLog", "LogReplica", "SystemIO",
                "TraceMetrics", "TraceModel", "TraceTime", "TraceWire", "ZeroMQ", logging,
            ],
            path: "Sources/Roles/RouterRole",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "WorkerRole",
            dependencies: [
                "AnomalyRules", "ClusterMessages", "IngestLog", "SystemIO", "TraceFiles",
                "TraceMetrics", "TraceModel",
                "TraceProcessing", "TraceTime", "TraceWire", "ZeroMQ", logging,
            ],
            path: "Sources/Roles/WorkerRole",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "AggregatorRole",
            dependencies: [
                "ActivityMonitoring", "ClusterMessages", "Compression", "HTTPServing", "IngestLog",
                "ObjectStore", "SystemIO",
                "TraceFiles", "TraceMetrics", "TraceModel", "TraceSummaries", "TraceTime", "ZeroMQ",
                logging,
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
            ],
            path: "Sources/Roles/AggregatorRole",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "ConsoleRole",
            dependencies: [
                "Compression", "HTTPServing", "SystemIO", "TraceFiles", "TraceModel",
                "TraceSummaries", logging,
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
            ],
            path: "Sources/Roles/ConsoleRole",
            swiftSettings: memoryStrict
        ),
        .target(
            name: "OperatorTools",
            dependencies: [
                "ActivityMonitoring", "AnomalyRules", "ClusterConfiguration", "Compression",
                "GRPCServices",
                "GRPCTransport", "IngestLog", "ObjectStore", "SystemIO", "TraceFiles", "TraceModel",
                "TraceSummaries", "TraceTime",
                "TraceWire",
            ],
            path: "Sources/Operation/OperatorTools",
            swiftSettings: memoryStrict
        ),

        // MARK: Measuring a running cluster from outside
        .target(
            name: "TraceBench",
            dependencies: [
                "AnomalyRules", "Compression", "GRPCServices", "GRPCTransport", "IngestLog",
                "OperatorTools",
                "RouterRole", "SystemIO", "TraceFiles", "TraceMetrics", "TraceModel",
                "TraceProcessing",
                "TraceSummaries", "TraceTime", "TraceWire",
            ],
            path: "Sources/Bench/TraceBench",
            swiftSettings: memoryStrict
        ),

        // MARK: Executables: parse options, wire, run, exit code
        .executableTarget(
            name: "trace-router",
            dependencies: [
                "ClusterConfiguration", "RouterRole", "SystemIO", "TraceModel", argumentParser,
                logging,
            ],
            path: "Sources/Programs/trace-router",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "trace-worker",
            dependencies: [
                "ClusterConfiguration", "SystemIO", "TraceModel", "WorkerRole", argumentParser,
                logging,
            ],
            path: "Sources/Programs/trace-worker",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "trace-aggregator",
            dependencies: [
                "AggregatorRole", "ClusterConfiguration", "Compression", "HTTPServing", "SystemIO",
                "TraceModel", argumentParser, logging,
            ],
            path: "Sources/Programs/trace-aggregator",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "trace-console",
            dependencies: [
                "ClusterConfiguration", "ConsoleRole", "HTTPServing", "SystemIO", "TraceModel",
                argumentParser, logging,
            ],
            path: "Sources/Programs/trace-console",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "tracectl",
            dependencies: [
                "ClusterConfiguration", "OperatorTools", "SystemIO", "TraceFiles", "TraceModel",
                "TraceTime",
                argumentParser, logging,
            ],
            path: "Sources/Programs/tracectl",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "trace-bench",
            dependencies: [
                "OperatorTools", "SystemIO", "TraceBench", "TraceModel", "TraceTime",
                argumentParser,
            ],
            path: "Sources/Programs/trace-bench",
            swiftSettings: strict
        ),

        // MARK: Tests
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),
        .executableTarget(
            name: "SystemIOProbe",
            dependencies: ["SystemIO"],
            path: "Tests/SystemIOProbe",
            swiftSettings: strict
        ),
        .target(
            name: "AgentEmulator",
            dependencies: ["TestSupport", "TraceModel", "TraceWire"],
            path: "Tests/AgentEmulator",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "agent-emulator",
            dependencies: ["AgentEmulator", "TraceModel", argumentParser],
            path: "Tests/AgentEmulatorTool",
            swiftSettings: strict
        ),
        .testTarget(
            name: "AgentEmulatorTests",
            dependencies: ["AgentEmulator", "TraceModel", "TraceWire"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TraceModelTests",
            dependencies: ["TestSupport", "TraceModel"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "SystemIOTests",
            dependencies: ["CChecksum", "SystemIO", "SystemIOProbe", "TestSupport", "TraceModel"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "GRPCTransportTests",
            dependencies: [
                "GRPCServices", "GRPCTransport", "SystemIO", "TestSupport", "TraceModel",
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ZeroMQTests",
            dependencies: ["CZeroMQ", "SystemIO", "TraceModel", "ZeroMQ"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CompressionTests",
            dependencies: ["Compression", "TraceModel"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ObjectStoreTests",
            dependencies: ["ObjectStore", "TestSupport", "TraceModel"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "HTTPServingTests",
            dependencies: [
                "HTTPServing", "SystemIO", "TestSupport", "TraceModel", logging,
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TraceWireTests",
            dependencies: ["CTraceProtos", "SystemIO", "TraceModel", "TraceWire"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TraceTimeTests",
            dependencies: ["TraceModel", "TraceTime"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "IngestLogTests",
            dependencies: ["IngestLog", "SystemIO", "TestSupport", "TraceModel"],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "replica-probe",
            dependencies: ["LogReplica", "SystemIO", "TraceModel"],
            path: "Tests/ReplicaProbe",
            swiftSettings: strict
        ),
        .testTarget(
            name: "LogReplicaTests",
            dependencies: ["ConfigurationText", "LogReplica", "TestSupport", "TraceModel"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TraceMetricsTests",
            dependencies: ["TraceMetrics", "TraceModel"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TraceFilesTests",
            dependencies: ["Compression", "SystemIO", "TraceFiles", "TraceModel"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "AnomalyRulesTests",
            dependencies: ["AnomalyRules", "SystemIO", "TraceModel"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ClusterConfigurationTests",
            dependencies: ["ClusterConfiguration", "TestSupport", "TraceModel"],
            exclude: ["Golden"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TraceSummariesTests",
            dependencies: [
                "SystemIO", "TestSupport", "TraceFiles", "TraceModel", "TraceSummaries",
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ActivityMonitoringTests",
            dependencies: ["ActivityMonitoring", "TraceModel"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ClusterMessagesTests",
            dependencies: ["ClusterMessages", "TraceMetrics", "TraceModel"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TraceProcessingTests",
            dependencies: [
                "AgentEmulator", "AnomalyRules", "SystemIO", "TraceFiles", "TraceMetrics",
                "TraceModel",
                "TraceProcessing", "TraceSummaries", "TraceTime", "TraceWire",
            ],
            exclude: ["Golden", "Stored"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "RouterRoleTests",
            dependencies: [
                "CGRPC", "ClusterMessages", "GRPCServices", "GRPCTransport", "IngestLog",
                "RouterRole", "SystemIO",
                "TestSupport", "TraceMetrics", "TraceModel", "TraceTime", "TraceWire", "ZeroMQ",
                logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "WorkerRoleTests",
            dependencies: [
                "ClusterMessages", "IngestLog", "SystemIO", "TestSupport", "TraceFiles",
                "TraceMetrics", "TraceModel",
                "TraceProcessing", "TraceTime", "TraceWire", "WorkerRole", logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "AggregatorRoleTests",
            dependencies: [
                "AggregatorRole", "ClusterMessages", "HTTPServing", "SystemIO", "TestSupport",
                "TraceFiles",
                "TraceMetrics", "TraceModel", "ZeroMQ", logging, "trace-aggregator",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ConsoleRoleTests",
            dependencies: [
                "ConsoleRole", "HTTPServing", "SystemIO", "TestSupport", "TraceFiles", "TraceModel",
                "TraceSummaries",
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "OperatorToolsTests",
            dependencies: [
                "ActivityMonitoring", "Compression", "IngestLog", "OperatorTools", "SystemIO",
                "TestSupport",
                "TraceFiles", "TraceModel", "TraceSummaries", "TraceTime", "TraceWire",
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "AggregatorRole", "CGRPC", "ClusterMessages", "GRPCTransport", "IngestLog",
                "RouterRole", "SystemIO",
                "TestSupport", "TraceFiles", "TraceMetrics", "TraceModel", "TraceProcessing",
                "TraceSummaries", "TraceTime", "TraceWire", "WorkerRole", "ZeroMQ", logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TraceBenchTests",
            dependencies: [
                "GRPCServices", "GRPCTransport", "OperatorTools", "TestSupport", "TraceBench",
                "TraceModel", "TraceTime", "TraceWire",
            ],
            swiftSettings: strict
        ),
    ],
    swiftLanguageModes: [.v6]
)
