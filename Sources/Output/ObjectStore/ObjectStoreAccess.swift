import SystemIO
package import TraceModel

/// Where an object store is reached, and as whom: what other tools take from the same `AWS_…` variables and files.
package struct ObjectStoreAccess: Sendable, Equatable {
    /// For example `https://minio.example:9000`; nil for AWS.
    package let endpoint: String?
    package let region: String
    let keyID: String
    let secret: String
    /// Goes with credentials that expire.
    let sessionToken: String?

    /// Reads the variables and, for what they do not say, the shared files. Blocks.
    ///
    /// - `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; else the profile `AWS_PROFILE` (`default`) in
    ///   `AWS_SHARED_CREDENTIALS_FILE` (`~/.aws/credentials`).
    /// - `AWS_REGION`, `AWS_DEFAULT_REGION`; else `region` of the profile in `AWS_CONFIG_FILE` (`~/.aws/config`); else
    ///   `us-east-1`.
    /// - `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`; else `endpoint_url` of the profile; else AWS.
    /// - Throws: `TraceError(.configuration)` where there are no credentials, or the endpoint is no address.
    package init(
        environment: (String) -> String? = Readiness.environment
    ) throws(TraceError) {
        func variable(_ name: String) -> String? {
            environment(name).flatMap { $0.isEmpty ? nil : $0 }
        }
        let home = variable("HOME").map { "\($0)/.aws" }
        let profile = variable("AWS_PROFILE") ?? "default"
        func path(_ name: String, _ file: String) -> String? {
            variable(name) ?? home.map { "\($0)/\(file)" }
        }
        let credentials = path("AWS_SHARED_CREDENTIALS_FILE", "credentials")
        let shared = Self.section(profile, of: credentials)
        let config = Self.section(
            profile == "default" ? profile : "profile \(profile)",
            of: path("AWS_CONFIG_FILE", "config")
        )
        region =
            variable("AWS_REGION") ?? variable("AWS_DEFAULT_REGION") ?? config["region"]
            ?? shared["region"] ?? "us-east-1"
        endpoint =
            (variable("AWS_ENDPOINT_URL_S3") ?? variable("AWS_ENDPOINT_URL")
            ?? config["endpoint_url"] ?? shared["endpoint_url"]).map {
                $0.hasSuffix("/") ? String($0.dropLast()) : $0
            }
        if let endpoint, !endpoint.hasPrefix("https://"), !endpoint.hasPrefix("http://") {
            throw TraceError(
                .configuration,
                "the address of the object store does not begin with https:// or http://: \(endpoint)",
                remedy: "Correct AWS_ENDPOINT_URL"
            )
        }
        guard region.utf8.allSatisfy({ ObjectStoreAddress.isName(String(UnicodeScalar($0))) })
        else {
            throw TraceError(.configuration, "\(region) is no region", remedy: "Correct AWS_REGION")
        }
        if let key = variable("AWS_ACCESS_KEY_ID"), let secret = variable("AWS_SECRET_ACCESS_KEY") {
            keyID = key
            self.secret = secret
            sessionToken = variable("AWS_SESSION_TOKEN")
        } else if let key = shared["aws_access_key_id"],
            let secret = shared["aws_secret_access_key"]
        {
            keyID = key
            self.secret = secret
            sessionToken = shared["aws_session_token"]
        } else {
            throw TraceError(
                .configuration,
                "there are no credentials for the object store: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    + " are set, nor has \(credentials ?? "a shared credentials file") a profile \(profile) with both",
                remedy: "Set the variables where the cluster is started, or write the file"
            )
        }
    }

    /// Returns the entries of a section in a file of the form `[section]`, `name = value`; none if it cannot be read.
    private static func section(_ name: String, of path: String?) -> [String: String] {
        guard let path, let bytes = try? FileSystem.contents(path) else { return [:] }
        var entries: [String: String] = [:]
        var isWithin = false
        for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
            let text = trimmed(line)
            if text.hasPrefix("[") {
                isWithin = trimmed(text.dropFirst().prefix { $0 != "]" }) == name
            } else if isWithin, !text.hasPrefix("#"), let sign = text.firstIndex(of: "=") {
                entries[trimmed(text[..<sign])] = trimmed(text[text.index(after: sign)...])
            }
        }
        return entries
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        let start = text.drop(while: \.isWhitespace)
        return String(start.reversed().drop(while: \.isWhitespace).reversed())
    }
}
