/// What this build calls itself in `GetStatus`, trace metadata, and `trace_build_info`.
package enum BuildInfo {
    /// The project's version (semantic versioning), the one place where it stands. Files carry it without
    /// the commit, so that equal sources write equal bytes; `versionWithCommit` in `SystemIO` has both.
    package static let version = "0.1.0"
}
