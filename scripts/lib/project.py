"""Where the project is and what version it has, for the scripts in Python."""
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def git(*arguments):
    """What git prints; nothing where there is no git or no history."""
    try:
        done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 and (ROOT / ".git").exists() else ""


def version():
    """As `version` in terminal.sh: the version, and the commit where it is known."""
    text = (ROOT / "Sources/Model/TraceModel/BuildInfo.swift").read_text(encoding="utf-8")
    number = re.search(r'static let version = "(.+)"', text)[1]
    commit = os.environ.get("TRACE_COMMIT") or git("rev-parse", "--short=12", "HEAD")
    if commit and not os.environ.get("TRACE_COMMIT") and git("status", "--porcelain"):
        commit += "+changes"
    return f"{number} ({commit})" if commit else number
