/// Version of this build, as reported in `GetStatus`, trace metadata, and `trace_build_info`.
package enum BuildInfo { package static let version = "0.1.0" }
