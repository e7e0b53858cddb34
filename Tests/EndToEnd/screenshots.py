#!/usr/bin/env python3
"""Takes pictures of the console's pages: fleet.png, moment.png, compare.png.

usage: screenshots.py CONSOLE DIRECTORY [--moment ADDRESS] [--compare ADDRESS] [--scheme light|dark]

CONSOLE is the console's HOST:PORT, an ADDRESS is a page's path and query, as `/moment?from=…&to=…&host=…`; without it the
newest window of function calls is shown, and compared with the one before. Needs Debian's chromium and chromium-driver.
"""
import argparse
import json
import pathlib
import sys
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from browser import Browser  # noqa: E402

SIZE = (1280, 800)


def take(console, directory, moment=None, compare=None, scheme="light"):
    """Takes the pictures and returns their paths."""
    spans = newest(console)
    pages = {"fleet": ("/?last=300", "return document.querySelector('.chart b')?.textContent.includes('/s')")}
    loaded = "return document.body.dataset.state === 'complete'"
    if moment or spans:
        pages["moment"] = (moment or "/moment?" + urllib.parse.urlencode(dict(zip(("from", "to"), spans[0]))), loaded)
    if compare or len(spans) > 1:
        sides = {name: f"{span[0]}..{span[1]}" for name, span in zip("ba", spans)}
        pages["compare"] = (compare or "/compare?" + urllib.parse.urlencode(sides), loaded)
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    browser = Browser(console, *SIZE, scheme)
    taken = []
    try:
        for name, (address, shown) in pages.items():
            browser.open(address)
            browser.wait(shown, name)
            taken.append(directory / f"{name}.png")
            browser.screenshot(taken[-1])
    finally:
        browser.close()
    return taken


def newest(console):
    """The spans of the newest windows with function calls, in seconds, the newest first."""
    with urllib.request.urlopen(f"http://{console}/api/v1/files?resource=function&limit=200", timeout=30) as answer:
        files = json.load(answer)["files"]
    windows = {file["window"]: (file["first_ts_ns"] / 1e9, file["last_ts_ns"] / 1e9) for file in files}
    return [windows[window] for window in sorted(windows, reverse=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("console")
    parser.add_argument("directory")
    parser.add_argument("--moment")
    parser.add_argument("--compare")
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    for path in take(**vars(parser.parse_args())):
        print(path)


if __name__ == "__main__":
    main()
