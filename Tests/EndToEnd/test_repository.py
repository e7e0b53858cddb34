"""The guards of the repository itself: each must be able to fail."""
import re
import shutil
import subprocess

import pytest

from cluster import ROOT

pytestmark = pytest.mark.smoke


def findings(root):
    done = subprocess.run([ROOT / "scripts/check-imports", root], capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT / "Sources", tmp_path / "Sources")
    return tmp_path


def test_imports_are_as_the_table_says(copy):
    assert findings(copy) == (0, "")


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("RouterRole", "import WorkerRole"),
        ("WorkerRole", "internal import CZeroMQ"),
        ("TraceTime", "import Foundation"),
        ("TraceMetrics", "package import struct Logging.Logger"),
    ],
)
def test_a_forbidden_import_is_found(copy, target, line):
    folder = next((copy / "Sources").glob(f"*/{target}"))
    (folder / "Intruder.swift").write_text(line + "\n")
    status, text = findings(copy)
    assert status == 1
    assert f"/{target}/Intruder.swift:1" in text


@pytest.mark.parametrize(
    ("form", "file"),
    [
        ("page", "deploy/CONFIGURATION.md"), ("options", "scripts/lib/options.txt"),
        ("environment", "deploy/systemd/cluster.env"),
    ],
)
def test_what_is_told_about_settings_is_current(programs, form, file):
    """Written by scripts/generate-reference."""
    told = subprocess.run([programs / "tracectl", "config", "reference", "--format", form], capture_output=True)
    assert told.stdout == (ROOT / file).read_bytes()


def test_a_target_outside_the_table_is_found(copy):
    (copy / "Sources/Model/Newcomer").mkdir()
    (copy / "Sources/Model/Newcomer/Newcomer.swift").write_text("")
    assert "Newcomer" in findings(copy)[1]


# Style


def style(root):
    """Exit code, and the findings."""
    done = subprocess.run([ROOT / "scripts/check-style", root], capture_output=True, text=True)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


SOUND = """\
/// Keeps positions. They never go back.
@frozen
package struct Positions {
    /// The newest one, in bytes.
    package func newest() -> Int { 0 }
    func helper() {}
}
"""


@pytest.mark.parametrize(
    ("name", "text", "line", "finding"),
    [
        ("Sources/New/A.swift", SOUND, None, None),
        ("Sources/New/A.swift", SOUND.replace("/// Keeps positions. They never go back.\n", ""), 2, "struct Positions has no comment"),
        ("Sources/New/A.swift", SOUND.replace("Keeps", "keeps"), 3, "struct Positions: no sentence in"),
        ("Sources/New/A.swift", SOUND.replace("bytes.", "bytes"), 5, "func newest: no sentence in"),
        ("Sources/New/A.swift", SOUND.replace("Positions", "PositionDesk"), 3, '"PositionDesk": say handler or coordinator'),
        ("Sources/New/A.swift", SOUND.replace("Keeps", "Is told"), 1, '"told": say reported'),
        ("Sources/New/A.swift", SOUND + "// As Sources/New/Other.swift says.\n", 8, "there is no Sources/New/Other.swift"),
        ("Sources/New/A.swift", SOUND + "// As `A.swift` and Sources/New say, and LSN.log.\n", None, None),
        ("GUIDE.md", "See [the source](Sources/New/Other.swift).\n", 1, "the link to Sources/New/Other.swift leads nowhere"),
        ("GUIDE.md", "See `New/Other.swift`.\n", 1, "there is no New/Other.swift"),
        ("GUIDE.md", "```\nlook at it\n```\nIt is told.\n", 4, '"told": say reported'),
        ("README.md", "x\n" * 201, 201, "201 lines, at most 200"),
        ("README.md", "x\n" * 200, None, None),
    ],
)
def test_what_breaks_a_rule_of_style_is_found(tmp_path, name, text, line, finding):
    (tmp_path / "Sources/New").mkdir(parents=True)
    (tmp_path / "Sources/New/A.swift").write_text(SOUND)
    (tmp_path / name).write_text(text)
    status, lines = style(tmp_path)
    if finding is None:
        assert (status, lines) == (0, [])
    else:
        assert status == 1 and len(lines) == 1, lines
        assert lines[0].startswith(f"{name}:{line}: ") and finding in lines[0]


@pytest.mark.parametrize(
    ("subject", "is_sound"),
    [
        ("Router: refuse batches of unknown dialects", True), ("tracectl: x and y", True), ("Refuse batches", False),
        ("Router: " + "x" * 65, False), ("Router:refuse", False),
    ],
)
def test_subjects_of_commits_have_a_form(tmp_path, subject, is_sound):
    """In a project of its own with this script and two commits."""
    for path in ("scripts/check-style", "scripts/lib/project.py", "Sources/Model/TraceModel/BuildInfo.swift"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)

    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false", *arguments], cwd=tmp_path, check=True,
            capture_output=True,
        )

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "Anything goes before")
    git("commit", "-q", "--allow-empty", "-m", subject)
    done = subprocess.run([tmp_path / "scripts/check-style"], capture_output=True, text=True)
    assert done.returncode == (0 if is_sound else 1), done
    assert (subject in done.stdout) != is_sound


def test_symbols_that_nothing_uses_are_listed(tmp_path):
    (tmp_path / "Sources/A").mkdir(parents=True)
    (tmp_path / "Tests/ATests").mkdir(parents=True)
    (tmp_path / "Sources/A/A.swift").write_text(
        "// forgotten and lonely in a comment do not count\n"
        "package struct Used {\n    package var forgotten: Int { 1 }\n    private var hidden = 2\n"
        "    package func called() { let local = 3 }\n    func tested() {}\n}\n"
        "enum Kind {\n    case common\n    case lonely\n}\n"
        "@main\nstruct Program {\n    static func main() { Used().called(); print(Kind.common) }\n}\n"
    )
    (tmp_path / "Tests/ATests/T.swift").write_text("Used().tested()\n")
    done = subprocess.run([ROOT / "scripts/list-unused", tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "Sources/A/A.swift:3: var forgotten: used by nothing",
        "Sources/A/A.swift:6: func tested: used by tests only",
        "Sources/A/A.swift:10: case lonely: used by nothing",
    ]


def test_tables_written_from_the_sources_are_current():
    """Written by scripts/generate-reference."""
    subprocess.run(["python3", ROOT / "scripts/lib/reference.py", "--check"], check=True)


def test_every_kind_of_loss_is_counted_somewhere():
    """A kind that nothing counts would stay at 0 whatever is lost."""
    table = ROOT / "Sources/Output/TraceMetrics/LossKind.swift"
    kinds = re.findall(r"^    case (\w+) = ", table.read_text(encoding="utf-8"), re.MULTILINE)
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "Sources").rglob("*.swift") if path != table)
    assert len(kinds) > 20
    assert [kind for kind in kinds if not re.search(rf"\.{kind}\b", code)] == []


def test_the_metrics_page_has_every_family():
    families = (ROOT / "Sources/Output/TraceMetrics/MetricFamily.swift").read_text(encoding="utf-8")
    page = (ROOT / "deploy/METRICS.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `((?:trace|neutracer)_\w+)`", page, re.MULTILINE)
    assert len(rows) == len(set(rows)) == len(re.findall(r"^    case \w+ = \d+$", families.split("enum MetricFamily")[1], re.MULTILINE))
