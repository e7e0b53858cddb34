import Testing
import TraceMetrics
import TraceModel

@testable import AggregatorRole

@Suite struct HTTPRequestTests {
    @Test func aHeadIsRead() throws {
        let head = """
            GET /metrics?x=1 HTTP/1.1\r
            Host: a\r
            ACCEPT:  text/plain \r
            Accept: */*\r
            Accept-Encoding: gzip
            """
        let request = try #require(HTTPRequest(head: head))
        #expect(request.method == .get)
        #expect(request.path == "/metrics")
        #expect(request.query == "x=1")
        #expect(request.accept == "text/plain, */*")
        #expect(request.acceptEncoding == "gzip")
        #expect(request.keepsAlive)
        #expect(!request.hasBody)
    }

    @Test(
        arguments: [
            ("GET / HTTP/1.1", true), ("GET / HTTP/1.1\r\nConnection: Close", false),
            ("GET / HTTP/1.0", false), ("GET / HTTP/1.0\r\nConnection: keep-alive", true),
        ]
    )
    func connectionsStayOpenByTheRules(_ head: String, _ keepsAlive: Bool) throws {
        #expect(try #require(HTTPRequest(head: head)).keepsAlive == keepsAlive)
    }

    @Test(
        arguments: [
            "", "GET", "GET / HTTP/2", "GET  / HTTP/1.1", "GET http://a/ HTTP/1.1",
            "GET / HTTP/1.1\r\nno colon", "GET / HTTP/1.1\r\nname : value",
            "GET / HTTP/1.1\r\n: value",
        ]
    )
    func whatIsNoHeadIsRefused(_ head: String) {
        #expect(HTTPRequest(head: head) == nil)
    }

    @Test func bodiesAreNoticed() throws {
        for field in ["Content-Length: 3", "Transfer-Encoding: chunked"] {
            #expect(try #require(HTTPRequest(head: "POST / HTTP/1.1\r\n\(field)")).hasBody)
        }
        let empty = try #require(HTTPRequest(head: "GET / HTTP/1.1\r\nContent-Length: 0"))
        #expect(!empty.hasBody)
    }

    @Test func headsAreTakenOneByOneAndBounded() {
        var input = HTTPInput()
        #expect(input.takeHead() == nil)
        input.append(Array("GET / HTTP/1.1\r\n\r".utf8))
        #expect(input.takeHead() == nil)
        input.append(Array("\nGET /b HTTP/1.1\r\n\r\n".utf8))
        #expect(input.takeHead() == "GET / HTTP/1.1")
        #expect(input.takeHead() == "GET /b HTTP/1.1")
        #expect(input.takeHead() == nil)
        #expect(input.hasRoom)
        input.append([UInt8](repeating: 0x61, count: Limits.httpHeadBytesMax))
        #expect(!input.hasRoom)
    }

    @Test(
        arguments: [
            ("", Exposition.Format.text),
            ("*/*", .text),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .text),
            ("application/openmetrics-text; version=1.0.0", .openMetrics),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2", .openMetrics),
            ("application/openmetrics-text;q=0.2,text/plain;q=0.5", .text),
            ("application/openmetrics-text;q=0", .text),
        ]
    )
    func theFormatFollowsTheAcceptHeader(_ accept: String, _ format: Exposition.Format) throws {
        let head = "GET /metrics HTTP/1.1\r\nAccept: \(accept)"
        let request = try #require(HTTPRequest(head: head))
        #expect(try PageRoutes.content(request) == .metrics(.all, format))
    }

    @Test(
        arguments: [
            ("", []), ("?", []), ("?names", [""]), ("?names=", [""]), ("?names=a", ["a"]),
            ("?x=1&names=a&names=b=c?d&nam=e", ["a", "b=c?d"]), ("?name%73=%61+b%2", ["%61 b%2"]),
            ("?name%73=%61+b%26", ["a b&"]), ("?&&names=%FF", ["%FF"]),
        ]
    )
    func valuesOfAQueryAreRead(_ query: String, _ values: [String]) throws {
        let request = try #require(HTTPRequest(head: "GET /metrics\(query) HTTP/1.1"))
        #expect(request.path == "/metrics")
        #expect(request.values(of: "names") == values)
    }

    @Test(
        arguments: [
            ("/metrics", MetricNames.all), ("/metrics?names=trace", .trace),
            ("/metrics?names=neutracer", .neutracer),
            ("/metrics?names=neutracer&names=trace", .all), ("/metrics?other=1", .all),
            ("/metrics/neutracer", .neutracer), ("/metrics/neutracer?names=trace", .neutracer),
        ]
    )
    func theSetsOfFamiliesFollowTheQuery(_ target: String, _ names: MetricNames) throws {
        let request = try #require(HTTPRequest(head: "GET \(target) HTTP/1.1"))
        #expect(try PageRoutes.content(request) == .metrics(names, .text))
    }

    @Test(arguments: ["", "Trace", "all", "trace,neutracer", "trace&names=else"])
    func anUnknownSetIsRefused(_ value: String) throws {
        let request = try #require(HTTPRequest(head: "GET /metrics?names=\(value) HTTP/1.1"))
        #expect(throws: TraceError.self) { try PageRoutes.content(request) }
    }

    @Test func addressesAreRead() throws {
        #expect(try MetricsAddress("127.0.0.1:9091").description == "127.0.0.1:9091")
        #expect(try MetricsAddress("localhost:1").host == "127.0.0.1")
        #expect(try MetricsAddress("[::1]:80").isIPv6)
        for wrong in ["", "9091", "a:", ":9091", "127.0.0.1:99999", "127.0.0.1:-1"] {
            #expect(throws: TraceError.self) { try MetricsAddress(wrong) }
        }
    }
}
