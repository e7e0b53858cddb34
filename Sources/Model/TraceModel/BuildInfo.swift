/// What this build calls itself in `GetStatus`, trace metadata, and `trace_build_info`.
package enum BuildInfo { package static let version = "0.1.0" }
