"""Writes the tables of deploy/METRICS.md and deploy/PROCESSORS.md from the sources that define what they list.

usage: reference.py [--check]     called by scripts/generate-reference; --check: exit code 1 where a table is not current

A table stands between `<!-- table NAME -->` and `<!-- end -->`; the text around it is written by hand.
"""
import re
import sys

sys.dont_write_bytecode = True

from project import ROOT  # noqa: E402

METRICS = ROOT / "Sources/Output/TraceMetrics"
RULES = ROOT / "Sources/Processing/AnomalyRules"
STRING = r'"((?:[^"\\]|\\.)*)"'


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return lines + [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]


def number(text):
    value = float(text.replace("_", ""))
    return f"{value:,.0f}" if value == int(value) else f"{value:.6f}".rstrip("0")


# Metrics


def constants(text):
    """Named lists of strings, and those of bucket bounds."""
    named = dict(re.findall(r"static let (\w+) = (\[[^\]]*\])", text))
    return {name: re.findall(STRING, value) for name, value in named.items()}


def labels_of(text, named):
    found = []
    for part in text.split("+"):
        found += re.findall(STRING, part) if "[" in part else named[part.strip()]
    return found


def bounds():
    text = (METRICS / "MetricFamily.swift").read_text(encoding="utf-8")
    lists = re.findall(r"static let (\w+): \[Double\] = \[([^\]]*)\]", text)
    return {name: ", ".join(number(one) for one in values.replace("\n", " ").split(",") if one.strip()) for name, values in lists}


def metrics(part):
    """Each family of a part of the catalogue, in its order, with its labels, meaning and buckets."""
    text = (METRICS / f"MetricCatalog+{part}.swift").read_text(encoding="utf-8")
    named = constants((METRICS / "MetricCatalog.swift").read_text(encoding="utf-8") + text)
    buckets = bounds()
    for kind, arguments in calls(text):
        if kind == "MetricDescriptor":
            head = re.match(r"\s*\.\w+,\s*" + STRING + r",\s*\.(\w+),\s*" + STRING + r"(.*)", arguments, re.DOTALL)
            if not head:  # what `gauge` itself calls
                continue
            name, kind, meaning, rest = head.groups()
            labels = re.search(r"labels: ([^,\[]*(?:\[[^\]]*\])?)", rest)
            labels = labels_of(labels[1], named) if labels else []
            bound = re.search(r"MetricBounds\.(\w+)", rest)
            if bound:
                meaning += f" Buckets: {buckets[bound[1]]}."
        else:
            head = re.match(
                r"\s*\.\w+,\s*" + STRING + r",\s*" + STRING + r",\s*(\[[^\]]*\]|\w+)", arguments, re.DOTALL
            )
            if not head:  # its declaration
                continue
            name, kind, meaning = "neutracer_" + head[1], "gauge", head[2]
            labels = labels_of(head[3], named)
        yield f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), meaning


def calls(text):
    """The calls that declare families, in their order: what is called, and the text of its arguments."""
    for match in re.finditer(r"\b(MetricDescriptor|gauge)\(", text):
        depth, end, quoted = 1, match.end(), False
        while depth > 0:
            character = text[end]
            if character == "\\":
                end += 1
            elif character == '"':
                quoted = not quoted
            elif not quoted:
                depth += {"(": 1, ")": -1}.get(character, 0)
            end += 1
        yield match[1], text[match.end() : end - 1]


def metric_table(part):
    return table(("name", "kind", "labels", "meaning"), metrics(part))


def loss_table():
    """The kinds of trace_errors_total."""
    text = (METRICS / "LossKind.swift").read_text(encoding="utf-8")
    severities = {}
    for cases, severity in re.findall(r"case ((?:\.\w+,?\s*)+):\s*\.(\w+)", text):
        severities.update(dict.fromkeys(re.findall(r"\.(\w+)", cases), severity))
    rows = []
    for comment, name, kind in re.findall(r"((?:    ///.*\n)*)    case (\w+) = \"(\w+)\"", text):
        rows.append((f"`{kind}`", severities[name], " ".join(re.findall(r"/// (.*)", comment))))
    return table(("kind", "severity", "meaning"), rows)


# Rules


def threshold_table():
    names = dict(re.findall(r'case \.(\w+): "(\w+)"', (RULES / "RuleID.swift").read_text(encoding="utf-8")))
    resources = {}
    for cases, resource in re.findall(
        r"case ((?:\.\w+,?\s*)+): \.(function|cpu|memory|network|io|gpu)\n", (RULES / "RuleID.swift").read_text(encoding="utf-8")
    ):
        resources.update(dict.fromkeys(re.findall(r"\.(\w+)", cases), resource))
    text = (RULES / "Threshold.swift").read_text(encoding="utf-8")
    ranges = dict(re.findall(r"let (percent|rate|score|day) = ([\d.e_]+\.\.\.[\d.e_]+)", text))
    ranges["samples"] = "30...1e6"
    rows = []
    for rule, name, standard, span in re.findall(r"define\(\.(\w+), \"(\w+)\", ([\d._e]+), ([\w.]+)\)", text):
        low, high = (number(one) for one in ranges.get(span, span).split("..."))
        rows.append((resources[rule], f"`{names[rule]}`", f"`{name}`", number(standard), f"{low} to {high}"))
    return table(("resource", "rule", "threshold", "default", "range"), rows)


TABLES = {
    "deploy/METRICS.md": {
        "traced": lambda: metric_table("Traced"),
        "own": lambda: metric_table("OwnState"),
        "neutracer": lambda: metric_table("NeuTracer"),
        "errors": loss_table,
    },
    "deploy/PROCESSORS.md": {"thresholds": threshold_table},
}


def main():
    current = True
    for page, tables in TABLES.items():
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        fresh = text
        for name, lines in tables.items():
            place = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
            assert place.search(fresh), f"{page} has no place for the table {name}"
            body = "\n".join(lines()) + "\n"
            fresh = place.sub(lambda match: match[1] + body + match[2], fresh)
        if fresh != text and "--check" in sys.argv:
            print(f"{page} is not current: run scripts/generate-reference")
            current = False
        elif fresh != text:
            path.write_text(fresh, encoding="utf-8")
    sys.exit(0 if current else 1)


if __name__ == "__main__":
    main()
