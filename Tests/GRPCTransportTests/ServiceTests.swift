import GRPCServices
import GRPCTransport
import Testing

/// Health and reflection together with another service on one server.
@Suite(.serialized) struct ServiceTests {
    private static let check = "/grpc.health.v1.Health/Check"
    private static let watch = "/grpc.health.v1.Health/Watch"

    private func run(_ health: HealthService, _ body: (GRPCClient) throws -> Void) throws {
        let group = HandlerGroup([
            (TracerService.methods, LoopbackServer(.init())), (HealthService.methods, health),
            (ReflectionService.methods, ReflectionService()),
        ])
        let server = GRPCServer(configuration: .init(), methods: group.methods, handler: group)
        let port = try server.bind("127.0.0.1:0")
        server.start()
        let client = GRPCClient(target: "127.0.0.1:\(port)")
        defer {
            client.close()
            health.stop()
            server.shutdown(deadlineSeconds: 5)
            #expect(server.outstandingTags == 0)
            #expect(server.heldBytes == 0)
        }
        try body(client)
    }

    private func request(service: String) -> [UInt8] {
        [10, UInt8(service.utf8.count)] + Array(service.utf8)
    }

    @Test func groupNumbersMethodsFromZero() throws {
        try run(HealthService()) { client in
            let path = TracerService.Method.sendTraceBatch.path
            try #expect(client.unary(path, [1, 2], timeoutSeconds: 5) == [1, 2])
        }
    }

    @Test func checkFollowsTheState() throws {
        let health = HealthService()
        try run(health) { client in
            for service in ["", "NeuTracer.TracerService"] {
                health.setServing(false)
                let request = request(service: service)
                var answer = try client.unary(Self.check, request, timeoutSeconds: 5)
                #expect(HealthStatus(decoding: answer) == .notServing)
                health.setServing(true)
                answer = try client.unary(Self.check, request, timeoutSeconds: 5)
                #expect(HealthStatus(decoding: answer) == .serving)
            }
            let error = #expect(throws: GRPCCallError.self) {
                _ = try client.unary(Self.check, request(service: "no.Such"), timeoutSeconds: 5)
            }
            #expect(error?.status == .notFound)
            let invalid = #expect(throws: GRPCCallError.self) {
                _ = try client.unary(Self.check, [10, 9], timeoutSeconds: 5)
            }
            #expect(invalid?.status == .invalidArgument)
        }
    }

    @Test func watchReportsEachChangeAndEndsWithTheService() throws {
        let health = HealthService()
        try run(health) { client in
            let stream = try client.openStream(Self.watch)
            try stream.send(request(service: ""))
            try stream.halfClose()
            func next() throws -> HealthStatus? {
                try stream.receive().flatMap { HealthStatus(decoding: $0) }
            }
            try #expect(next() == .notServing)
            health.setServing(true)
            health.setServing(true)
            health.setServing(false)
            health.setServing(true)
            try #expect(next() == .serving)
            try #expect(next() == .notServing)
            try #expect(next() == .serving)
            health.stop()
            try #expect(next() == .notServing)
            try #expect(next() == nil)
        }
    }

    @Test func watchOfUnknownServiceStaysOpen() throws {
        try run(HealthService()) { client in
            let stream = try client.openStream(Self.watch)
            try stream.send(request(service: "no.Such"))
            let answer = try stream.receive()
            #expect(answer.flatMap { HealthStatus(decoding: $0) } == .serviceUnknown)
            stream.cancel()
        }
    }

    @Test(arguments: ["v1alpha", "v1"]) func reflectionAnswers(version: String) throws {
        func ask(_ field: UInt8, _ text: String) -> [UInt8] {
            [field << 3 | 2, UInt8(text.utf8.count)] + Array(text.utf8)
        }
        func holds(_ bytes: [UInt8]?, _ text: String) -> Bool {
            String(decoding: bytes ?? [], as: UTF8.self).contains(text)
        }
        try run(HealthService()) { client in
            let path = "/grpc.reflection.\(version).ServerReflection/ServerReflectionInfo"
            let stream = try client.openStream(path)
            try stream.send(ask(7, ""))
            let services = try stream.receive()
            #expect(holds(services, "NeuTracer.TracerService"))
            #expect(holds(services, "grpc.health.v1.Health"))
            // Served on the Unix socket only.
            #expect(!holds(services, "TraceProcessor.TraceAdmin"))
            try stream.send(ask(3, "tracer_service.proto"))
            try #expect(holds(stream.receive(), "GPUTraceData"))
            for symbol in [
                "NeuTracer.TracerService", "NeuTracer.TracerService.SendTraceBatch",
                "NeuTracer.TraceBatch",
                "NeuTracer.TraceBatch.client_id",
            ] {
                try stream.send(ask(4, symbol))
                try #expect(holds(stream.receive(), "tracer_service.proto"), "\(symbol)")
            }
            try stream.send(ask(4, "NeuTracer.Nothing"))
            try #expect(holds(stream.receive(), "not found: NeuTracer.Nothing"))
            try stream.halfClose()
            try #expect(stream.receive() == nil)
        }
    }
}
