"""What pages tell a reader to do, in order: files to write, Python to run, commands to type."""

import re
import shlex
from dataclasses import dataclass

import yaml

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\w+\.py)(?:: the new (\w+))?\n")


@dataclass(frozen=True)
class Command:
    """A line to type; `exit_code` is what its comment promises, 0 where it says nothing."""

    text: str
    exit_code: int = 0


@dataclass(frozen=True)
class Python:
    """A piece of Python to run."""

    text: str


@dataclass(frozen=True)
class File:
    """A file to write; with `function`, only that one in it is written anew."""

    name: str
    text: str
    function: str | None = None

    def write(self, folder):
        path = folder / self.name
        text = self.text
        if self.function:
            old = re.compile(rf"^( *)def {self.function}\(.*?(?=^\1def |\Z)", re.MULTILINE | re.DOTALL)
            text, found = old.subn(lambda _: f"{self.text}\n", path.read_text(encoding="utf-8"))
            assert found == 1, f"{self.name} has {found} functions {self.function}"
        path.write_text(text, encoding="utf-8")


def steps_of(path):
    """Return what a page (.md) or the first comment of a scenario (.yaml) tells one to do."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        head = text[: text.index("\nname:")]
        return [command for line in head.splitlines() if line.startswith("#     ") for command in commands(line[6:])]
    return [step for kind, body in _FENCE.findall(text) for step in _STEPS.get(kind, lambda _: [])(body)]


def commands(text):
    """Return the commands of a shell's lines."""
    lines = text.replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        if not words:
            continue
        comment = re.search(r"\s# .*$", line)
        promised = re.search(r"exit code (\d+)", comment[0]) if comment else None
        found.append(
            Command(line[: comment.start()].strip() if comment else line.strip(), int(promised[1]) if promised else 0)
        )
    return found


def _python(body):
    named = _FILE.match(body)
    return [File(named[1], body[named.end() :], named[2]) if named else Python(body)]


def _of_pipeline(body):
    """Return the commands of a CI system's file: its `run` and `script` keys."""

    def walk(node):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            if key == "run":
                yield from commands(value)
            elif key == "script":
                yield from (command for line in value for command in commands(line))
            else:
                yield from walk(value)

    return list(walk(yaml.safe_load(body)))


_STEPS = {"sh": commands, "python": _python, "yaml": _of_pipeline}
