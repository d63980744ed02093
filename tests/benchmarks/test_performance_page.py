"""docs/performance.md has the rows that the benchmarks define, and the benchmarks judge as they say."""

import importlib
import sys

import pytest


@pytest.fixture(scope="module")
def benchmarks(project_root):
    """Imports a module of benchmarks/ by its name, and takes them all out again."""
    folder = str(project_root / "benchmarks")
    sys.path.insert(0, folder)
    known = set(sys.modules)
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - known:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
                del sys.modules[name]


@pytest.fixture(scope="module")
def goals(benchmarks):
    return benchmarks("goals")


def test_the_page_has_every_row_with_its_goal_and_its_limit(benchmarks, goals, project_root):
    text = (project_root / "docs/performance.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    header, *rows = [[cell.strip() for cell in line] for line in lines]
    assert header[:5] == list(benchmarks("page").COLUMNS[:5])
    expected = [(row.name, row.goal.said(row.unit) if row.goal else "") for row in goals.ROWS]
    assert [(row[0], row[4]) for row in rows] == expected
    limits = [line for line in text.splitlines() if line.startswith("- *")]
    assert [line.split("*")[1] for line in limits] == [row.name for row in goals.ROWS]
    assert "make bench" in text


def test_every_row_is_measured_by_a_section_once(goals):
    keys = [row.key for row in goals.ROWS]
    assert len(set(keys)) == len(keys)
    assert all(row.limit.endswith(".") for row in goals.ROWS)


@pytest.mark.parametrize(
    ("of", "bound", "ours", "peer", "expected"),
    [
        ("ratio", {"at_most": 0.5}, 5.0, 10.0, "met"),
        ("ratio", {"at_most": 0.5}, 5.1, 10.0, "missed"),
        ("ratio", {"at_least": 0.8}, 8.0, 10.0, "met"),
        ("ratio", {"at_least": 0.8}, 7.9, 10.0, "missed"),
        ("ratio", {"at_most": 0.5}, 5.0, None, "missed"),
        ("ours", {"at_most": 0}, 0, 36, "met"),
        ("ours", {"at_most": 0}, 1, 36, "missed"),
        ("ours", {"at_least": 150_000}, 149_999, None, "missed"),
    ],
)
def test_a_goal_is_met_or_missed(goals, of, bound, ours, peer, expected):
    row = goals.Row("key", "name", "ms", "peer", goals.Goal(of, **bound), "limit.")
    assert goals.verdict(row, goals.Figure(ours, peer)) == expected


def test_a_figure_without_a_goal_is_given(goals):
    assert goals.verdict(goals.Row("key", "name", "ms", "", None, "limit."), goals.Figure(1.0)) == "given"


def test_calls_take_turns_and_the_first_rounds_do_not_count(benchmarks):
    rounds = benchmarks("rounds")
    order = []
    calls = {name: rounds.Call(lambda name=name: order.append(name), times=2) for name in "ab"}
    taken = rounds.interleaved(calls, 3)
    assert order == ["a", "a", "b", "b"] * (3 + rounds.WARM_UP)
    assert [len(one.seconds) for one in taken.values()] == [3, 3]


def test_a_run_is_shown_with_all_its_figures(benchmarks, goals):
    row = goals.ROWS[0]
    figure = {"key": row.key, "ours": 0.125, "peer": None, "spread": 0.5, "facts": {}, "ratio": None, "verdict": "met"}
    run = {"machine": {"cores": 2}, "rounds": 3, "rows": [figure]}
    shown = benchmarks("page").table(run)
    assert "cores 2" in shown
    assert row.name in shown
    assert "0.125 ms" in shown
    assert "50%" in shown
    assert "✅" in shown
