"""The rules that dashboards keep, as a linter of our own that is seen to find a breach of each."""

import copy
import itertools
import re

import pytest

from stressd.criteria import BY_NAME, CRITERIA
from stressd.render.alerts import alerts
from stressd.render.board import SCHEMA_VERSION
from stressd.render.files import dashboards
from stressd.render.panels import DATASOURCE, steps_of
from stressd.render.promql import HERE, selectors_in

BOARDS = dashboards()
VARIABLES = ("datasource", "job", "instance")
# Ranges that are meant as they are: slopes and quantiles over an hour, an alert's ten minutes, the whole time shown.
FIXED_RANGES = {"1h", "10m", "$__range"}
ANNOTATIONS = {"Faults injected", "Worker restarts", "Daemon restarts", "Version changes", "Firing alerts"}
# Grafana's names of the units in use; another one is looked up in its list before it gets its place here.
UNITS = {"none", "short", "percentunit", "ops", "cps", "s", "Bps", "bytes", "decbytes"}


def faults_of(board):
    """One line for each breach of a rule."""
    return [*of_the_board(board), *itertools.chain.from_iterable(map(of_a_panel, panels_of(board))), *of_places(board)]


def panels_of(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def of_the_board(board):
    wanted = {
        "editable": False,
        "timezone": "browser",
        "refresh": "30s",
        "graphTooltip": 1,
        "schemaVersion": SCHEMA_VERSION,
        "id": None,
    }
    for key, value in wanted.items():
        if board.get(key, "missing") != value:
            yield f"{key} is {board.get(key)!r}, not {value!r}"
    if "__inputs" in board or "__requires" in board:
        yield "made for import by hand: __inputs"
    if not re.fullmatch(r"[a-z][a-z-]{1,39}", board["uid"]):
        yield f"uid {board['uid']!r}"
    if len(board["description"]) < 20:
        yield "no description"
    yield from of_variables(board)
    yield from of_annotations(board)


def of_variables(board):
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    if tuple(variables)[:3] != VARIABLES or variables["datasource"]["type"] != "datasource":
        yield f"variables {list(variables)}"
    for variable in list(variables.values())[1:]:
        if (variable["datasource"], variable["allValue"], variable["multi"], variable["refresh"]) != (
            DATASOURCE,
            ".+",
            True,
            2,
        ):
            yield f"variable {variable['name']}"


def of_annotations(board):
    annotated = {annotation["name"] for annotation in board["annotations"]["list"] if "expr" in annotation}
    if annotated != ANNOTATIONS:
        yield f"annotations {annotated}"
    for annotation in board["annotations"]["list"]:
        yield from of_an_expression(annotation.get("expr", ""), f"annotation {annotation['name']}")


def of_a_panel(panel):
    name = f"panel {panel['id']}"
    defaults = panel["fieldConfig"]["defaults"]
    if not panel["title"] or not panel["description"].endswith((".", "?")):
        yield f"{name}: no title, or no description"
    if defaults["unit"] not in UNITS:
        yield f"{name}: unit {defaults['unit']!r}"
    if "min" not in defaults:
        yield f"{name}: no min"
    if defaults["thresholds"]["steps"][0]["value"] is not None:
        yield f"{name}: thresholds begin nowhere"
    values = [step["value"] for step in defaults["thresholds"]["steps"][1:]]
    if values != sorted(set(values)):
        yield f"{name}: thresholds out of order"
    if panel["datasource"] != DATASOURCE or not panel["targets"]:
        yield f"{name}: datasource or no query"
    for target in panel["targets"]:
        if target["datasource"] != DATASOURCE:
            yield f"{name}: a query of another datasource"
        yield from of_an_expression(target["expr"], name)
    refs = [target["refId"] for target in panel["targets"]]
    if len(set(refs)) != len(refs):
        yield f"{name}: refIds {refs}"


def of_an_expression(expression, where):
    for selector in selectors_in(expression):
        if HERE not in selector:
            yield f"{where}: {selector} is not narrowed to $job and $instance"
    for used in re.findall(r"\[([^\]]+)\]", expression):
        if used not in FIXED_RANGES | {"$__rate_interval"}:
            yield f"{where}: range [{used}] instead of [$__rate_interval]"
    for counter in re.findall(r"(?:^|[^\w(])(?:sum|avg|max)(?: by \([^)]*\))? \(?(stressd_\w+_total)", expression):
        if "rate" in expression and counter not in {"stressd_violations_total", "stressd_store_commits_total"}:
            yield f"{where}: {counter} is summed before its rate is taken"


def of_places(board):
    ids = [panel["id"] for panel in board["panels"]]
    if len(set(ids)) != len(ids):
        yield f"ids are used twice: {sorted(ids)}"
    taken = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        ):
            if cell[0] >= 24 or cell in taken:
                yield f"panel {panel['id']} lies over {taken.get(cell, 'the edge')}"
                break
            taken[cell] = panel["id"]


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_keeps_every_rule(name):
    assert faults_of(BOARDS[name]) == []


@pytest.mark.parametrize(
    ("breach", "found"),
    [
        (lambda board: board.update(editable=True), "editable is True"),
        (lambda board: board.update(refresh="5s"), "refresh"),
        (lambda board: board.update(schemaVersion=39), "schemaVersion"),
        (lambda board: board.update(timezone="utc"), "timezone"),
        (lambda board: board.update(graphTooltip=0), "graphTooltip"),
        (lambda board: board.update(__inputs=[]), "__inputs"),
        (lambda board: board.update(uid="Über"), "uid"),
        (lambda board: board["templating"]["list"].pop(1), "variables"),
        (lambda board: board["templating"]["list"][1].update(multi=False), "variable job"),
        (lambda board: board["annotations"]["list"].pop(), "annotations"),
        (lambda board: a_panel(board).update(description=""), "no description"),
        (lambda board: a_panel(board).update(id=2), "ids are used twice"),
        (lambda board: a_panel(board)["gridPos"].update(x=22), "lies over the edge"),
        (lambda board: a_panel(board)["gridPos"].update(y=3), "lies over"),
        (lambda board: a_panel(board)["fieldConfig"]["defaults"].pop("min"), "no min"),
        (lambda board: a_panel(board)["fieldConfig"]["defaults"].update(unit="parsecs"), "unit 'parsecs'"),
        (lambda board: a_panel(board)["targets"][0].update(datasource={"uid": "abc"}), "another datasource"),
        (lambda board: a_panel(board)["targets"][0].update(expr="sum(stressd_workers)"), "is not narrowed"),
        (lambda board: a_panel(board)["targets"][0].update(expr="rate(x[5m])"), "range [5m]"),
    ],
)
def test_a_breach_is_found(breach, found):
    board = copy.deepcopy(BOARDS["overview"])
    breach(board)
    assert any(found in fault for fault in faults_of(board)), faults_of(board)


def a_panel(board):
    return next(panel for panel in board["panels"] if panel["id"] == 20)


def test_uids_and_files_are_fixed():
    assert {name: board["uid"] for name, board in BOARDS.items()} == {
        "overview": "stressd-overview",
        "workers": "stressd-workers",
        "store-and-soak": "stressd-store-and-soak",
    }


@pytest.mark.parametrize(
    ("board", "panel", "criterion", "scale"),
    [
        ("overview", 4, "error_rate", 0.01),
        ("overview", 30, "error_rate", 0.01),
        ("overview", 52, "memory_growth", 1e6),
        ("overview", 61, "cpu_at_rest", 0.01),
        ("store-and-soak", 20, "cache_hit_rate", 0.01),
    ],
)
def test_thresholds_are_the_criterias(board, panel, criterion, scale):
    (found,) = [each for each in BOARDS[board]["panels"] if each["id"] == panel]
    steps = found["fieldConfig"]["defaults"]["thresholds"]["steps"]
    bounds = {line.bound * scale for line in (BY_NAME[criterion].pass_line, BY_NAME[criterion].fail_line)}
    assert {step["value"] for step in steps[1:]} == bounds


@pytest.mark.parametrize("criterion", [each for each in CRITERIA if each.unit != "yes"], ids=lambda c: c.name)
def test_the_colours_of_a_criterion_agree_with_its_verdict(criterion):
    steps = steps_of(criterion)
    color = {"pass": "green", "warn": "yellow", "fail": "red"}
    bounds = (criterion.pass_line.bound, criterion.fail_line.bound)
    for value in (min(bounds) - 1, sum(bounds) / 2 + (0.001 if bounds[0] == bounds[1] else 0), max(bounds) + 1):
        shown = [name for at, name in steps if at is None or value >= at][-1]
        assert shown == color[criterion.decide(value, value)], value


def test_every_alert_leads_to_a_panel_that_shows_its_value():
    for alert in alerts():
        (board,) = [each for each in BOARDS.values() if each["uid"] == alert.panel.dashboard]
        assert [each for each in panels_of(board) if each["id"] == alert.panel.panel], alert.name
