"""The scenarios in config/scenarios: each is right, says what it is for and how it is run, and names its schema.
That their commands run is seen by tests/integration/test_commands_in_docs.py.
"""

import json
import re
import shlex
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from stressd.options import RunOptions, parse
from stressd.scenario_file import builtins, load, resolve

FOLDER = Path(__file__).resolve().parent.parent / "config/scenarios"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
SCHEMA = Draft202012Validator(json.loads((FOLDER / "scenario.schema.json").read_text(encoding="utf-8")))
each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


def head_of(path):
    """The comment that a file begins with, a line each, without its first."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("#").removeprefix(" ") for line in lines[1 : lines.index(f"name: {path.stem}")]]


def test_the_usual_wishes_have_one_each():
    wishes = "ci-smoke three-minute-check week-long-soak spike ramp-to-the-limit leak-hunt chaos own-target continuous"
    assert {path.stem for path in EXAMPLES} == set(wishes.split())


@each_example
def test_an_example_is_right_for_stressd_and_for_editors(path):
    loaded = load(str(path))
    assert resolve(loaded).name == path.stem
    assert resolve(loaded).description
    assert not list(SCHEMA.iter_errors(loaded.data))


@each_example
def test_its_first_line_names_the_schema_beside_it(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)[1]
    assert (path.parent / named).is_file()


@each_example
def test_it_says_how_it_is_run(path):
    commands = [line.strip() for line in head_of(path) if line.startswith("    stressd run ")]
    assert commands
    for command in commands:
        options = parse(shlex.split(command)[1:], {})
        assert isinstance(options, RunOptions)
        assert (FOLDER.parent.parent / options.scenario).resolve() == path


def test_examples_are_no_copies_of_what_is_built_in():
    built_in = [resolve(load(name)).model_dump(exclude={"name", "description"}) for name, _ in builtins()]
    for path in EXAMPLES:
        assert resolve(load(str(path))).model_dump(exclude={"name", "description"}) not in built_in
