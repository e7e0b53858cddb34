"""Reads units of systemd, and says how systemd would start them."""
import re
import shlex

from cluster import ROOT
from traffic import RESOURCES

UNITS = ROOT / "deploy/systemd"
WORKERS = [f"trace-worker@{resource}.0.service" for resource in RESOURCES]
# As systemd starts them: each when the one before is ready.
START_ORDER = ["trace-aggregator.service", *WORKERS, "trace-router.service", "trace-console.service"]


def environment(file=UNITS / "cluster.env"):
    """The variables of a file as EnvironmentFile= names it."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


class Unit:
    """A unit as it stands in a directory of units, its commands as systemd would run them."""

    def __init__(self, name, places, directory=UNITS, environment_file=UNITS / "cluster.env"):
        """`places`: what to put for paths and settings of the installation."""
        self.name = name
        self.environment = environment(environment_file)
        self.instance = name.partition("@")[2].removesuffix(".service")
        self.places = places
        file = directory / (re.sub("@.*", "@", name.removesuffix(".service")) + ".service")
        lines = file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        self.settings = [line.partition("=")[::2] for line in lines if re.match(r"[A-Z]\w*=", line)]

    def values(self, setting):
        return [value for name, value in self.settings if name == setting]

    def words(self, setting):
        return {word for value in self.values(setting) for word in value.split()}

    def command(self, setting):
        """systemd.service(5), COMMAND LINES: words, %i, ${NAME} within a word, $NAME as words, $$ for $."""
        (line,) = self.values(setting)
        words = []
        for word in shlex.split(line.lstrip("+-").replace("%i", self.instance)):
            if re.fullmatch(r"\$[A-Z_]+", word):
                words += self.environment[word[1:]].split()
            else:
                word = re.sub(r"(?<!\$)\$\{([A-Z_]+)\}", lambda match: self.environment[match[1]], word)
                words.append(word.replace("$$", "$"))
        for place, here in self.places.items():
            words = [word.replace(place, here) for word in words]
        return words
