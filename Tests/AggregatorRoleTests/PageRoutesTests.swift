import HTTPServing
import HTTPTypes
import HummingbirdCore
import NIOCore
import SystemIO
import Testing
import TraceMetrics
import TraceModel

@testable import AggregatorRole

/// Tests which page a request selects.
@Suite struct PageRoutesTests {
    private static func request(_ target: String, accept: String = "*/*") -> Request {
        Request(
            head: HTTPRequest(
                method: .get,
                scheme: nil,
                authority: nil,
                path: target,
                headerFields: [.accept: accept]
            ),
            body: RequestBody(buffer: ByteBuffer())
        )
    }

    @Test(arguments: [
        ("", Exposition.Format.text), ("*/*", .text),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .text),
        ("application/openmetrics-text; version=1.0.0", .openMetrics),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2", .openMetrics),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.5", .text),
        ("application/openmetrics-text;q=0", .text),
    ]) func theFormatFollowsTheAcceptHeader(_ accept: String, _ format: Exposition.Format) throws {
        let request = Self.request("/metrics", accept: accept)
        #expect(try PageRoutes.content(request) == .metrics(.all, format))
    }

    @Test(arguments: [
        ("/metrics", MetricNames.all), ("/metrics?names=trace", .trace),
        ("/metrics?names=neutracer", .neutracer),
        ("/metrics?names=neutracer&names=trace", .all), ("/metrics?other=1", .all),
        ("/metrics/neutracer", .neutracer),
        ("/metrics/neutracer?names=trace", .neutracer),
    ]) func theSetsOfFamiliesFollowTheQuery(_ target: String, _ names: MetricNames) throws {
        #expect(try PageRoutes.content(Self.request(target)) == .metrics(names, .text))
    }

    @Test(arguments: ["", "Trace", "all", "trace,neutracer", "trace&names=else"])
    func anUnknownSetIsRefused(
        _ value: String
    ) throws {
        let request = Self.request("/metrics?names=\(value)")
        #expect(throws: TraceError.self) { try PageRoutes.content(request) }
    }

    @Test func addressesAreRead() throws {
        #expect(try ServingAddress("127.0.0.1:9091").description == "127.0.0.1:9091")
        #expect(try ServingAddress("localhost:1").host == "127.0.0.1")
        #expect(try ServingAddress("[::1]:80").isIPv6)
        for wrong in ["", "9091", "a:", ":9091", "127.0.0.1:99999", "127.0.0.1:-1"] {
            #expect(throws: TraceError.self) { try ServingAddress(wrong) }
        }
    }

    @Test func namesAreNotLookedUp() throws {
        for name in ["localhost.:0", "ip6-localhost:0", "127.1:0", "[fe80]:0"] {
            #expect(throws: TraceError.self) { try ServingAddress(name).listen("--metrics") }
        }
        #expect(try ServingAddress("localhost:0").listen("--metrics").port > 0)
    }

    @Test(arguments: [
        ("127.0.0.1:9090", "127.0.0.1:9091", "http://127.0.0.1:9090/"),
        ("127.0.0.1:9090", "localhost:9091", "http://127.0.0.1:9090/"),
        ("[::1]:9090", "[::1]:9091", "http://[::1]:9090/"),
        ("127.0.0.1:9090", "server:9091", nil), ("127.0.0.1:9090", nil, nil),
        ("0.0.0.0:9090", "server:9091", "http://server:9090/"),
        ("0.0.0.0:9090", "server", "http://server:9090/"),
        ("[::]:9090", "[fe80::1]", "http://[fe80::1]:9090/"),
        ("0.0.0.0:9090", "evil/path:1", nil), ("0.0.0.0:9090", "a\r\nb:1", nil),
        ("10.0.0.1:9090", "server:9091", "http://10.0.0.1:9090/"),
    ]) func browsersAreSentWhereTheyCanGo(
        _ console: String,
        _ authority: String?,
        _ url: String?
    ) throws {
        #expect(ConsoleLink.url(try ServingAddress(console), from: authority) == url)
    }
}
