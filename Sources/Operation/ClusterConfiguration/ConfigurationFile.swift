import ConfigurationText
import SystemIO
package import TraceModel

// The configuration file
// ======================
//
// JSON of at most 1 MiB: one object with settings by name. Numbers of workers are an object by resource, counts are
// numbers, switches `true` or `false`, everything else is a string as on the command line.
//
//     { "grpc": "0.0.0.0:50051", "workers": { "function": 4 }, "retain_age": "7d" }

/// A configuration file's settings, checked completely.
package struct ConfigurationFile {
    let layer: SettingLayer
    /// Each problem names the file, the line and the field.
    package let problems: [TraceError]

    /// Reads and checks a file. Blocks.
    /// - Throws: `TraceError(.configuration)` where the file can't be read; what is wrong with its content is in
    ///   `problems`.
    package init(_ path: String) throws(TraceError) {
        do throws(SystemError) { self.init(try FileSystem.contents(path), file: path) } catch {
            throw TraceError(
                .configuration,
                "the configuration file can't be read",
                remedy: "Name an existing file with --config FILE",
                cause: error
            )
        }
    }

    /// Checks a file's content; `file` is its name in error messages.
    init(_ bytes: [UInt8], file: String) {
        var reading = Reading(file: file)
        do throws(TraceError) {
            reading.read(try ConfigurationParser.parse(bytes, file: file))
        } catch {
            reading.problems.append(error)
        }
        layer = reading.layer
        problems = reading.problems
    }

    /// The state of reading one file.
    private struct Reading {
        let file: String
        var layer = SettingLayer()
        var problems: [TraceError] = []

        mutating func read(_ root: ConfigurationNode) {
            guard case .object(let members) = root.content else {
                return complain(root.line, "the file", "must be an object")
            }
            for member in members { read(member) }
            checkAddresses()
        }

        private mutating func read(_ member: ConfigurationNode.Member) {
            let name = member.key
            guard let setting = Setting.all.first(where: { $0.name == name }), setting.isInFile
            else {
                let known = Setting.all.filter(\.isInFile).map(\.name)
                let hint = Suggestion.hint(for: name, among: known)
                return complain(member.line, name, "is not known\(hint)")
            }
            if case .workers = setting.kind {
                readWorkers(member)
            } else if let value = setting.kind.value(of: member.value.content) {
                layer.set(name, value, .file(line: member.line))
            } else {
                let (form, expectation) = (setting.kind.fileSyntax, setting.kind.expectation)
                complain(member.line, name, "must be \(form): it takes \(expectation)")
            }
        }

        private mutating func readWorkers(_ member: ConfigurationNode.Member) {
            guard case .object(let counts) = member.value.content else {
                return complain(member.line, member.key, "must be an object")
            }
            for count in counts {
                let field = "\(member.key).\(count.key)"
                guard let resource = Resource(name: count.key) else {
                    let hint = Suggestion.hint(for: count.key, among: Resource.allCases.map(\.name))
                    complain(count.line, field, "is no resource\(hint)")
                    continue
                }
                guard case .number(let number) = count.value.content,
                    let workers = Int(exactly: number),
                    (1...Limits.workersPerResourceMax).contains(workers)
                else {
                    let most = Limits.workersPerResourceMax
                    complain(count.line, field, "must be a whole number, 1 to \(most)")
                    continue
                }
                layer.set(Setting.key(of: resource), .number(workers), .file(line: count.line))
            }
        }

        /// Checks that the two addresses differ, with the default for a setting that the file leaves out.
        private mutating func checkAddresses() {
            let (grpc, metrics) = (layer["grpc"], layer["metrics"])
            let address = grpc?.value ?? Setting["grpc"].standardValue
            guard address == metrics?.value ?? Setting["metrics"].standardValue,
                case .file(let line) = (metrics ?? grpc)?.source
            else { return }
            let (field, other) = metrics == nil ? ("grpc", "metrics") : ("metrics", "grpc")
            complain(line, field, "is the address of \(other), \(address)")
        }

        private mutating func complain(_ line: Int, _ field: String, _ problem: String) {
            problems.append(TraceError(.configuration, "\(file):\(line): \(field) \(problem)"))
        }
    }
}
