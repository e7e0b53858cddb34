import CBuildInfo
package import TraceModel

extension BuildInfo {
    /// The answer to `--version`: the version, and in brackets the commit where the build knows it.
    package static var versionWithCommit: String {
        let commit = unsafe String(cString: trace_build_commit())
        return commit.isEmpty ? version : "\(version) (\(commit))"
    }
}
