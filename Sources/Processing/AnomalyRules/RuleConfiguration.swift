import ConfigurationText
import TraceModel

/// Builds thresholds from a parsed configuration. Every key must be known and every value valid.
struct RuleConfiguration {
    private static let cooldownRange = 0.0...86_400

    let file: String

    typealias Override = (ProcessPattern, Thresholds)

    func read(_ root: ConfigurationNode) throws(TraceError) -> (Thresholds, [Override]) {
        var standard = Thresholds()
        var overrides: [Override] = []
        let members = try object(root, "the file")
        for member in members where member.key != "rules" && member.key != "overrides" {
            throw unknown(member, in: "", known: ["rules", "overrides"])
        }
        // `rules` is applied first, wherever it stands, because overrides start from it.
        if let rules = members.first(where: { $0.key == "rules" }) {
            try apply(rules.value, "rules", to: &standard)
        }
        guard let list = members.first(where: { $0.key == "overrides" }) else {
            return (standard, overrides)
        }
        guard case .array(let nodes) = list.value.content else {
            throw error(list.line, "overrides", "must be a list")
        }
        guard nodes.count <= Limits.ruleOverridesMax else {
            throw error(list.line, "overrides", "has more than \(Limits.ruleOverridesMax) entries")
        }
        for (index, node) in nodes.enumerated() {
            overrides.append(try override(node, "overrides[\(index)]", standard))
        }
        return (standard, overrides)
    }

    private func override(
        _ node: ConfigurationNode,
        _ path: String,
        _ standard: Thresholds
    ) throws(TraceError) -> Override {
        var thresholds = standard
        var pattern: ProcessPattern?
        var hasRules = false
        for member in try object(node, path) {
            switch member.key {
            case "match": pattern = try self.pattern(member.value, "\(path).match")
            case "rules":
                hasRules = true
                try apply(member.value, "\(path).rules", to: &thresholds)
            default: throw unknown(member, in: path, known: ["match", "rules"])
            }
        }
        guard let pattern else { throw error(node.line, "\(path).match", "is missing") }
        guard hasRules else { throw error(node.line, "\(path).rules", "is missing") }
        return (pattern, thresholds)
    }

    private func pattern(
        _ node: ConfigurationNode,
        _ path: String
    ) throws(TraceError) -> ProcessPattern {
        var pattern = ProcessPattern()
        let members = try object(node, path)
        guard !members.isEmpty else { throw error(node.line, path, "needs comm, host or pid") }
        for member in members {
            let field = "\(path).\(member.key)"
            switch (member.key, member.value.content) {
            case ("comm", .string(let text)): pattern.comm = text
            case ("host", .string(let text)): pattern.host = text
            case ("comm", _), ("host", _): throw error(member.line, field, "must be a text")
            case ("pid", .number(let number)) where UInt32(exactly: number) != nil:
                pattern.pid = UInt32(exactly: number)
            case ("pid", _): throw error(member.line, field, "must be a process id")
            default: throw unknown(member, in: path, known: ["comm", "host", "pid"])
            }
        }
        return pattern
    }

    // MARK: Rules

    private func apply(
        _ node: ConfigurationNode,
        _ path: String,
        to thresholds: inout Thresholds
    ) throws(TraceError) {
        for resourceMember in try object(node, path) {
            let path = "\(path).\(resourceMember.key)"
            guard let resource = Resource(name: resourceMember.key) else {
                let known = Resource.allCases.map(\.name)
                let hint = Suggestion.hint(for: resourceMember.key, among: known)
                throw error(resourceMember.line, path, "is no resource\(hint)")
            }
            for member in try object(resourceMember.value, path) {
                let path = "\(path).\(member.key)"
                guard let rule = RuleID(resource: resource, name: member.key) else {
                    let known = RuleID.allCases.filter { $0.resource == resource }.map {
                        "\($0.name)"
                    }
                    let hint = Suggestion.hint(for: member.key, among: known)
                    throw error(member.line, path, "is no rule\(hint)")
                }
                for setting in try object(member.value, path) {
                    try apply(setting, of: rule, path, to: &thresholds)
                }
                try check(rule, thresholds, line: member.line, path)
            }
        }
    }

    private func apply(
        _ setting: ConfigurationNode.Member,
        of rule: RuleID,
        _ path: String,
        to thresholds: inout Thresholds
    ) throws(TraceError) {
        let field = "\(path).\(setting.key)"
        if setting.key == "enabled" {
            guard case .bool(let isEnabled) = setting.value.content else {
                throw error(setting.line, field, "must be true or false")
            }
            return thresholds.setEnabled(rule, isEnabled)
        }
        if setting.key == "cooldown_s" {
            let seconds = try number(setting, field, in: Self.cooldownRange)
            return thresholds.setCooldown(of: rule, seconds: seconds)
        }
        let ofRule = Threshold.allCases.filter { $0.definition.rule == rule }
        guard let known = ofRule.first(where: { $0.definition.name == setting.key }) else {
            let names = ["enabled", "cooldown_s"] + ofRule.map { "\($0.definition.name)" }
            throw unknown(setting, in: path, known: names)
        }
        thresholds[known] = try number(setting, field, in: known.definition.range)
    }

    private func check(
        _ rule: RuleID,
        _ thresholds: Thresholds,
        line: Int,
        _ path: String
    ) throws(TraceError) {
        for (low, high) in Threshold.ordered where low.definition.rule == rule {
            guard thresholds[low] > thresholds[high] else { continue }
            throw error(
                line,
                "\(path).\(low.definition.name)",
                "must not be greater than \(high.definition.name)"
            )
        }
    }

    // MARK: Values

    private func object(
        _ node: ConfigurationNode,
        _ path: String
    ) throws(TraceError) -> [ConfigurationNode.Member] {
        guard case .object(let members) = node.content else {
            throw error(node.line, path, "must be an object")
        }
        return members
    }

    private func number(
        _ member: ConfigurationNode.Member,
        _ field: String,
        in range: ClosedRange<Double>
    ) throws(TraceError) -> Double {
        guard case .number(let number) = member.value.content, range.contains(number) else {
            let (low, high) = (range.lowerBound, range.upperBound)
            throw error(member.line, field, "must be a number from \(low) to \(high)")
        }
        return number
    }

    private func unknown(
        _ member: ConfigurationNode.Member,
        in path: String,
        known: [String]
    ) -> TraceError {
        let field = path.isEmpty ? member.key : "\(path).\(member.key)"
        let hint = Suggestion.hint(for: member.key, among: known)
        return error(member.line, field, "is not known\(hint)")
    }

    private func error(_ line: Int, _ field: String, _ problem: String) -> TraceError {
        TraceError(.configuration, "\(file):\(line): \(field) \(problem)")
    }
}
