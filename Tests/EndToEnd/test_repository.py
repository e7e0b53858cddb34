"""The guards of the repository itself: each must be able to fail."""
import shutil
import subprocess

import pytest

from cluster import ROOT


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
