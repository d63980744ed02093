import io
import json
import os
import pty
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from stressd.cli import run as command
from stressd.criteria import CRITERIA
from stressd.errors import UsageError
from stressd.metrics import VIOLATIONS
from stressd.verdict.evidence import Reach
from stressd.verdict.render_html import render_html
from stressd.verdict.render_markdown import render_markdown
from stressd.verdict.render_text import render_text
from stressd.verdict.report_file import check_report_path, load_report, write_report

CONTRACT = {
    None: "schema verdict exit_code interrupted run_id scenario target guarantees seed movies started_at "
    "duration_seconds environment criteria operations verification workers memory harness",
    "movies": "path sha256 good bad",
    "verification": "reads_checked cells_checked writes_acknowledged writes_verified violations specimens",
    "workers": "deaths restarts recovery_seconds",
    "harness": "overhead_seconds_per_operation saturated",
}


def text_of(report, encoding="utf-8", width=80):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    render_text(report, file, width)
    file.flush()
    return raw.getvalue().decode(encoding)


# --- JSON --------------------------------------------------------------------------------------------


def test_a_report_says_what_part_of_the_targets_time_each_check_took(healthy, counters, report_of):
    counted = counters()
    counted.serve("save", "none", [0.5] * 20)
    counted.add("verification_seconds_total", "cells", count=600_000_000)
    counted.add("verification_seconds_total", "stamps", count=150_000_000)
    counted.add("busy_ns", count=12_000_000_000)
    report = report_of(replace(healthy, total=counted.snapshot(), measured=counted.snapshot()))
    assert report["harness"]["verification_seconds"] == {"stamps": 0.15, "cells": 0.6, "scribble": 0, "confirm": 0}
    assert report["harness"]["verification_share"] == pytest.approx(0.075)
    told = " ".join(text_of(report).split())
    assert "checks took 7.5 % of the target's time: stamps 1.5 %, cells 6.0 %." in told
    del report["harness"]["verification_share"]
    assert "checks took" not in text_of(report)


def test_a_report_has_every_field_of_the_contract(healthy, report_of):
    report = report_of(healthy)
    for place, names in CONTRACT.items():
        assert set(names.split()) <= set(report if place is None else report[place])
    criterion = "name subject verdict value unit pass fail worst_at why"
    assert all(set(criterion.split()) <= set(each) for each in report["criteria"])
    operation = "count errors rows bytes rate_per_second latency_seconds service_seconds"
    for op in ("save", "read", "generate"):
        assert set(operation.split()) <= set(report["operations"][op])
        for times in ("latency_seconds", "service_seconds"):
            assert set(report["operations"][op][times]) == {"p50", "p90", "p95", "p99", "p999", "max"}
    assert set(report["verification"]["violations"]) == set(VIOLATIONS)
    assert (report["schema"], report["verdict"], report["exit_code"]) == ("stressd.report/1", "pass", 0)


def test_a_reports_figures_are_those_of_the_run(healthy, report_of):
    report = report_of(healthy)
    save, read = report["operations"]["save"], report["operations"]["read"]
    assert (save["count"], save["bytes"], save["errors"]) == (200, 400_000_000, 0)
    assert save["rate_per_second"] == pytest.approx(200 / 170)
    assert save["service_seconds"]["p50"] == pytest.approx(0.02, rel=0.03)
    assert save["latency_seconds"]["max"] == pytest.approx(0.022, rel=0.03)
    assert read["sources"]["cache"]["service_seconds"]["p99"] == pytest.approx(0.0005, rel=0.03)
    assert read["sources"]["store"]["count"] == 300
    assert report["verification"]["saves_per_key"] == 50


def test_the_worst_minute_is_told_as_a_time(healthy, made, report_of):
    ticks = [made.tick(i + 1.0, errors=30 if i > 130 else 0) for i in range(180)]
    report = report_of(replace(healthy, ticks=ticks))
    (rate,) = (each for each in report["criteria"] if each["name"] == "error_rate")
    assert rate["worst_at"] == "2026-01-02T03:07:00.000Z"


def test_the_timeline_of_a_long_run_is_bounded(healthy, made, report_of):
    long = replace(healthy, ticks=[made.tick(i + 1.0) for i in range(5_000)], load_s=5_000.0)
    timeline = report_of(long)["timeline"]
    assert 100 < len(timeline) <= 240
    assert timeline[-1]["at_seconds"] == 5_000
    assert timeline[0]["operations_per_second"] == 60


def test_what_is_no_number_becomes_null_and_numpy_plain(healthy, report_of, tmp_path):
    environment = {"nan": float("nan"), "inf": np.float64("inf"), "count": np.int64(3), "path": tmp_path}
    environment = report_of(healthy, environment=environment)["environment"]
    assert environment == {"nan": None, "inf": None, "count": 3, "path": str(tmp_path)}


def test_a_saved_report_comes_back_whole(violated, report_of, tmp_path):
    report, path = report_of(violated), str(tmp_path / "report.json")
    write_report(report, path)
    assert load_report(path) == report
    assert os.listdir(tmp_path).count("report.json.new") == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("\x00\xff", "no JSON"),
        ("[]", "its schema is None"),
        ('{"schema": "stressd.report/2"}', "'stressd.report/2'; this stressd reads 'stressd.report/1'"),
        ('{"schema": "stressd.report/1"}', "report.verdict: missing, and"),
    ],
)
def test_rubbish_is_no_report(tmp_path, text, says):
    path = tmp_path / "report.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"report\.json: ") as raised:
        load_report(str(path))
    assert says in str(raised.value)


def test_a_report_with_one_wrong_type_names_its_place(healthy, report_of, tmp_path):
    report = report_of(healthy)
    report["criteria"][3]["value"] = "many"
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    with pytest.raises(UsageError, match=r"report\.criteria\[3\]\.value: 'many' is no int"):
        load_report(str(path))


def test_a_file_that_is_not_there_is_said():
    with pytest.raises(UsageError, match="No such file"):
        load_report("/nowhere/report.json")


def test_a_report_path_is_refused_before_the_run(tmp_path):
    for path, says in (
        ("r.pdf", r"no format for .pdf; there are .json, .html, .md, .xml"),
        (str(tmp_path / "report"), "a name without ending"),
        (str(tmp_path / "missing" / "r.json"), "there is no folder"),
    ):
        with pytest.raises(UsageError, match=says):
            check_report_path(path)
    check_report_path(str(tmp_path / "r.JSON"))


@pytest.mark.parametrize("kind", ["json", "html", "md", "xml"])
def test_what_is_printed_in_a_format_is_what_a_file_of_that_kind_holds(healthy, report_of, tmp_path, capfdbinary, kind):
    write_report(report_of(healthy), str(tmp_path / "r.json"))
    path = tmp_path / f"written.{kind}"
    assert command(["report", str(tmp_path / "r.json"), "--report", str(path), "--format", kind]) == 0
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == path.read_bytes() != b""


def test_a_report_is_printed_as_text_unless_it_is_written(healthy, report_of, tmp_path, capsys):
    path = str(tmp_path / "r.json")
    write_report(report_of(healthy), path)
    assert command(["report", path]) == 0
    assert "PASS (exit code 0)" in capsys.readouterr().out
    assert command(["report", path, "--report", str(tmp_path / "r.md")]) == 0
    assert capsys.readouterr().out == ""


def test_a_wait_for_a_free_lane_is_told_in_every_form(healthy, report_of):
    report = report_of(healthy)
    texts = [lambda: text_of(report, width=200), lambda: render_markdown(report), lambda: render_html(report)]
    told = "Operations waited for a free lane. p99 from when they were due: save 7 s."
    assert not [text for text in texts if "waited" in text()]
    report["operations"]["save"]["latency_seconds"]["p99"] = 7.0
    assert all(told in text() for text in texts)


# --- Text --------------------------------------------------------------------------------------------


def test_the_text_says_it_all_at_a_glance(healthy, report_of):
    text = text_of(report_of(healthy))
    first, second, *_ = text.splitlines()
    assert first == "✅ PASS (exit code 0)"
    assert "soak on embedded, 3 m 36 s, seed 4711" in second
    assert "stressd run soak --duration 180 --seed 4711" in text
    for criterion in CRITERIA:
        assert criterion.name in text
    assert re.search(r"save +200 +1\.18 +0 +20\.2 ms", text)
    assert "600 reads and 12,000,000 cells checked, 200 of 200 saves read back" in text
    assert "faults were injected (target_errors)" in text
    assert max(map(cell_len, text.splitlines())) <= 80


def test_the_text_shows_each_outcome_with_its_sign_and_the_specimens(violated, report_of):
    text = text_of(report_of(violated, specimens=[{"kind": "lost", "path": "specimens/lost-0.json"}]), width=120)
    line_of = {
        criterion.name: line for criterion in CRITERIA for line in text.splitlines() if f" {criterion.name} " in line
    }
    assert text.startswith("❌ DATA VIOLATION (exit code 3)")
    assert line_of["data_integrity"].startswith("❌")
    assert line_of["concurrent_success_rate"].startswith("⚠️")
    assert line_of["memory_released"].startswith("❔")
    assert line_of["cache_speedup"].startswith("–")
    assert "target has no cache" in line_of["cache_speedup"]
    assert "violations: 2 lost" in text
    assert "specimen: kind lost, path specimens/lost-0.json" in text


def test_a_narrow_terminal_still_shows_the_signs(violated, report_of):
    lines = text_of(report_of(violated), width=40).splitlines()
    assert sum(line.startswith(("✅", "⚠️", "❌", "❔")) for line in lines) == len(CRITERIA) - 3 + 1  # and the headline


def test_piped_text_holds_no_control_codes_and_no_style_takes_effect(violated, report_of):
    text = text_of(report_of(violated), width=200)
    assert "\x1b" not in text
    assert "[red]style[/]" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_without_signs_gets_plain_ones(violated, report_of, encoding):
    text = text_of(report_of(violated), encoding)
    assert text.startswith("[XX] DATA VIOLATION")
    assert "[??] memory_released" in text
    assert "inconclusive: memory_released\n" in text
    assert ">= 95 %" in text


def test_on_a_terminal_there_is_colour(healthy, report_of, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as file:
        render_text({**report_of(healthy), "criteria": []}, file)
        shown = os.read(reader, 65_536).decode()
    os.close(reader)
    assert "\x1b[32m✅ PASS" in shown


# --- Markdown and JUnit ------------------------------------------------------------------------------


def test_markdown_cells_cannot_break_out(violated, report_of, tmp_path):
    path = tmp_path / "report.md"
    write_report(report_of(violated), str(path))
    lines = path.read_text().splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert [row.count("|") for row in rows] == [6] * (2 + len(CRITERIA)) + [9] * 3
    assert "<tag>" not in path.read_text()
    assert "❌ stressd: DATA VIOLATION" in lines[0]


def junit(report, tmp_path):
    path = tmp_path / "report.xml"
    write_report(report, str(path))
    (suite,) = ET.parse(path).getroot().findall("testsuite")
    return suite, {case.get("name"): case for case in suite.findall("testcase")}


def test_junit_has_a_case_per_criterion_with_its_outcome(violated, report_of, tmp_path):
    suite, cases = junit(report_of(violated), tmp_path)
    assert list(cases) == [criterion.name for criterion in CRITERIA]
    assert cases["data_integrity"].find("failure").get("message").startswith("2, passes at ≤ 0: 2 lost")
    assert "the memory probe failed" in cases["memory_released"].find("error").get("message")
    assert cases["cache_speedup"].find("skipped").get("message") == "target has no cache"
    assert {child.get("type") for case in cases.values() for child in case} >= {
        "fail",
        "inconclusive",
        "not_applicable",
    }
    assert cases["concurrent_success_rate"].find("system-out").text.startswith("warning: 93 %")
    assert len(cases["generation_rate"]) == 0
    counted = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    assert counted["tests"] == len(CRITERIA)
    assert counted["failures"] == len(suite.findall("testcase/failure")) >= 2
    properties = {each.get("name"): each.get("value") for each in suite.findall("properties/property")}
    assert (properties["seed"], properties["verdict"], properties["exit_code"]) == ("4711", "violated", "3")


def test_junit_never_shows_a_bad_run_as_good(healthy, report_of, tmp_path):
    """All criteria pass, and yet the generator was the bottleneck."""
    suite, cases = junit(report_of(replace(healthy, reach=Reach(200.0, 98.7, "target"))), tmp_path)
    assert "INCONCLUSIVE" in cases["run"].find("error").get("message")
    assert suite.get("errors") == "1"
    _, cases = junit(report_of(healthy), tmp_path)
    assert "run" not in cases
