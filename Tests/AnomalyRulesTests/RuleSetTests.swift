import Testing
import TraceModel

@testable import AnomalyRules

@Suite struct RuleSetTests {
    private func problem(_ text: String) -> String? {
        do throws(TraceError) {
            _ = try RuleSet(Array(text.utf8), file: "rules.json")
            return nil
        } catch {
            #expect(error.code == .configuration)
            return error.message
        }
    }

    private func thresholds(
        _ set: RuleSet,
        comm: String,
        host: String = "h",
        pid: UInt32 = 1
    ) -> Thresholds {
        var comm = comm
        return comm.withUTF8 {
            set.thresholds(comm: ByteView(UnsafeRawBufferPointer($0)), host: host, pid: pid).pointee
        }
    }

    @Test func theTablesFitTheirArrays() {
        #expect(Threshold.allCases.count == Threshold.count)
        #expect(RuleID.allCases.count == RuleID.count)
        #expect(RuleID.allCases.map(\.rawValue) == (0..<UInt8(RuleID.count)).map { $0 })
        for threshold in Threshold.allCases {
            let definition = threshold.definition
            #expect(definition.range.contains(definition.standard), "\(threshold)")
            #expect(Thresholds()[threshold] == definition.standard)
        }
        for (low, high) in Threshold.ordered { #expect(Thresholds()[low] <= Thresholds()[high]) }
        let keys = Threshold.allCases.map { "\($0.definition.rule) \($0.definition.name)" }
        #expect(Set(keys).count == keys.count)
    }

    @Test func everyFieldCanBeSet() throws {
        for threshold in Threshold.allCases {
            let definition = threshold.definition
            let resource = try #require(definition.rule.resource)
            func text(_ value: Double) -> String {
                """
                {"rules": {"\(resource.name)": {"\(definition.rule.name)": {
                  "\(definition.name)": \(value)}}}}
                """
            }
            let set = try RuleSet(Array(text(definition.standard).utf8), file: "f")
            #expect(thresholds(set, comm: "x")[threshold] == definition.standard)
            for bad in [definition.range.lowerBound - 1, definition.range.upperBound * 2] {
                let message = problem(text(bad)) ?? "none"
                let field = "rules.\(resource.name).\(definition.rule.name).\(definition.name)"
                #expect(message.hasPrefix("rules.json:2: \(field) must be"), "\(message)")
            }
        }
        for rule in RuleID.allCases where rule != .agent {
            let resource = try #require(rule.resource)
            let text = """
                {"rules":{"\(resource.name)":{"\(rule.name)":{"enabled":false,"cooldown_s":1.5}}}}
                """
            let set = try RuleSet(Array(text.utf8), file: "f")
            let found = thresholds(set, comm: "x")
            #expect(!found.isEnabled(rule) && found.cooldown(of: rule) == 1_500_000_000)
            #expect(RuleID.allCases.allSatisfy { $0 == rule || found.isEnabled($0) })
        }
    }

    @Test func theFirstOverrideThatMatchesCounts() throws {
        let text = """
            {
              "overrides": [
                {"match": {"comm": "java*", "host": "db-*-eu"},
                 "rules": {"io": {"slow_io": {"latency_ms": 7}}}},
                {"match": {"comm": "java"}, "rules": {"memory": {"leak": {"enabled": false}}}},
                {"match": {"pid": 17}, "rules": {}}
              ],
              "rules": {"io": {"slow_io": {"latency_ms": 50, "cooldown_s": 0}}}
            }
            """
        let set = try RuleSet(Array(text.utf8), file: "f")
        #expect(set.source == Array(text.utf8))
        let all = thresholds(set, comm: "go")
        #expect(all[.slowIOMilliseconds] == 50 && all.cooldown(of: .slowIO) == 0)
        let first = thresholds(set, comm: "java-9", host: "db-1-eu")
        #expect(first[.slowIOMilliseconds] == 7 && first.cooldown(of: .slowIO) == 0)
        #expect(thresholds(set, comm: "java", host: "db-1-eu").isEnabled(.leak))
        let second = thresholds(set, comm: "java", host: "db-1-us")
        #expect(!second.isEnabled(.leak) && second[.slowIOMilliseconds] == 50)
        #expect(thresholds(set, comm: "java-9").isEnabled(.leak))
        let standard = thresholds(RuleSet(), comm: "x")
        #expect(standard[.slowIOMilliseconds] == 100)
        #expect(try RuleSet([], file: "f").source.isEmpty)
    }

    /// Function and GPU events carry no comm, but agents may name their processes.
    @Test(arguments: [
        (#"{"comm": "a"}"#, #"{"function": {}, "io": {}}"#), (#"{"comm": "*"}"#, #"{"gpu": {}}"#),
        (#"{"pid": 7, "host": "a"}"#, #"{"function": {}}"#), (#"{"comm": "a"}"#, "{}"),
        (#"{"comm": "a"}"#, #"{"gpu": {}, "function": {}}"#),
    ]) func anOverrideThatCanMatchIsTaken(match: String, rules: String) {
        #expect(problem(#"{"overrides": [{"match": \#(match), "rules": \#(rules)}]}"#) == nil)
    }

    @Test(arguments: [
        ("", "", true), ("", "a", false), ("*", "", true), ("*", "abc", true),
        ("a*c", "abbc", true),
        ("a*c", "abcd", false), ("*b*", "abc", true), ("a**", "a", true), ("*ab", "aab", true),
        ("a", "A", false),
        ("ab", "a", false),
    ]) func patternsMatch(pattern: String, text: String, expected: Bool) {
        #expect(ProcessPattern.matches(pattern, text) == expected)
    }

    @Test(arguments: [
        ("[]", "1: the file must be an object"),
        ("{\n\"rule\": {}}", "2: rule is not known; did you mean rules?"),
        ("{\"rules\": 1}", "1: rules must be an object"),
        ("{\"rules\": {\n\"disk\": {}}}", "2: rules.disk is no resource"),
        ("{\"rules\": {\"cpu\": []}}", "1: rules.cpu must be an object"),
        ("{\"rules\": {\"cpu\": {\n\n\"leak\": {}}}}", "3: rules.cpu.leak is no rule"),
        ("{\"rules\": {\"memory\": {\"agent\": {}}}}", "1: rules.memory.agent is no rule"),
        ("{\"rules\": {\"io\": {\"slow_io\": 3}}}", "1: rules.io.slow_io must be an object"),
        ("{\"rules\": {\"io\": {\"slow_io\": {\"z\": 3}}}}", "1: rules.io.slow_io.z is not known"),
        (
            "{\"rules\": {\"io\": {\"slow_io\": {\"enabled\": 1}}}}",
            "1: rules.io.slow_io.enabled must be true or false"
        ),
        (
            "{\"rules\": {\"io\": {\"slow_io\": {\"cooldown_s\": -1}}}}",
            "1: rules.io.slow_io.cooldown_s must be a number from 0.0 to 86400.0"
        ),
        (
            "{\"rules\": {\"io\": {\"slow_io\": {\"latency_ms\": \"3\"}}}}",
            "1: rules.io.slow_io.latency_ms must be a number from 0.0 to 1000000000.0"
        ),
        (
            "{\"rules\": {\"cpu\": {\n\"high_utilization\": {\"raise_percent\": 50}}}}",
            "2: rules.cpu.high_utilization.clear_percent must not be greater than raise_percent"
        ), ("{\"overrides\": {}}", "1: overrides must be a list"),
        ("{\"overrides\": [1]}", "1: overrides[0] must be an object"),
        ("{\"overrides\": [{\"rules\": {}}]}", "1: overrides[0].match is missing"),
        ("{\"overrides\": [{\"match\": {\"pid\": 1}}]}", "1: overrides[0].rules is missing"),
        (
            "{\"overrides\": [{\"match\": {}, \"rules\": {}}]}",
            "1: overrides[0].match needs comm, host or pid"
        ),
        (
            "{\"overrides\": [{\"match\": {\"pid\": 1.5}}]}",
            "1: overrides[0].match.pid must be a process id"
        ),
        (
            "{\"overrides\": [{\"match\": {\"comm\": 1}}]}",
            "1: overrides[0].match.comm must be a text"
        ),
        (
            "{\"overrides\": [{\"match\": {\"tid\": 1}}]}",
            "1: overrides[0].match.tid is not known; did you mean pid?"
        ),
        (
            "{\"rules\": {\"io\": {\"slow_oi\": {}}}}",
            "1: rules.io.slow_oi is no rule; did you mean slow_io?"
        ),
        ("{\"overrides\": [{\"when\": 1}]}", "1: overrides[0].when is not known"),
    ]) func aBadConfigurationIsRefused(text: String, expected: String) {
        #expect(problem(text) == "rules.json:\(expected)")
    }

    @Test(arguments: [
        "{", "{\"a\" 1}", "{\"a\": 1,}", "{\"rules\": {}, \"rules\": {}}", "{} {}", "{\"a\": \"x}",
        "{\"a\": \"\u{1}\"}", "{\"a\": 01}", "{\"a\": 1e999}", "{\"a\": NaN}", "{\"a\": .5}",
        "{\"a\": 1.}",
        "{\"a\": \"\\x\"}", "{\"a\": \"\\ud800\"}", "{\"a\": [1,]}", "{\"a\": tru}", "{a: 1}",
        "{\"a\": [1}", "nul",
        " ", "{\"a\": +1}",
    ]) func whatIsNoJSONIsRefused(text: String) {
        #expect(problem(text)?.hasPrefix("rules.json:1: ") == true, "\(problem(text) ?? "none")")
    }

    @Test func textsAreReadAsJSONHasThem() throws {
        let text = #"{"overrides":[{"match":{"comm":"a\"\\\/\n\u00e9\u0041é"},"rules":{"io":{}}}]}"#
        let set = try RuleSet(Array(text.utf8), file: "f")
        #expect(thresholds(set, comm: "x").isEnabled(.leak))
        let other =
            #"{"overrides":[{"match":{"comm":"a\"\\\/\n\u00e9\u0041é"},"rules":{"io":{"slow_io":{"enabled":false}}}}]}"#
        let matching = try RuleSet(Array(other.utf8), file: "f")
        #expect(!thresholds(matching, comm: "a\"\\/\néAé").isEnabled(.slowIO))
        #expect(thresholds(matching, comm: "a").isEnabled(.slowIO))
        let deep = String(repeating: "[", count: 100)
        #expect(problem("{\"a\": \(deep)")?.contains("nested too deep") == true)
        let long = String(repeating: " ", count: Limits.configurationBytesMax + 1)
        #expect(problem(long)?.contains("bytes") == true)
        #expect(throws: TraceError.self) { try RuleSet([0x22, 0xFF, 0x22], file: "f") }
    }
}
