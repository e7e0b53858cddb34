"""Writes a manual page, man(7), from what a program says about itself.

usage: manual.py [--text] NAME SECTION VERSION TIME <DESCRIPTION >PAGE

DESCRIPTION is what `NAME --experimental-dump-help` prints; with --text, what `NAME --help` prints. TIME is in seconds since the
epoch.
"""
import datetime
import json
import sys


def escaped(text):
    """One line as man(7) takes it."""
    text = text.replace("\\", r"\(rs").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    return r"\&" + text if text.startswith(".") else text


def paragraphs(text):
    """The lines of a text in which a blank line ends a paragraph and lines that begin with spaces stay as they are."""
    verbatim = False
    for line in text.splitlines():
        if line.startswith("  ") and not verbatim:
            verbatim = True
            yield from (".PP", ".nf", ".RS 4")
        elif verbatim and line and not line.startswith("  "):
            verbatim = False
            yield from (".RE", ".fi", ".PP")
        if line.strip():
            yield escaped(line[2:] if verbatim else line)
        else:
            yield "" if verbatim else ".PP"
    if verbatim:
        yield from (".RE", ".fi")


def without_repeats(lines):
    """Leaves out a paragraph's begin behind another one or a heading, which groff complains of."""
    before = ".SH"
    for line in lines:
        if line == ".PP" and before.split(" ")[0] in (".PP", ".SH", ".SS", ".RE"):
            continue
        yield line
        before = line


def shown(argument):
    """The words of an option or operand as on the command line, in bold what is typed and in italics what stands for a value."""
    value = rf"\fI{escaped(argument['valueName'])}\fR"
    if argument["kind"] == "positional":
        return value
    names = [("-" if name["kind"] == "short" else "--") + name["name"] for name in argument["names"]]
    text = ", ".join(rf"\fB{escaped(name)}\fR" for name in names)
    return text if argument["kind"] == "flag" else f"{text} {value}"


def options(command):
    for argument in command.get("arguments", []):
        if not argument["shouldDisplay"] or argument["valueName"] in ("help", "version"):
            continue
        yield from (".TP", shown(argument))
        text = argument.get("abstract", "")
        if argument.get("discussion"):
            text += "\n" + argument["discussion"]
        if argument.get("allValues"):
            text += f" One of: {', '.join(argument['allValues'])}."
        if argument.get("defaultValue") not in (None, ""):
            text += f" Default: {argument['defaultValue']}."
        yield from (escaped(line.strip()) for line in text.splitlines() if line.strip())


def synopsis(command, name):
    words = [rf"\fB{escaped(name)}\fR"]
    if [sub for sub in command.get("subcommands", []) if sub["shouldDisplay"]]:
        words.append(r"\fIsubcommand\fR")
    for argument in command.get("arguments", []):
        if argument["shouldDisplay"] and argument["valueName"] not in ("help", "version"):
            word = shown(argument).split(", ")[-1] + ("..." if argument["isRepeating"] else "")
            words.append(f"[{word}]" if argument["isOptional"] else word)
    return " ".join(words)


def subcommands(command, name):
    for sub in command.get("subcommands", []):
        if not sub["shouldDisplay"] or sub["commandName"] == "help":
            continue
        yield f'.SS "{escaped(name)} {escaped(sub["commandName"])}"'
        yield synopsis(sub, f"{name} {sub['commandName']}")
        yield ".PP"
        yield escaped(sub.get("abstract", ""))
        yield ".PP"
        yield from paragraphs(sub.get("discussion", ""))
        yield from options(sub)
        yield from subcommands(sub, f"{name} {sub['commandName']}")


def page_of_description(command, name):
    yield from (".SH NAME", rf"{escaped(name)} \- {escaped(command['abstract'].rstrip('.'))}")
    yield from (".SH SYNOPSIS", synopsis(command, name))
    yield ".SH DESCRIPTION"
    yield from paragraphs(command.get("discussion") or command["abstract"])
    listed = list(options(command)) + [
        ".TP", r"\fB\-\-version\fR", "Show the version.", ".TP", r"\fB\-h\fR, \fB\-\-help\fR", "Show help.",
    ]
    yield from (".SH OPTIONS", *listed)
    below = list(subcommands(command, name))
    if below:
        yield from (".SH SUBCOMMANDS", *below)


def page_of_text(text, name):
    first, _, rest = text.partition("\n\n")
    yield from (".SH NAME", rf"{escaped(name)} \- {escaped(' '.join(first.split()).split(':')[0].rstrip('.'))}")
    yield from (".SH SYNOPSIS", rf"\fB{escaped(name)}\fR \fIcommand\fR [\fIoptions\fR]")
    yield ".SH DESCRIPTION"
    yield from map(escaped, first.splitlines())
    yield ".PP"
    yield from paragraphs(rest)


def main():
    arguments = sys.argv[1:]
    is_text = arguments[:1] == ["--text"]
    name, section, version, time = arguments[is_text:]
    date = datetime.datetime.fromtimestamp(int(time), datetime.timezone.utc).date()
    print(f'.TH {name} {section} {date} "{name} {version}" "Trace Processor"')
    print(".nh\n.ad l")
    text = sys.stdin.read()
    lines = page_of_text(text, name) if is_text else page_of_description(json.loads(text)["command"], name)
    print("\n".join(without_repeats(lines)))
    print(".SH SEE ALSO\n.BR tracectl (1),\n.BR trace-cluster (8)\n.PP\nThe pages in /usr/share/doc/trace-processor.")


main()
