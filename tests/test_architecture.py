"""Which part may import which, what lives where, and what no file may say.

The rules are the tables below; a new part of stressd gets its place in LAYERS.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGES = ("stressd", "featurestore")

# Parts of stressd, top first. A part imports parts below it, and beside it as long as no ring forms.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("node", "selftest"),
    ("supervisor", "observe", "verdict", "console", "render"),
    ("worker",),
    ("workload", "targets", "stats"),
    ("options", "scenario_file"),
    ("scenario",),
    ("pools", "objectives"),
    ("parts",),
    ("criteria",),
    ("metrics",),
    ("logs", "page"),
    ("errors", "durations", "spelling", "files", "redaction", "imports"),
    ("__init__",),
)

# A library, or a part of one, and the only files that may import it. The longest entry that fits decides.
HOMES = {
    "prometheus_client": ("stressd/observe/*",),
    "h11": ("stressd/observe/connections.py",),
    "psutil": ("stressd/supervisor/resources.py",),
    "yaml": ("stressd/scenario_file/*", "stressd/render/yaml_text.py"),
    "rich": ("stressd/console.py", "stressd/console/*", "stressd/verdict/*", "stressd/selftest/showing.py"),
    "obstore": ("featurestore/objects/bucket.py",),
    "featurestore": ("featurestore/*", "stressd/targets/embedded.py"),
    "featurestore.movies": (
        "featurestore/*",
        "stressd/targets/embedded.py",
        "stressd/workload/*",
        "stressd/worker/batches.py",
        "stressd/node/inputs.py",
    ),
    "stressd": ("stressd/*",),
}

MAX_LINES = 450
VAGUE_WORDS = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}

# What says on which machine, or through which registry, a file was made.
FOREIGN = {
    "a path of one machine": r"(?<![\w.~-])/(?:root|home/\w+|Users/\w+|work|workspace|builds)/\w",
    "a package registry": r"pythonhosted\.org|deb\.debian\.org|https?://\S+/simple\b",
    "an option that names a registry": r"--(?:find-links|trusted-host|(?:extra-)?index-url)\b",
}


def test_imports_have_a_direction(project_root):
    assert not list(against_the_layers(project_root))


def test_libraries_live_in_their_homes(project_root):
    assert not list(away_from_home(project_root))


def test_modules_hold_one_idea_that_their_name_says(project_root):
    assert not list(too_long_or_vague(project_root))


def test_no_file_says_where_it_was_made(project_root):
    files = files_of(project_root)
    assert Path(__file__) in files
    assert not list(foreign_words(project_root, files))


# --- The rules, as functions of a source tree: each gives one line per breach ----------------------


def against_the_layers(root: Path) -> Iterator[str]:
    level = {part: height for height, parts in enumerate(LAYERS) for part in parts}
    beside: dict[str, set[str]] = {}
    for module, imported, line in imports(root):
        source, target = part_of(module), part_of(imported)
        if source is None or target is None or source == target:
            continue
        unknown = {source, target} - level.keys()
        if unknown:
            yield f"{module}:{line}: stressd.{unknown.pop()} has no place yet; give it one in LAYERS"
        elif level[source] > level[target]:
            yield f"{module}:{line}: {source} imports {target}, which stands above it"
        elif level[source] == level[target]:
            beside.setdefault(source, set()).add(target)
    try:
        TopologicalSorter(beside).prepare()
    except CycleError as error:
        yield f"a ring of imports: {' <- '.join(error.args[1])}"


def away_from_home(root: Path) -> Iterator[str]:
    for module, imported, line in imports(root):
        names = [name for name in HOMES if (imported + ".").startswith(name + ".")]
        if names:
            homes = HOMES[max(names, key=len)]
            if not any(fnmatch(module, home) for home in homes):
                yield f"{module}:{line}: imports {imported}, which only {', '.join(homes)} may"


def too_long_or_vague(root: Path) -> Iterator[str]:
    for path in sources(root):
        name = path.relative_to(root)
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines >= MAX_LINES:
            yield f"{name}: {lines} lines; {MAX_LINES - 1} are enough for one idea"
        vague = VAGUE_WORDS & {word for part in name.with_suffix("").parts for word in part.split("_")}
        if vague:
            yield f"{name}: '{vague.pop()}' does not say what it holds"


def foreign_words(root: Path, files: list[Path]) -> Iterator[str]:
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture has no words
        for what, pattern in FOREIGN.items():
            for match in re.finditer(pattern, text):
                line = text.count("\n", 0, match.start()) + 1
                yield f"{path.relative_to(root)}:{line}: {match[0]!r} is {what}"


# --- Reading a source tree -------------------------------------------------------------------------


def sources(root: Path) -> list[Path]:
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def files_of(root: Path) -> list[Path]:
    """What git holds or would add; without git (an unpacked archive) every file that is not hidden."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = [
            str(path.relative_to(root))
            for path in root.rglob("*")
            if not any(part.startswith(".") for part in path.relative_to(root).parts)
        ]
    return sorted(root / name for name in names if (root / name).is_file())


def imports(root: Path) -> Iterator[tuple[str, str, int]]:
    """(file, dotted name imported, line) of every import statement, wherever in the file it stands.

    `from package import name` counts as package.name where that is a module of ours, else as package.
    """
    for path in sources(root):
        relative = path.relative_to(root)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            for name in imported_names(node, relative, root):
                yield relative.as_posix(), name, node.lineno


def imported_names(node: ast.AST, relative: Path, root: Path) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            above = relative.parts[: len(relative.parts) - level] if level else ()
            base = ".".join((*above, module) if module else above)
            for alias in names:
                full = f"{base}.{alias.name}"
                yield full if is_module(root, full) else base
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
            yield name


def is_module(root: Path, dotted: str) -> bool:
    path = root.joinpath(*dotted.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def part_of(name: str) -> str | None:
    """The part of stressd that a file or a dotted name belongs to; None outside stressd."""
    names = name.removesuffix(".py").replace("/", ".").split(".")
    if names[0] != "stressd":
        return None
    return names[1] if len(names) > 1 else "__init__"


# --- The rules fire --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "text", "breach"),
    [
        ("stressd/metrics.py", "import stressd.criteria", "metrics imports criteria, which stands above"),
        ("stressd/worker/loop.py", "from stressd import node", "worker imports node"),
        ("stressd/worker/loop.py", "from ..supervisor import child", "worker imports supervisor"),
        ("stressd/stats/table.py", "def f():\n    from ..cli import main", "stressd/stats/table.py:2: stats"),
        (
            "stressd/errors.py",
            "import importlib\nimportlib.import_module('stressd.cli')",
            "errors imports cli",
        ),
        ("stressd/novelty.py", "import stressd.errors", "stressd.novelty has no place yet"),
        ("stressd/verdict/text.py", "import stressd.observe.server", "a ring of imports"),
    ],
)
def test_an_import_against_the_direction_is_found(tree, file, text, breach):
    tree(file, text)
    assert breach in "\n".join(against_the_layers(tree.root))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("stressd/worker/loop.py", "import prometheus_client.core"),
        ("stressd/node.py", "from h11 import Connection"),
        ("stressd/supervisor/states.py", "import psutil"),
        ("stressd/cli.py", "import yaml"),
        ("stressd/targets/memory.py", "from featurestore import SimpleFeatureStore"),
        ("stressd/targets/memory.py", "from featurestore.movies import generate_movies"),
        ("stressd/workload/judge.py", "from featurestore.store import SimpleFeatureStore"),
        ("featurestore/store.py", "from stressd.errors import StressdError"),
    ],
)
def test_a_library_away_from_home_is_found(tree, file, text):
    tree(file, text)
    assert [breach for breach in away_from_home(tree.root) if breach.startswith(f"{file}:1: imports")]


def test_a_long_module_and_a_vague_name_are_found(tree):
    tree("stressd/stats/long.py", "x = 1\n" * MAX_LINES)
    tree("featurestore/path_utils.py", "")
    assert sorted(breach.split(":")[0] for breach in too_long_or_vague(tree.root)) == [
        "featurestore/path_utils.py",
        "stressd/stats/long.py",
    ]


# Each is written with a gap, for the rule holds for this file too.
@pytest.mark.parametrize("word", ["/root /x", "/home /me/x", "--find -links", "https://host.example/pypi /simple"])
def test_a_word_of_the_machine_is_found(tree, word):
    path = tree("docs/notes.md", f"first line\nsee {word.replace(' ', '')} for more\n")
    assert [breach.split(" ")[0] for breach in foreign_words(tree.root, [path])] == ["docs/notes.md:2:"]


def test_a_tree_that_keeps_the_rules_has_no_breach(tree):
    tree(
        "stressd/workload/frames.py",
        "from featurestore.movies import generate_movies\nimport stressd.targets",
    )
    files = list(tree.root.rglob("*.py"))
    breaches = (*against_the_layers(tree.root), *away_from_home(tree.root), *too_long_or_vague(tree.root))
    assert not breaches
    assert not list(foreign_words(tree.root, files))


@pytest.fixture
def tree(tmp_path):
    """A small source tree that keeps every rule; called with a file and its text, adds it."""

    def add(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    for name in ("cli", "node", "criteria", "metrics", "errors", "targets/__init__", "supervisor/child"):
        add(f"stressd/{name}.py", "")
    add("stressd/__init__.py", "")
    add("featurestore/movies/__init__.py", "from featurestore import errors\nimport pandas")
    add("featurestore/errors.py", "")
    add("stressd/observe/server.py", "import stressd.verdict\nimport prometheus_client")
    add("stressd/verdict/__init__.py", "import rich\nfrom stressd.errors import StressdError")
    add.root = tmp_path
    return add
