import Foundation
import TestSupport
import Testing
import TraceModel

@testable import ClusterConfiguration

struct EffectiveConfigurationTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func write(_ text: String, to name: String) throws {
        let path = "\(directory.path)/\(name)"
        let parent = (path as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    /// As scripts/cluster does.
    private func remember(_ text: String) throws {
        let whole = "\(text)# cksum \(RememberedSettings.cksum(Array(text.utf8)))\n"
        try write(whole, to: "run/cluster.conf")
        try write(whole, to: "run/cluster.conf.mirror")
    }

    private func effective(
        _ flags: [String] = [],
        _ environment: [String: String] = [:],
        isEdgeInstalled: Bool = false
    ) throws -> EffectiveConfiguration {
        try EffectiveConfiguration(
            dataDirectory: directory.path,
            environment: { environment[$0] },
            flags: flags,
            isEdgeInstalled: isEdgeInstalled
        )
    }

    private func source(_ key: String, _ configuration: EffectiveConfiguration) -> SettingSource? {
        configuration.entries.first { $0.key == key }?.source
    }

    @Test func defaultsHoldWhereNothingIsSaid() throws {
        let configuration = try effective()
        #expect(configuration["grpc"] == .text("127.0.0.1:50051"))
        #expect(configuration.workers == "function=1,cpu=1,memory=1,network=1,io=1,gpu=1")
        #expect(configuration.entries.allSatisfy { $0.source == .standard })
        #expect(configuration.arguments(of: .router).contains("--log-budget") == false)
        #expect(!configuration.exported.contains("remembered."))
    }

    @Test func eachSourceWinsOverTheOneBefore() throws {
        try remember("# left\nretain_age=1d\nworkers=function=2,cpu=2\n")
        #expect(try effective()["retain_age"] == .text("1d"))
        #expect(source("retain_age", try effective()) == .remembered)

        try write("{\n\"retain_age\": \"2d\",\n\"workers\": { \"cpu\": 3 } }", to: "cluster.json")
        #expect(try effective()["retain_age"] == .text("2d"))
        #expect(source("retain_age", try effective()) == .file(line: 2))
        #expect(try effective().workers.hasPrefix("function=2,cpu=3,memory=1"))

        let environment = ["RETAIN_AGE": "3d"]
        #expect(try effective([], environment)["retain_age"] == .text("3d"))
        let flags = ["--retain-age", "4d", "--workers=cpu=4,gpu=2"]
        let configuration = try effective(flags, environment)
        #expect(configuration["retain_age"] == .text("4d"))
        #expect(source("retain_age", configuration) == .flag("--retain-age"))
        #expect(configuration.workers == "function=2,cpu=4,memory=1,network=1,io=1,gpu=2")
    }

    @Test func onlyWhatFlagsAndEnvironmentSayIsRemembered() throws {
        try remember("compress=gzip\nretain_age=1d\n")
        try write("{ \"retain_age\": \"2d\" }", to: "cluster.json")
        let said = try effective(["--csv-formula-guard"], ["LOG_BUDGET": "268435456"]).exported
        let remembered = said.split(separator: "\n").filter { $0.hasPrefix("remembered.") }
        #expect(
            remembered == [
                "remembered.log_budget=268435456", "remembered.csv_formula_guard=on",
                "remembered.compress=gzip",
            ]
        )
    }

    @Test func portsOfTheEnvironmentKeepTheAddress() throws {
        try write("{ \"grpc\": \"[::1]:7000\" }", to: "cluster.json")
        let configuration = try effective([], ["SERVICE_PORT": "7001", "TZ": ":UTC"])
        #expect(configuration["grpc"] == .text("[::1]:7001"))
        #expect(configuration["time_zone"] == .text("UTC"))
        #expect(throws: TraceError.self) { try effective([], ["SERVICE_PORT": "many"]) }
    }

    @Test func theFileIsTheOneThatIsNamed() throws {
        try write("{ \"compress\": \"gzip\" }", to: "cluster.json")
        try write("{ \"retain_age\": \"1h\" }", to: "other.json")
        let other = "\(directory.path)/other.json"
        let configuration = try effective(["--config", other])
        #expect(configuration["compress"] == .text("off"))
        #expect(configuration["retain_age"] == .text("1h"))
        #expect(try effective([], ["CLUSTER_CONFIG": other])["retain_age"] == .text("1h"))

        try remember("config=\(other)\n")
        #expect(try effective()["retain_age"] == .text("1h"))
        try remember("config=/nowhere.json\n")
        #expect(throws: TraceError.self) { try effective() }
        #expect(try effective(["--config", other])["retain_age"] == .text("1h"))
        #expect(throws: TraceError.self) { try effective(["--config", "/nowhere.json"]) }
    }

    @Test func aWrongFileIsRefusedWithAllProblems() throws {
        try write("{\n\"grpc\": 1,\n\"metrics\": 2\n}", to: "cluster.json")
        let error = #expect(throws: ConfigurationProblems.self) { try effective() }
        #expect(error?.problems.count == 2)
    }

    @Test func anInterruptedScaleIsWhereItWasToLead() throws {
        try remember("workers=function=1\nscaling=function=3\n")
        #expect(try effective().workers.hasPrefix("function=3,"))
    }

    @Test func damageOfWhatIsRememberedIsFound() throws {
        #expect(RememberedSettings.cksum(Array("123456789".utf8)) == "930766865 9")
        #expect(RememberedSettings.cksum([]) == "4294967295 0")
        try remember("# the checksum stands behind it\nretain_age=1d\nworkers=function=2\n")
        let path = "\(directory.path)/run/cluster.conf"
        let whole = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        #expect(RememberedSettings.isWhole(whole))
        for index in whole.indices {
            var damaged = whole
            damaged[index] ^= 1
            #expect(!RememberedSettings.isWhole(damaged), "byte \(index)")
            #expect(index == whole.count - 1 || !RememberedSettings.isWhole(Array(whole[..<index])))
        }
        // Of before there was a checksum.
        #expect(RememberedSettings.isWhole(Array("# left\nworkers=function=2\n".utf8)))
        #expect(!RememberedSettings.isWhole(Array("# left\nretain_age=1d\n".utf8)))

        let cut = Data(whole.dropLast(9))
        try cut.write(to: URL(fileURLWithPath: path))
        var configuration = try effective()
        #expect(configuration["retain_age"] == .text("1d"))
        #expect(configuration.warnings.count == 1)
        #expect(configuration.warnings[0].hasPrefix("\(path) is damaged; its copy holds"))
        try cut.write(to: URL(fileURLWithPath: path + ".mirror"))
        configuration = try effective()
        #expect(configuration["retain_age"] == .text("off"))
        #expect(configuration.warnings.count == 1)
        #expect(configuration.warnings[0].contains("keeps it as \(path).damaged"))
    }

    @Test(arguments: [
        ("TRACE_BIN_DRI", "TRACE_BIN_DIR"), ("TRACE_WORKER", "TRACE_WORKERS"),
        ("TRACE_BIN_DIR", nil),
        ("TRACE_METRICS", nil), ("TRACE_ID", nil), ("TRACE_", nil), ("TRACE_TEST_RELEASE", nil),
        ("METRICS", nil),
    ]) func aMisspelledVariableIsNamed(name: String, meant: String?) throws {
        let warnings = try EffectiveConfiguration(
            dataDirectory: directory.path,
            environment: { _ in nil },
            variables: ["PATH", name],
            flags: []
        ).warnings
        #expect(warnings.count == (meant == nil ? 0 : 1))
        if let meant {
            #expect(warnings[0].hasPrefix("\(name) is ignored"))
            #expect(warnings[0].hasSuffix("did you mean \(meant)?"))
        }
    }

    @Test(arguments: ["colour=red\n", "grpc\n", "retain_age=soon\n"])
    func whatIsRememberedIsChecked(
        text: String
    ) throws {
        try remember("# head\n\(text)")
        let error = #expect(throws: TraceError.self) { try effective() }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("run/cluster.conf:2: ") == true)
    }

    @Test(arguments: [
        ["--colour", "red"], ["red"], ["--grpc"], ["--grpc", ""], ["--grpc=nowhere"],
        ["--workers", "function=0"],
        ["--workers", "disk=1"], ["--csv-formula-guard=maybe"], ["--csv-formula-guard", "off"],
        ["--log-budget", "1"],
        ["--state-limit", "1M"], ["--series-limit", "0"], ["--series-limit", "9"],
        ["--series-limit", "1k"],
        ["--inactivity-timeout", "+5"], ["--grpc", "127.0.0.1:9091"],
    ]) func wrongFlagsAreRefused(flags: [String]) throws {
        let error = #expect(throws: TraceError.self) { try effective(flags) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func programsGetWhatIsNotOff() throws {
        let configuration = try effective([
            "--csv-formula-guard", "--retain-age=7d", "--retain-bytes", "off", "--time-zone", "UTC",
            "--inactivity-timeout", "60",
        ])
        #expect(
            configuration.arguments(of: .worker) == [
                "--state-limit", "512M", "--time-zone", "UTC", "--csv-formula-guard",
            ]
        )
        #expect(
            configuration.arguments(of: .aggregator) == [
                "--metrics", "127.0.0.1:9091", "--console", "127.0.0.1:9090", "--state-limit",
                "512M", "--series-limit", "10000",
                "--time-zone",
                "UTC", "--csv-columns", "all", "--csv-formula-guard", "--cell", "default",
                "--retain-age", "7d",
            ]
        )
        #expect(
            configuration.arguments(of: .router) == [
                "--grpc", "127.0.0.1:50051", "--inactivity-timeout", "60", "--time-zone", "UTC",
                "--default-semantics",
                "neutracer", "--cell", "default",
            ]
        )
    }

    @Test func theConsoleCanBeLeftOut() throws {
        let standard = try effective([])
        #expect(
            standard.arguments(of: .console) == [
                "--console", "127.0.0.1:9090", "--perfetto-ui", "https://ui.perfetto.dev",
            ]
        )
        #expect(try effective([], ["CONSOLE_PORT": "1"])["console"] == .text("127.0.0.1:1"))
        for off in [
            try effective(["--console", "off"]), try effective([], ["CONSOLE_PORT": "off"]),
        ] {
            #expect(off["console"] == .text("off"))
            #expect(!off.arguments(of: .aggregator).contains("--console"))
            #expect(off.exported.contains("console_address=off\n"))
        }
        for wrong in [
            ["--console", "9090"], ["--console", "127.0.0.1:9091"], ["--perfetto-ui", "off"],
            ["--perfetto-ui", "javascript:alert(1)"], ["--perfetto-ui", "https://a\"b"],
        ] {
            #expect(throws: TraceError.self) { try effective(wrong) }
        }
    }

    // MARK: HAProxy

    @Test func withoutASettingThatNeedsItThereIsNoEdge() throws {
        let configuration = try effective(isEdgeInstalled: true)
        #expect(!configuration.usesEdge && configuration.arguments(of: .edge).isEmpty)
        #expect(configuration.exported.contains("listen=127.0.0.1:50051\ntls=off\n"))
        #expect(
            configuration.exported.contains("\nedge=\n")
                || configuration.exported.hasSuffix("\nedge=")
        )
        #expect(!configuration.arguments(of: .aggregator).contains("--edge"))
    }

    @Test func behindTheEdgeEachListensOnASocketOfItsOwn() throws {
        let configuration = try effective(["--edge", "on", "--console", "off"])
        #expect(configuration.arguments(of: .router).prefix(2) == ["--grpc", "unix:run/grpc.sock"])
        let aggregator = configuration.arguments(of: .aggregator)
        #expect(aggregator.prefix(2) == ["--metrics", "unix:run/metrics.sock"])
        #expect(aggregator.contains("--edge"))
        #expect(
            configuration.arguments(of: .edge) == [
                "--grpc", "127.0.0.1:50051", "--metrics", "127.0.0.1:9091",
            ]
        )
        #expect(configuration.exported.contains("listen=unix:run/grpc.sock\n"))
        let both = try effective(["--edge", "on"])
        #expect(both.arguments(of: .console).contains("unix:run/console.sock"))
        #expect(both.arguments(of: .edge).suffix(2) == ["--console", "127.0.0.1:9090"])
    }

    /// `auto` uses it where other machines reach an address, if it is installed.
    @Test func openAddressesStandBehindTheEdge() throws {
        for flags in [["--grpc", "0.0.0.0:50051"], ["--console", "10.0.0.5:9090"]] {
            #expect(try effective(flags, isEdgeInstalled: true).usesEdge)
            #expect(try !effective(flags, isEdgeInstalled: false).usesEdge)
            #expect(try !effective(flags + ["--edge", "off"], isEdgeInstalled: true).usesEdge)
        }
        for address in ["127.0.0.2:1", "localhost:1", "[::1]:1"] {
            #expect(try !effective(["--grpc", address], isEdgeInstalled: true).usesEdge)
        }
    }

    @Test func filesOfTheEdgeNeedIt() throws {
        try write("x", to: "cert.pem")
        let file = "\(directory.path)/cert.pem"
        let tls = ["--tls-cert", file, "--tls-key", file]
        #expect(try effective(tls).usesEdge)
        #expect(try effective(tls).exported.contains("tls=on\n"))
        #expect(try effective(["--token-file", file]).warnings.count == 1)
        #expect(try effective(tls + ["--token-file", file]).warnings.isEmpty)
        let open = tls + ["--grpc", "0.0.0.0:50051"]
        #expect(try effective(open).warnings.first?.contains("may send batches") == true)
        for enough in [tls, open + ["--token-file", file], open + ["--tls-client-ca", file]] {
            #expect(try effective(enough).warnings.isEmpty)
        }
        #expect(try effective(["--plain", "127.0.0.1:1"]).usesEdge)
        for wrong in [
            ["--tls-cert", file], ["--tls-client-ca", file], tls + ["--edge", "off"],
            ["--require-host-identity"], ["--plain", "127.0.0.1:50051"],
            tls + ["--tls-client-ca", file, "--require-host-identity", "--plain", "127.0.0.1:1"],
            ["--trusted-proxy", "proxy"], ["--tls-cert", "\(file).missing"],
        ] {
            #expect(throws: TraceError.self, "\(wrong)") { try effective(wrong) }
        }
        #expect(try effective(tls + ["--tls-client-ca", file, "--require-host-identity"]).usesEdge)
        let proxy = ["--edge", "off", "--trusted-proxy", "10.0.0.1", "--require-host-identity"]
        let arguments = try effective(proxy).arguments(of: .router)
        let place = try #require(arguments.firstIndex(of: "--trusted-proxy"))
        #expect(arguments[place + 1] == "10.0.0.1")
        #expect(arguments.contains("--require-host-identity"))
    }

    @Test func aRunningEdgeIsComparedByItsOwnAddresses() throws {
        let wanted = try effective(["--edge", "on", "--grpc", "127.0.0.1:2"])
        let running = RunningSettings(
            commands: [
                .router: ["trace-router", "--grpc", "unix:run/grpc.sock"],
                .aggregator: [
                    "trace-aggregator", "--metrics", "unix:run/metrics.sock", "--edge", "on",
                ],
                .edge: [
                    "tracectl", "edge", "run", "--grpc", "127.0.0.1:1", "--metrics",
                    "127.0.0.1:9091",
                ],
            ],
            workers: [:]
        )
        let flags = Set(running.differences(from: wanted).map(\.text))
        #expect(flags.contains("--grpc: it runs with 127.0.0.1:1, not with 127.0.0.1:2"))
        #expect(!flags.contains { $0.hasPrefix("--metrics") || $0.hasPrefix("--edge") })
        let without = try effective(["--grpc", "127.0.0.1:1"])
        let fewer = running.differences(from: without).map(\.text)
        #expect(fewer.contains("--edge: it runs with on, not with off"))
        #expect(!fewer.contains { $0.hasPrefix("--grpc") || $0.hasPrefix("--metrics") })
    }

    // MARK: What Kubernetes sets

    @Test func whatKubernetesSetsForAServiceIsPassedOver() throws {
        let links = ["METRICS_PORT": "tcp://10.96.3.4:9091", "SERVICE_PORT": "udp://10.96.3.5:53"]
        let configuration = try effective([], links)
        #expect(configuration["metrics"] == .text("127.0.0.1:9091"))
        #expect(configuration["grpc"] == .text("127.0.0.1:50051"))
        #expect(source("metrics", configuration) == .standard)
        #expect(configuration.warnings.count == 2)
        #expect(configuration.warnings.first?.contains("SERVICE_PORT=udp://10.96.3.5:53") == true)
        #expect(!configuration.exported.contains("remembered."))
    }

    @Test func aVariableIsNotReadWhereAFlagIsGiven() throws {
        let flags = ["--metrics", "127.0.0.1:6001"]
        for value in ["tcp://10.96.3.4:9091", "nonsense"] {
            let configuration = try effective(flags, ["METRICS_PORT": value])
            #expect(configuration["metrics"] == .text("127.0.0.1:6001"))
            #expect(configuration.warnings.isEmpty)
        }
        #expect(throws: TraceError.self) { try effective([], ["METRICS_PORT": "nonsense"]) }
    }

    // MARK: A running cluster

    private func running(
        _ router: [String] = ["--grpc", "127.0.0.1:50051", "--time-zone", "UTC"],
        _ worker: [String] = [],
        workers: [Resource: Int] = [
            .function: 1, .cpu: 1, .memory: 1, .network: 1, .io: 1, .gpu: 1,
        ]
    ) -> RunningSettings {
        RunningSettings(commands: [.router: router, .worker: worker], workers: workers)
    }

    @Test func aClusterThatRunsAsWantedDoesNotDiffer() throws {
        let wanted = try effective(["--time-zone", "UTC", "--csv-formula-guard"])
        let command = wanted.arguments(of: .router)
        let same = running(command, wanted.arguments(of: .worker))
        #expect(same.differences(from: wanted).isEmpty)
        #expect(same.scaling(to: wanted) == nil)
    }

    @Test func whatDiffersIsSaidWithBothValues() throws {
        let wanted = try effective([
            "--grpc", "127.0.0.1:6000", "--time-zone", "UTC", "--state-limit", "1G",
            "--csv-formula-guard", "--workers",
            "cpu=3",
        ])
        let standard = try effective(["--time-zone", "UTC"])
        let cluster = running(standard.arguments(of: .router), standard.arguments(of: .worker))
        let texts = cluster.differences(from: wanted).map(\.text)
        #expect(
            texts == [
                "--grpc: it runs with 127.0.0.1:50051, not with 127.0.0.1:6000",
                "--state-limit: it runs with 512M, not with 1G",
                "--csv-formula-guard: it runs with off, not with on",
            ]
        )
        #expect(cluster.scaling(to: wanted) == "cpu=3")
    }
}
