"""The report as a page: whole in one file, safe whatever stands in it. tests/integration/test_page.py looks at it."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from stressd.verdict import wording
from stressd.verdict.evidence import FaultRecord
from stressd.verdict.render_html import render_html


class Read(HTMLParser):
    """Collects what a browser would see: texts by tag, attributes, and that every tag is closed."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, page):
        super().__init__()
        self.open, self.attributes, self.texts = [], [], {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    @property
    def text(self):
        return " ".join(text for tag, texts in self.texts.items() if tag not in ("script", "style") for text in texts)


@pytest.fixture
def rich(healthy, made):
    """A healthy run with a fault and with memory by process."""
    fault = FaultRecord("worker_kill", 90.0, 90.0, 0.7, on="mixed/1")
    memory = {"daemon": [100 * made.mb, 120 * made.mb], "mixed 0": [200 * made.mb, 90 * made.mb]}
    return replace(healthy, ticks=made.noisy_ticks(7), faults=[fault], memory_at_s=[0.0, 1.0], memory_by_process=memory)


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])


def test_the_verdict_and_every_criterion_are_readable_without_a_script(rich, report_of):
    report = report_of(rich)
    read = Read(render_html(report))
    for criterion in report["criteria"]:
        assert criterion["name"].replace("_", " ") in read.text
    for text in ("Pass", "600 reads", "exit code 0", report["run_again"], "worker kill of mixed/1", "embedded"):
        assert text in read.text, text
    assert ("li", "data-name", "degradation") in read.attributes


def rows_of(page, table):
    """The rows of a table's body, each a list of texts."""
    body = re.search(rf'<table id="{table}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)[1]
    return [re.findall(r"<t[hd][^>]*>(?:<i [^>]*></i>)?(.*?)</t[hd]>", row) for row in body.split("</tr>")[:-1]]


def test_what_the_charts_show_is_in_tables_too(rich, report_of):
    report = report_of(rich)
    page = render_html(report)
    assert rows_of(page, "processes") == [
        ["daemon", "100 MB", "120 MB", "120 MB"],
        ["mixed 0", "200 MB", "90 MB", "200 MB"],
    ]
    times = rows_of(page, "times")
    assert len(times) == 23  # 180 points, eight a row
    assert times[0][0] == "0:08"
    assert times[-1][0] == "3:00"
    heads = re.findall(r"<th[^>]*>(.*?)</th>", page[page.index('<table id="times">') :].split("</thead>")[0])
    assert {len(row) for row in times} == {len(heads)}
    assert "read from the store p99" in heads
    worst = max(point["p99_seconds"]["save"] for point in report["timeline"][:8])
    assert times[0][heads.index("save p99")] == wording.seconds(worst)


def test_a_wait_for_a_turn_shows_beside_the_service_time(rich, report_of):
    report = report_of(rich)
    report["operations"]["save"]["latency_seconds"]["p99"] = 7.0
    by_name = {row[0]: row for row in rows_of(render_html(report), "operations")}
    assert by_name["save"][5:8] == ["20.2 ms", "20.2 ms", "20.2 ms"]
    assert by_name["save"][9] == "7 s"
    assert by_name["from the cache"][1] == "300"
    assert list(by_name) == ["generate", "save", "read", "from the cache", "from the store"]


def test_what_did_not_pass_is_named_at_the_top(violated, report_of):
    page = render_html(report_of(violated))
    top = page[page.index('class="tally"') : page.index("</ul>")]
    assert "data integrity" in top
    assert "1 warn: concurrent success rate" in top
    assert "memory released" in top
    assert "generation rate" not in top


def test_a_reload_and_its_time_are_told(rich, report_of):
    changes = ["pools.mixed.rate: 60 -> 90"]
    page = render_html(report_of(rich, reloads=[{"at_seconds": 65.2, "changes": changes}]))
    assert "Went on otherwise after 1:05: pools.mixed.rate: 60 -&gt; 90." in page


def test_nothing_is_asked_of_anybody(rich, report_of):
    read = Read(render_html(report_of(rich)))
    outside = [(tag, value) for tag, name, value in read.attributes if name in ("src", "href")]
    assert outside
    assert all(value.startswith(("data:", "#")) for _, value in outside)
    assert "import " not in "".join(read.texts["script"])


def test_the_policy_admits_its_own_style_and_script_and_nothing_else(rich, report_of):
    page = render_html(report_of(rich))
    read = Read(page)
    (policy,) = [value for tag, name, value in read.attributes if tag == "meta" and value.startswith("default-src")]
    assert "default-src 'none'" in policy
    _data, script = read.texts["script"]
    for tag, text in (("style", read.texts["style"][0]), ("script", script)):
        fingerprint = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{fingerprint}'" in policy


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>&\"'{{data}}\x1b[31m"


def test_nothing_in_a_report_becomes_markup(rich, report_of):
    report = report_of(rich, run_again=HOSTILE, specimens=[HOSTILE], guarantees={"reads": HOSTILE})
    report["criteria"][0] |= {"name": HOSTILE, "why": HOSTILE, "unit": HOSTILE, "pass": HOSTILE}
    report["scenario"]["name"] = report["target"]["name"] = report["run_id"] = report["verdict"] = HOSTILE
    report["environment"][HOSTILE] = HOSTILE
    report["faults"][0]["kind"] = HOSTILE
    report["memory"]["by_process"]["bytes"][HOSTILE] = [5, 6]
    page = render_html(report)
    read = Read(page)
    tags = {tag for tag, *_ in read.attributes}
    assert not [pair for pair in read.attributes if pair[1].startswith("on")]
    assert "script" in tags
    assert page.count("<script") == 2
    assert page.count("<img") == 1
    assert data_of(page)["history"]["memory"]["memory_bytes"][HOSTILE] == [5, 6]
    assert "\x1b" not in page


def test_the_data_is_that_of_the_report(rich, report_of):
    report = report_of(rich)
    data = data_of(render_html(report))
    past = data["history"]
    assert past["at_s"] == [point["at_seconds"] for point in report["timeline"]]
    assert {len(past[name]) for name in ("rates_per_s", "errors_per_s", "cores")} == {len(past["at_s"])}
    assert past["memory"] == {"at_s": [0.0, 1.0], "memory_bytes": dict(rich.memory_by_process)}
    assert past["faults"] == [{"kind": "worker_kill", "from_s": 90.0, "until_s": 90.0}]
    assert "read from the store" in [latency["name"] for latency in past["latencies"]]
    for spread in data["spreads"]:
        op, _, source = spread["name"].partition(" from the ")
        assert (
            sum(count for _, _, count in spread["bars"])
            == report["operations"][op]["sources"][source or "none"]["count"]
        )
        low, high = spread["bars"][0][0], spread["bars"][-1][1]
        assert all(low <= time <= high for _, time in spread["quantiles"])


def test_a_run_that_measured_nothing_has_a_page_too(healthy, counters, report_of):
    nothing = counters().snapshot()
    bare = replace(healthy, measured=nothing, total=nothing, ticks=[], load_s=0.0, probes={}, faults=[])
    page = render_html(report_of(bare))
    assert "Inconclusive" in Read(page).text
    assert data_of(page)["spreads"] == []


def test_a_violation_names_its_kind_and_its_specimen(healthy, counters, report_of):
    counted = counters()
    counted.add("violations_total", "lost", count=2)
    report = report_of(replace(healthy, total=counted.snapshot()), specimens=["specimens/lost-0.json"])
    text = Read(render_html(report)).text
    assert "Data violation" in text
    assert "2 lost" in text
    assert "specimens/lost-0.json" in text
