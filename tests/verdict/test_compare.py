import copy
import io
import json
import math
import os
from dataclasses import replace

import pytest

from stressd.cli import run as command
from stressd.errors import UsageError
from stressd.verdict.compare import compare, parse_line
from stressd.verdict.render_comparison import render_comparison

THOROUGH = int(os.environ.get("STRESSD_TEST_THOROUGH", "1"))
PAIRS = 12 * THOROUGH


@pytest.fixture
def run(healthy, made, report_of):
    """Make the report of a simulated run: a noisy host, times `slower` by a factor."""

    def report(seed, slower=1.0, **changes):
        ticks = made.noisy_ticks(seed, lambda _share: slower, **changes)
        return report_of(replace(healthy, ticks=ticks), run_id=f"run-{seed}-{slower}")

    return report


def changed(found, metric):
    return next(change for change in found.changes if change.metric == metric)


def like(report, **changes):
    """A report of another run, but for these changes the same."""
    return copy.deepcopy(report) | {"run_id": "another"} | changes


def text_of(found, **changes):
    file = io.StringIO()
    render_comparison(found, file, width=120, **changes)
    return file.getvalue()


@pytest.mark.timeout(120 * THOROUGH)
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
    before = run(run_seed % 2**32)
    after = like(before, verdict="violated")
    after["criteria"][0]["verdict"] = "fail"
    after["criteria"][1]["verdict"] = "inconclusive"
    found = compare(before, after, [parse_line("save.p50>+500%")])
    assert found.regressions == [f"verdict: {before['verdict']} -> violated", "generation_rate: pass -> fail"]
    assert len(found.verdicts) == 3, "one that cannot be told any more is said, and is none"
    assert compare(after, before).regressions == []


def test_what_makes_runs_hard_to_compare_is_said(run, run_seed):
    before = run(run_seed % 2**32)
    after = like(before, interrupted=True, unfinished=True, aborted="latency", reloads=[{"at_seconds": 3}])
    assert compare(before, like(before)).differences == []
    after["target"] |= {"name": "mine:Store", "options": {"durability": "relaxed"}}
    after["environment"]["cores"] = 8
    after["harness"]["saturated"] = True
    after["scenario"]["pools"][0]["rate"] = 90
    after["scenario"]["warmup_s"] = 30
    after["movies"] |= {"path": "mine.csv", "sha256": "ab" * 32}
    after["faults"] = []
    text = text_of(compare(before, after))
    for told in (
        "target.name: embedded and mine:Store",
        "target.options.durability: none and relaxed",
        "environment.cores: 2.0 and 8",
        "scenario.pools.mixed.rate: 60.0 and 90",
        "scenario.warmup_s: 10.0 and 30",
        "movies: generated and ababab",
        "faults that struck: target_errors and none",
        "B was interrupted",
        "B had not ended yet",
        "B was aborted",
        "B went on with another scenario half-way",
        "B did not reach the load that was asked for",
    ):
        assert f"Not alike: {told}" in text
    assert "A was" not in text
    assert "Not alike: A and B are reports of the same run." in text_of(compare(before, before))


def test_a_flood_of_differences_is_cut_short(run):
    before = run(1)
    after = like(before, guarantees={f"claim_{number}": number for number in range(50)})
    told = compare(before, after).differences
    assert len(told) == 13
    assert told[-1] == "41 more of their settings"  # three claims of A are gone


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
    before, after = run(run_seed % 2**32, seconds=13), run(run_seed % 2**32 + 1, seconds=13)
    change = changed(compare(before, after), "save.p50")
    assert (change.low, change.high, change.outcome) == (None, None, "unsure")
    after["operations"]["save"]["service_seconds"]["p50"] *= 2
    (told,) = compare(before, after, [parse_line("save.p50>+10%")]).regressions
    assert told == "save.p50 +100.0%: over save.p50>+10%, by one figure a run", "which is held to its line, too"


def test_what_is_too_short_for_any_line_is_no_success(run, run_seed):
    before, after = run(run_seed % 2**32), run(run_seed % 2**32 + 1, slower=10, seconds=13)
    for pair in ((before, after), (after, before), (after, after)):
        found = compare(*pair)
        assert found.inconclusive
        assert found.regressions == []
        text = text_of(found)
        assert "INCONCLUSIVE" in text
        assert "No regression" not in text
        assert "3 of " in text
        assert "where 6 are needed" in text
    assert not compare(before, like(before)).inconclusive
    assert not compare(before, after, [parse_line("save.p999>+5000%")]).inconclusive


def test_a_line_that_may_have_been_crossed_is_said(run):
    before, after = run(1, seconds=30), run(2, seconds=30, slower=1.05)
    found = compare(before, after, [parse_line("save.p99>+8%")])
    change = changed(found, "save.p99")
    assert change.in_doubt, change
    assert "Cannot tell: save.p99>+8%: " in text_of(found)
    assert not changed(compare(before, after, [parse_line("save.p99>+900%")]), "save.p99").in_doubt


# --- What must not pass for lack of a figure ---------------------------------------------------------


def test_operations_that_b_did_not_do_are_a_regression_unless_nobody_asked_for_them(run, run_seed):
    before = run(run_seed % 2**32)
    after = like(before)
    after["operations"]["save"] |= {"count": 0, "sources": {"none": {"count": 0}}}
    assert compare(before, after).regressions == ["save.p50: B has none"]
    assert compare(before, after, [parse_line("save.p999>+10%")]).regressions == ["save.p999: B has none"]
    after["scenario"]["pools"][0]["mix"]["save"] = 0.0
    found = compare(before, after)
    assert found.regressions == []
    assert "scenario.pools.mixed.mix.save: 12.0 and 0.0" in found.differences


def test_a_rate_that_fell_to_nothing_crosses_its_line(run, run_seed):
    before = run(run_seed % 2**32)
    after = like(before)
    for operation in after["operations"].values():
        operation["rate_per_second"] = 0.0
    for point in after["timeline"]:
        point["operations_per_second"] = 0.0
    for lines in ([], [parse_line("rate<-50%")]):
        assert any(told.startswith("rate -100.0%") for told in compare(before, after, lines).regressions)


def test_several_lines_of_one_metric_all_count(run, run_seed):
    before, slower = run(run_seed % 2**32), run(run_seed % 2**32 + 1, slower=2)
    lines = [parse_line(text) for text in ("save.p50>+30%", "save.p50>+900%", "save.p50<-90%")]
    (told,) = compare(before, slower, lines).regressions
    assert told.endswith("over save.p50>+30%")


@pytest.mark.parametrize(
    ("before_errors", "after_errors", "regressed"),
    [(0, 0, False), (0, 2, False), (1, 2, False), (0, 100, True), (20, 90, True), (90, 20, False), (100, 104, False)],
)
def test_errors_are_compared_as_rare_events(run, before_errors, after_errors, regressed):
    before = run(1)
    after = like(before)
    before["operations"]["save"]["errors"] = before_errors
    after["operations"]["save"]["errors"] = after_errors
    found = compare(before, after, [parse_line("save.errors>+10%")])
    assert bool(found.regressions) == regressed
    assert json.loads(text_of(found, as_json=True))["regressions"] == found.regressions  # and no infinity in it
    assert text_of(found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("save.p99", "is no line; write METRIC>"),
        ("save.p99>10", "is no line"),
        ("save.p99>-10%", "is crossed by what does not change"),
        ("rate<+10%", "is crossed by what does not change"),
        ("save.p98>+10%", "save.p98 is not in A; did you mean save.p9"),
        ("delete.p99>+10%", "delete.p99 is not in A"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused_with_the_way_out(run, text, says):
    report = run(1)
    with pytest.raises(UsageError, match=says):
        compare(report, report, [parse_line(text)])


def test_machines_get_json(run, run_seed):
    found = json.loads(text_of(compare(run(run_seed % 2**32), run(run_seed % 2**32, slower=1.5)), as_json=True))
    assert found["schema"] == "stressd.comparison/1"
    assert found["outcome"] == "regressed"
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


def test_the_exit_code_says_how_it_came_out(run, run_seed, tmp_path, capsys):
    reports = {
        "usual": run(run_seed % 2**32),
        "slower": run(run_seed % 2**32 + 1, slower=1.5),
        "short": run(run_seed % 2**32 + 1, seconds=13),
    }
    for name, report in reports.items():
        (tmp_path / name).write_text(json.dumps(report))
    (tmp_path / "nan").write_text(json.dumps(reports["usual"] | {"load_seconds": math.nan}))

    def code(*words):
        return command(["compare", *(str(tmp_path / word) if word in {*reports, "nan"} else word for word in words)])

    assert code("usual", "usual") == 0
    assert code("usual", "slower") == 1
    assert code("usual", "slower", "--fail-on", "rate<-90%") == 0
    assert code("usual", "short") == 4
    assert code("usual", "slower", "--fail-on", "save.p77>+1%") == 2
    assert code("usual", "nan") == 2
    assert "no JSON (NaN is no number)" in capsys.readouterr().err
