"""When a lie counts as caught: by its right name, nothing else beside it, and only if it was told."""

import io
import json
import sys

import pytest

from stressd.selftest.cases import CLEAN, cases
from stressd.selftest.outcome import Outcome, caught_in, wrong_with
from stressd.selftest.showing import print_json, print_table

BY_LIE = {case.lie: case for case in cases(1)}


def report(exit_code=3, failed=(), **violations):
    criteria = [{"name": name, "verdict": "fail"} for name in failed]
    criteria += [{"name": "error_rate", "verdict": "pass"}, {"name": "memory_released", "verdict": "inconclusive"}]
    kinds = dict.fromkeys(("lost", "stale", "non_monotonic", "corrupt"), 0)
    return {"exit_code": exit_code, "criteria": criteria, "verification": {"violations": kinds | violations}}


def wrong(lie, found, told=True):
    return wrong_with(BY_LIE[lie], found, caught_in(found) if found is not None else (), told=told)


def test_what_caught_it_are_the_kinds_found_and_the_criteria_failed():
    assert caught_in(report(lost=2, failed=["data_integrity", "degradation"])) == ("lost", "degradation")
    assert caught_in(report(0)) == ()


@pytest.mark.parametrize(
    ("lie", "found"),
    [
        ("drop_save", report(lost=1, failed=["data_integrity"])),
        ("stale_cache", report(stale=7)),
        ("stale_cache", report(stale=7, non_monotonic=1)),
        ("leak", report(1, failed=["memory_growth"])),
        (CLEAN, report(0)),
        (CLEAN, report(4)),
    ],
)
def test_the_right_name_and_nothing_else_is_right(lie, found):
    assert wrong(lie, found) == ""


@pytest.mark.parametrize(
    ("lie", "found", "told", "why"),
    [
        ("drop_save", report(0), True, "missed"),
        ("drop_save", report(lost=1), False, "never told"),
        ("drop_save", report(stale=1), True, "misnamed: stale"),
        ("drop_save", report(lost=1, stale=1), True, "misnamed: lost, stale"),
        ("drop_save", report(lost=1, failed=["worker_deaths"]), True, "misnamed: lost, worker_deaths"),
        ("stale_cache", report(non_monotonic=1), True, "misnamed: non_monotonic"),
        ("leak", report(1, failed=["degradation"]), True, "misnamed: degradation"),
        ("leak", report(3, failed=["memory_growth"], corrupt=1), True, "misnamed"),
        ("leak", report(5, failed=["memory_growth"]), True, "exit code 5 instead of 1"),
        ("leak", report(4), True, "missed"),
        ("leak", None, True, "no report"),
        (CLEAN, report(corrupt=1), False, "accused: corrupt"),
        (CLEAN, report(1, failed=["memory_growth"]), False, "accused: memory_growth"),
        (CLEAN, None, False, "no report"),
    ],
)
def test_what_was_missed_misnamed_or_made_up_is_wrong(lie, found, told, why):
    assert why in wrong(lie, found, told)


OUTCOMES = [
    Outcome("flip_bit", "corrupt", ("corrupt",), 1234, 5, ok=True, seconds=3.21),
    Outcome("leak", "memory_growth", (), 1, None, ok=False, seconds=50.0, why="missed", folder="kept/leak"),
    Outcome("none", None, (), None, None, ok=True, seconds=50.0),
]


@pytest.mark.parametrize(("encoding", "right", "wrong"), [("utf-8", "✅", "❌"), ("ascii", "[ok]", "[XX]")])
def test_the_table_has_a_line_for_each_lie_and_says_what_is_wrong(encoding, right, wrong):
    raw = io.BytesIO()
    print_table(OUTCOMES, 7, 55.0, out := io.TextIOWrapper(raw, encoding))
    out.flush()
    lines = [line.split() for line in raw.getvalue().decode(encoding).splitlines()]
    assert [right, "flip_bit", "corrupt", "corrupt", "1,234", "5"] in lines
    assert [wrong, "leak", "-", "memory_growth", "1", "-"] in lines
    assert [right, "none", "-", "-", "-", "-"] in lines
    assert f"{wrong} leak: missed; all that it left is in kept/leak".split() in lines
    assert lines[-1] == f"{wrong} 2 of 3 as expected, in 55 s, seed 7".split()


def test_the_json_says_the_same():
    print_json(OUTCOMES, 7, 55.04, out := io.StringIO())
    told = json.loads(out.getvalue())
    assert (told["schema"], told["seed"], told["ok"], told["seconds"]) == ("stressd.selftest/1", 7, False, 55.0)
    assert told["lies"][0]["caught_by"] == ["corrupt"]
    assert [lie["ok"] for lie in told["lies"]] == [True, False, True]
    print_json(OUTCOMES[:1], 7, 1, out := io.StringIO())
    assert json.loads(out.getvalue())["ok"] is True
    assert sys.stdout is not out
