import io
import json
import math
from dataclasses import replace

import pytest

from stressd.errors import UsageError
from stressd.verdict.compare import compare, parse_line
from stressd.verdict.render_comparison import render_comparison

PAIRS = 12


@pytest.fixture
def run(healthy, made, report_of):
    """Make the report of a simulated run: a noisy host, times `slower` by a factor."""

    def report(seed, slower=1.0, **changes):
        ticks = made.noisy_ticks(seed, lambda _share: slower, **changes)
        return report_of(replace(healthy, ticks=ticks))

    return report


def changed(found, metric):
    return next(change for change in found.changes if change.metric == metric)


def text_of(found, **changes):
    file = io.StringIO()
    render_comparison(found, file, width=120, **changes)
    return file.getvalue()


def test_a_slow_down_of_15_percent_is_found_and_equal_runs_are_left_in_peace(run, run_seed):
    for pair in range(PAIRS):
        seed = (run_seed + 2 * pair) % 2**32
        before, equal, slower = run(seed), run(seed + 1), run(seed + 1, slower=1.15)
        assert compare(before, equal).regressions == [], seed
        assert compare(before, slower).regressions, seed
        assert compare(slower, before).regressions == [], "faster is no regression"


def test_a_host_that_is_slower_is_not_held_against_the_target(run, run_seed):
    always_slow = {"depth": 0.3, "seconds": 180}
    before, after = run(run_seed % 2**32), run(run_seed % 2**32 + 1, **always_slow)
    after["host"]["seconds_per_cell"] = before["host"]["seconds_per_cell"] * 1.25
    before["host"] |= {"followed": 1.0, "followed_error": 0.05}
    after["host"] |= {"followed": 1.0, "followed_error": 0.05}
    found = compare(before, after)
    assert found.host == pytest.approx(0.25)
    assert changed(found, "read.store.p50").change < 0.1
    assert "25% slower in B" in text_of(found)
    untold = {**after, "host": {"seconds_per_cell": None, "followed": None, "followed_error": None}}
    assert compare(before, untold).host is None


def test_the_report_says_how_fast_the_host_was_and_how_far_times_followed_it(run, run_seed):
    host = run(run_seed % 2**32, depth=0.4)["host"]
    fast_s = 0.0015 / 150_000  # and at times exp(0.4) as slow
    assert 0.95 * fast_s < host["seconds_per_cell"] < 1.05 * math.exp(0.4) * fast_s
    assert host["followed"] > 0.5
    assert 0 <= host["followed_error"] < 0.5


def test_lines_of_ones_own_replace_the_usual_ones(run, run_seed):
    before, slower = run(run_seed % 2**32), run(run_seed % 2**32 + 1, slower=1.4)
    assert compare(before, slower, [parse_line("save.p50>+200%")]).regressions == []
    (told,) = compare(before, slower, [parse_line("save.p50 > +20%")]).regressions
    assert told.startswith("save.p50 +")
    assert told.endswith("over save.p50>+20%")


def test_a_figure_that_falls_crosses_its_line(run, run_seed):
    before, after = run(run_seed % 2**32), run(run_seed % 2**32 + 1)
    for point in after["timeline"]:
        point["operations_per_second"] *= 0.7
    (told,) = compare(before, after).regressions
    assert told.startswith("rate -")
    assert compare(before, after, [parse_line("rate<-40%")]).regressions == []


def test_a_verdict_that_got_worse_is_a_regression_whatever_the_lines(run, run_seed):
    before, after = run(run_seed % 2**32), run(run_seed % 2**32)
    after["verdict"] = "violated"
    after["criteria"][0]["verdict"] = "fail"
    after["criteria"][1]["verdict"] = "inconclusive"
    found = compare(before, after, [parse_line("save.p50>+500%")])
    assert found.regressions == [f"verdict: {before['verdict']} -> violated", "generation_rate: pass -> fail"]
    assert len(found.verdicts) == 3, "one that cannot be told any more is said, and is none"
    assert compare(after, before).regressions == []


def test_what_makes_runs_hard_to_compare_is_said(run, run_seed):
    before, after = run(run_seed % 2**32), run(run_seed % 2**32)
    assert compare(before, after).differences == []
    after["target"]["name"] = "mine:Store"
    after["environment"]["cores"] = 8
    after["interrupted"] = True
    after["harness"]["saturated"] = True
    text = text_of(compare(before, after))
    assert "Not alike: target: embedded and mine:Store." in text
    assert "Not alike: cores: 2.0 and 8." in text
    assert "Not alike: B was interrupted." in text
    assert "Not alike: B did not reach the load that was asked for." in text


def test_seconds_in_which_others_had_the_machine_do_not_count(run, run_seed):
    before, after = run(run_seed % 2**32), run(run_seed % 2**32 + 1)
    for point in after["timeline"][60:170]:
        point["crowded"] = True
        for name in point["p50_seconds"]:
            point["p50_seconds"][name] = 10.0
    assert compare(before, after).regressions == []
    for point in after["timeline"]:
        point["crowded"] = False
    assert compare(before, after).regressions != []


def test_few_ticks_have_no_interval_and_that_shows(run, run_seed):
    before, after = run(run_seed % 2**32, seconds=13), run(run_seed % 2**32, seconds=13)
    change = changed(compare(before, after), "save.p50")
    assert (change.low, change.high, change.outcome) == (None, None, "unsure")
    (told,) = compare(before, after | {"operations": slow(after)}, [parse_line("save.p50>+10%")]).regressions
    assert told.startswith("save.p50 +100.0%"), "one figure alone is still held to its line"


def slow(report):
    operations = json.loads(json.dumps(report["operations"]))
    operations["save"]["service_seconds"]["p50"] *= 2
    return operations


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("save.p99", "is no line; write METRIC>"),
        ("save.p99>10", "is no line"),
        ("save.p99>-10%", "is crossed by what does not change"),
        ("rate<+10%", "is crossed by what does not change"),
        ("save.p98>+10%", "save.p98 is in neither of the reports; did you mean save.p9"),
        ("delete.p99>+10%", "delete.p99 is in neither"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused_with_the_way_out(run, text, says):
    report = run(1)
    with pytest.raises(UsageError, match=says):
        compare(report, report, [parse_line(text)])


def test_machines_get_json(run, run_seed):
    found = json.loads(text_of(compare(run(run_seed % 2**32), run(run_seed % 2**32, slower=1.5)), as_json=True))
    assert found["schema"] == "stressd.comparison/1"
    assert found["regressions"]
    (save,) = [change for change in found["changes"] if change["metric"] == "save.p50"]
    assert save["regressed"]
    assert save["low"] < save["change"] < save["high"]
    assert save["line"] == "save.p50>+10%"


def test_people_see_which_metric_crossed_which_line(run, run_seed):
    text = text_of(compare(run(run_seed % 2**32), run(run_seed % 2**32, slower=1.5)))
    (row,) = [line for line in text.splitlines() if line.startswith("read.store.p50")]
    assert "REGRESSED" in row
    assert ">+10%" in row
    assert "REGRESSION: read.store.p50 +" in text
    equal = run(run_seed % 2**32)
    assert "No regression." in text_of(compare(equal, equal))
