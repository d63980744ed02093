"""The dashboards against the types of Grafana's own code, in the version that docker-compose.yml runs."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stressd.render.files import dashboards

TOOLS = Path(sys.executable).parent.parent / "tools" / "grafana"
PLUGINS = {
    "stat": "stat",
    "timeseries": "timeseries",
    "heatmap": "heatmap",
    "state-timeline": "statetimeline",
    "table": "table",
}
WITHOUT_FIELD_TYPES = {"stat"}
# What the schema knows of an annotation; the rest of one is Prometheus's own, of which there are no types.
ANNOTATION = ("builtIn", "datasource", "enable", "hide", "iconColor", "name", "type")
HEAD = """
// A JSON text has the strings of an enum, not its members.
type Loose<T> = T extends string ? `${T}` : T extends (infer U)[] ? Loose<U>[]
    : T extends object ? { [K in keyof T]: Loose<T[K]> } : T;
"""


@pytest.fixture(scope="module")
def types():
    """The folder of Grafana's types; skips where `make tools` could not fetch them."""
    folder = TOOLS / "node_modules/@grafana/schema/dist/types/raw"
    if not folder.is_dir() or shutil.which("node") is None:
        pytest.skip("no types of Grafana in .venv/tools: `make tools` fetches them where there is npm")
    return folder


def program(types, boards):
    """A TypeScript program that is right if the boards are."""
    lines = [f"import type {{ Dashboard }} from '{types}/dashboard/x/types.gen';"]
    lines += [
        f"import type * as {each} from '{types}/composable/{each}/panelcfg/x/types.gen';" for each in PLUGINS.values()
    ]
    lines.append(HEAD)
    for board in boards:
        for panel in board["panels"]:
            lines.extend(of_panel(panel))
        known = [{key: each[key] for key in ANNOTATION if key in each} for each in board["annotations"]["list"]]
        lines.append(constant("Loose<Dashboard>", board | {"annotations": {"list": known}}))
    return "\n".join(lines)


def of_panel(panel):
    if panel["type"] == "row":
        return
    plugin = PLUGINS[panel["type"]]
    yield constant(f"Loose<{plugin}.Options>", panel["options"])
    if panel["type"] not in WITHOUT_FIELD_TYPES:
        yield constant(f"Loose<Partial<{plugin}.FieldConfig>>", panel["fieldConfig"]["defaults"]["custom"])


def constant(kind, value):
    return f"((value: {kind}) => value)({json.dumps(value)});"


def compiled(types, boards, folder):
    (folder / "boards.ts").write_text(program(types, boards), encoding="utf-8")
    compiler = TOOLS / "node_modules/.bin/tsc"
    modules = ("--moduleResolution", "bundler", "--module", "esnext", "--target", "es2022")
    done = subprocess.run(
        [compiler, "--noEmit", "--strict", "--skipLibCheck", *modules, "boards.ts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout


def test_the_dashboards_are_what_grafana_takes(types, tmp_path):
    assert compiled(types, dashboards().values(), tmp_path) == ""


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        (("options",), "colorMode", "rainbow"),
        (("options",), "no_such_option", 1),
        (("fieldConfig", "defaults"), "unit", 5),
        (("gridPos",), "w", "wide"),
    ],
)
def test_what_grafana_does_not_know_is_found(types, tmp_path, place, key, value):
    board = copy.deepcopy(dashboards()["overview"])
    part = next(panel for panel in board["panels"] if panel["type"] == "stat")
    for name in place:
        part = part[name]
    part[key] = value
    assert "error TS" in compiled(types, [board], tmp_path)


def test_the_types_are_of_the_version_that_compose_runs(types, project_root):
    package = json.loads((types.parents[2] / "package.json").read_text(encoding="utf-8"))
    compose = yaml.safe_load((project_root / "docker-compose.yml").read_text(encoding="utf-8"))
    assert compose["services"]["grafana"]["image"].split(":")[1] == package["version"]
