import Foundation
import TestSupport
import Testing
import TraceModel

@testable import ObjectStore

/// Tests addresses, credentials, records and the texts of requests. Requests themselves are tested against a real store
/// (`Tests/EndToEnd/test_object_store.py`).
@Suite struct ObjectStoreTests {
    @Test func addressesHaveABucketAndAPrefix() {
        #expect(ObjectStoreAddress("s3://traces")?.description == "s3://traces")
        #expect(ObjectStoreAddress("s3://traces/a/b/")?.description == "s3://traces/a/b")
        #expect(ObjectStoreAddress("s3://traces/a/b")?.key("c") == "a/b/c")
        #expect(ObjectStoreAddress("s3://traces/")?.key("c") == "c")
    }

    @Test(arguments: [
        "traces", "s3://", "s3://ab", "s3://Traces/a", "s3://traces//a", "s3://traces/a b",
        "s3://traces/../a", "s3://traces/ä", "https://traces/a", "s3://traces/a?b",
    ]) func otherTextsAreNoAddresses(_ text: String) { #expect(ObjectStoreAddress(text) == nil) }

    @Test func variablesWinOverFilesOfTheProfile() throws {
        let directory = try TemporaryDirectory()
        let files = [
            "credentials": """
            [default]
            aws_access_key_id = one
            aws_secret_access_key = first=secret
            # aws_session_token = no
            [other]
            aws_access_key_id=two
            aws_secret_access_key=second
            aws_session_token=token
            """,
            "config": """
            [default]
            region = eu-west-1
            [profile other]
            region = eu-north-1
            endpoint_url = https://store.example/
            """,
        ]
        for (name, text) in files {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory.path)/\(name)"))
        }
        var variables = [
            "AWS_SHARED_CREDENTIALS_FILE": "\(directory.path)/credentials",
            "AWS_CONFIG_FILE": "\(directory.path)/config",
        ]
        func access() throws -> ObjectStoreAccess { try ObjectStoreAccess { variables[$0] } }

        #expect(try access().keyID == "one")
        #expect(try access().secret == "first=secret")
        #expect(try access().sessionToken == nil)
        #expect(try access().region == "eu-west-1")
        #expect(try access().endpoint == nil)
        variables["AWS_PROFILE"] = "other"
        #expect(try access().keyID == "two")
        #expect(try access().sessionToken == "token")
        #expect(try access().region == "eu-north-1")
        #expect(try access().endpoint == "https://store.example")
        variables["AWS_ACCESS_KEY_ID"] = "three"
        variables["AWS_SECRET_ACCESS_KEY"] = "third"
        variables["AWS_REGION"] = "us-west-2"
        variables["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
        #expect(try access().keyID == "three")
        // A token belongs to the credentials beside it.
        #expect(try access().sessionToken == nil)
        #expect(try access().region == "us-west-2")
        #expect(try access().endpoint == "http://127.0.0.1:1")
        variables["AWS_ENDPOINT_URL"] = "127.0.0.1:1"
        #expect(throws: TraceError.self) { try access() }
    }

    @Test func missingCredentialsAreNamed() {
        let error = #expect(throws: TraceError.self) { try ObjectStoreAccess { _ in nil } }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("AWS_ACCESS_KEY_ID") == true)
    }

    @Test func keysAreEncodedAsTheyAreSigned() {
        #expect(S3Client.encoded("a/b~002 é", keepingSlashes: true) == "a/b~002%20%C3%A9")
        #expect(S3Client.encoded("a/+=\u{1}") == "a%2F%2B%3D%01")
    }

    @Test func elementsOfAnswersAreFound() {
        let text = """
            <?xml version="1.0"?><ListBucketResult xmlns="http://x"><IsTruncated>true</IsTruncated>
            <Contents><Key>a&amp;lt;b</Key><ETag>&quot;1&quot;</ETag></Contents><Contents><Key>c</Key></Contents>
            </ListBucketResult>
            """
        let contents = XMLText.elements("Contents", in: text)
        #expect(contents.map { XMLText.elements("Key", in: $0) } == [["a&lt;b"], ["c"]])
        #expect(XMLText.elements("ETag", in: text) == ["\"1\""])
        #expect(XMLText.elements("Size", in: text).isEmpty)
        #expect(XMLText.escaped("\"a&<b>\"") == "&quot;a&amp;&lt;b&gt;&quot;")
    }

    private func window(_ stem: String = "20260501_140000_2") -> StoredWindow? {
        StoredWindow(
            cell: "east",
            resource: .cpu,
            window: 7,
            stem: stem,
            span: 5...9,
            files: [StoredWindow.File(path: "csv/cpu_trace_\(stem).csv", bytes: 3)]
        )
    }

    @Test func recordsNameTheirFilesAndKeepTheirBytes() throws {
        let window = try #require(self.window())
        #expect(window.name == "east/windows/cpu/2026/05/01/20260501_140000_2_7.json")
        let file = "east/cpu/2026/05/01/cpu_trace_20260501_140000_2.csv"
        #expect(window.name(of: window.files[0]) == file)
        let text = """
            {"cell":"east","files":[{"bytes":3,"path":"csv/cpu_trace_20260501_140000_2.csv"}],"first_ts_ns":5,"format":1,\
            "last_ts_ns":9,"resource":"cpu","stem":"20260501_140000_2","window":7}

            """
        #expect(String(decoding: try window.encoded(), as: UTF8.self) == text)
        #expect(try StoredWindow(Array(text.utf8)) == window)
        #expect(self.window("2026") == nil)
    }

    @Test func recordsOfOtherFilesAreNotTheSame() throws {
        let window = try #require(self.window())
        var missing = window
        missing.files[0].isMissing = true
        #expect(missing.isSame(as: window))
        var other = window
        other.files = [StoredWindow.File(path: window.files[0].path, bytes: 4)]
        #expect(!other.isSame(as: window))
    }

    @Test func laterFormatsAreRefused() throws {
        var window = try #require(self.window())
        window.format = 2
        let bytes = try window.encoded()
        #expect(throws: TraceError.self) { try StoredWindow(bytes) }
        #expect(throws: TraceError.self) { try StoredWindow(Array("{}".utf8)) }
    }
}
